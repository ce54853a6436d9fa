"""Owns the cursors of lists that are sorted by a moment and an id, newest first."""

from __future__ import annotations

import base64
from datetime import datetime

from gateway.errors import Blame, GatewayError, Verdict

BAD_CURSOR = Verdict("bad_cursor", 422, 422, 95, Blame.CALLER, "Not a cursor of this list")


def written_cursor(moment: datetime, name: str) -> str:
    """What asks for the entries after the one of `moment` with the id `name`."""
    text = f"{moment.isoformat()} {name}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[datetime, str]:
    """The moment and the id of the last entry of a page. Raises GatewayError(BAD_CURSOR)."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        moment, _, name = text.decode().partition(" ")
        found = datetime.fromisoformat(moment)
    except ValueError:
        found, name = None, ""
    if found is None or found.tzinfo is None or not name:
        raise GatewayError(BAD_CURSOR)
    return found, name
