"""Owns the models of the users who are signed in."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from gateway.contract.base import Answer


class UserSession(Answer):
    """One tab or program in which a user is signed in."""

    id: str = Field(description="What `signOut` takes, and `hello` told the browser.")
    since: datetime = Field(description="When the user signed in there.")
    calls: list[str] = Field(description="The ids of its calls, also of those that ring there.")


class User(Answer):
    """A user who is signed in."""

    user: str = Field(description="The name.")
    sessions: list[UserSession] = Field(description="A call rings in all of them.")


class Users(Answer):
    """The users who are signed in, by name."""

    users: list[User] = Field(description="None: nobody is signed in on this node.")
