"""Owns the users who are signed in over HTTP: listed, shown, signed out."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from itertools import groupby

from gateway.api.directory import SIGNED_OUT, CallableSession, Directory
from gateway.api.operations import Asked, Operation
from gateway.config.identity import Scope
from gateway.contract.users import User, Users, UserSession
from gateway.errors import NOT_FOUND, GatewayError

PATH = "/v1/users"
TAG = "users"


class UserEndpoint:
    """The operations. An identity sees the users of its project, and no others."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def operations(self) -> builtins.list[Operation]:
        """All of them."""
        return [
            Operation(
                "GET", PATH, "listUsers", "Who is signed in", TAG, Scope.USERS_READ, self.list,
                answer=Users,
            ),
            Operation(
                "GET", PATH + "/{user}", "getUser", "One user who is signed in", TAG,
                Scope.USERS_READ, self.show, answer=User,
            ),
            Operation(
                "DELETE", PATH + "/{user}/sessions/{session}", "signOut", "Sign a session out",
                TAG, Scope.USERS_WRITE, self.sign_out, status=204,
            ),
        ]  # fmt: skip

    async def list(self, asked: Asked) -> Users:
        """Users are signed in as long as a WebSocket of theirs is open, on this node."""
        sessions = self._directory.sessions_of(asked.project)
        by_user = groupby(sessions, key=lambda session: session.identity.user)
        return Users(users=[_user(name, found) for name, found in by_user])

    async def show(self, asked: Asked) -> User:
        """404: the user is not signed in here."""
        return _user(asked.path["user"], self._of_user(asked))

    async def sign_out(self, asked: Asked) -> None:
        """Closes its WebSocket with 4001, which ends its calls. A token that is still good lets
        the user in again."""
        for session in self._of_user(asked):
            if session.id == asked.path["session"]:
                session.leave(SIGNED_OUT)
                return
        raise GatewayError(NOT_FOUND, "No such session")

    def _of_user(self, asked: Asked) -> builtins.list[CallableSession]:
        sessions = self._directory.sessions_of(asked.project)
        found = [each for each in sessions if each.identity.user == asked.path["user"]]
        if not found:
            raise GatewayError(NOT_FOUND, "Nobody of this name is signed in")
        return found


def _user(name: str, sessions: Iterable[CallableSession]) -> User:
    return User(
        user=name,
        sessions=[
            UserSession(id=each.id, since=each.since, calls=list(each.call_ids))
            for each in sessions
        ],
    )
