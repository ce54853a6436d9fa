"""Identifiers: opaque, unguessable, sortable by eye."""

from __future__ import annotations

import secrets
from typing import NewType

CallId = NewType("CallId", str)
LegId = NewType("LegId", str)


def new_call_id() -> CallId:
    """A fresh call id: `c-` and 96 random bits, URL-safe."""
    return CallId("c-" + secrets.token_urlsafe(12))


def new_leg_id() -> LegId:
    """A fresh leg id: `l-` and 96 random bits, URL-safe."""
    return LegId("l-" + secrets.token_urlsafe(12))
