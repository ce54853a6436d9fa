"""Identifiers: opaque, unguessable, sortable by eye."""

from __future__ import annotations

import secrets
from typing import NewType

CallId = NewType("CallId", str)
LegId = NewType("LegId", str)

DEFAULT_PROJECT = "default"
"""The project (tenant) of whatever names none."""


def qualified(project: str, name: str) -> str:
    """A name of a user or key that is unique on the node: `name`, or `project/name`.

    `/` is in no name and can be dialled by nobody, so no project's name is another's.
    """
    return name if project == DEFAULT_PROJECT or not name else f"{project}/{name}"


def new_call_id() -> CallId:
    """A fresh call id: `c-` and 96 random bits, URL-safe."""
    return CallId("c-" + secrets.token_urlsafe(12))


def new_leg_id() -> LegId:
    """A fresh leg id: `l-` and 96 random bits, URL-safe."""
    return LegId("l-" + secrets.token_urlsafe(12))
