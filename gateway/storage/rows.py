"""Owns how call records become rows, and rows become call records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.errors import Blame
from gateway.events import Role
from gateway.ports import LegKind
from gateway.storage import tables
from gateway.storage.cdr import Cdr, LegCdr, Quality
from gateway.terms import CdrState, Party

MAX_TEXT = 1024
"""Characters of a value that peers may have written."""
_MOST = 2**31 - 1  # of an Integer column
_CALL = Cdr._fields[:-1]  # all but `legs`
_LEG = LegCdr._fields[:-1]  # all but `quality`
CALL_COLUMNS = tuple(tables.calls.c[name] for name in _CALL)
LEG_COLUMNS = tuple(tables.legs.c[name] for name in (*_LEG, *Quality._fields))
_STATE, _CALL_BLAME, _HUNG_UP_BY = map(_CALL.index, ("state", "blame", "hung_up_by"))
_ROLE, _KIND, _LEG_BLAME = map(_LEG.index, ("role", "kind", "blame"))
_COUNTERS = slice(len(_LEG), len(LEG_COLUMNS))
_RX_PACKETS = len(_LEG) + Quality._fields.index("rx_packets")
# Dictionaries, because an enum takes six times as long to look its values up.
_STATES = {state.value: state for state in CdrState}
_ROLES = {role.value: role for role in Role}
_KINDS = {kind.value: kind for kind in LegKind}
_BLAMES: dict[str | None, Blame | None] = {None: None} | {blame.value: blame for blame in Blame}
_PARTIES: dict[str | None, Party | None] = {None: None} | {party.value: party for party in Party}


def call_row(cdr: Cdr, node: str) -> dict[str, object]:
    """The row of a call."""
    return {"node": node} | {name: _stored(getattr(cdr, name)) for name in _CALL}


def leg_rows(cdr: Cdr) -> list[dict[str, object]]:
    """The rows of a call's legs."""
    return [
        {"call": cdr.id, "project": cdr.project, "position": position}
        | {name: _stored(getattr(leg, name)) for name in _LEG}
        | _quality_row(leg.quality)
        for position, leg in enumerate(cdr.legs)
    ]


def cdr_from(row: Sequence[Any], legs: Iterable[LegCdr]) -> Cdr:
    """A call from its CALL_COLUMNS, and its legs in their order."""
    values = list(row)
    values[_STATE] = _STATES[values[_STATE]]
    values[_CALL_BLAME] = _BLAMES[values[_CALL_BLAME]]
    values[_HUNG_UP_BY] = _PARTIES[values[_HUNG_UP_BY]]
    return Cdr._make([*values, tuple(legs)])


def leg_from(row: Sequence[Any]) -> LegCdr:
    """A leg from its LEG_COLUMNS; what is behind them is left alone."""
    values = list(row[: len(_LEG)])
    values[_ROLE] = _ROLES[values[_ROLE]]
    values[_KIND] = _KINDS[values[_KIND]]
    values[_LEG_BLAME] = _BLAMES[values[_LEG_BLAME]]
    heard = row[_RX_PACKETS] is not None
    return LegCdr._make([*values, Quality._make(row[_COUNTERS]) if heard else None])


def _quality_row(quality: Quality | None) -> dict[str, object]:
    if quality is None:
        return dict.fromkeys(Quality._fields)
    return {name: _stored(value) for name, value in quality._asdict().items()}


def _stored(value: object) -> object:
    """`value` as both databases take it: neither NUL (which PostgreSQL refuses), nor what is no
    Unicode, nor without end, nor beyond its column."""
    if isinstance(value, str):
        clean = str(value)[:MAX_TEXT].replace("\0", "\ufffd")
        return clean.encode("utf-8", "replace").decode()
    if isinstance(value, int) and not isinstance(value, bool):
        return max(min(value, _MOST), -_MOST)
    return value
