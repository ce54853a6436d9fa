"""Owns how call records become rows, and rows become call records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
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
_QUALITY = (
    "codec", "rx_packets", "rx_lost", "tx_packets", "remote_lost", "jitter_ms", "rtt_ms", "mos",
)  # fmt: skip
_LEG = tuple(
    column.name
    for column in tables.legs.columns
    if column.name not in {"call", "project", "position", *_QUALITY}
)
_CALL = tuple(column.name for column in tables.calls.columns if column.name != "node")
CALL_COLUMNS = tuple(tables.calls.c[name] for name in _CALL)
LEG_COLUMNS = tuple(tables.legs.c[name] for name in (*_LEG, *_QUALITY))
_COUNTERS = slice(len(_LEG), len(LEG_COLUMNS))
_RX_PACKETS = len(_LEG) + _QUALITY.index("rx_packets")
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
    values = dict(zip(_CALL, row, strict=True))
    values["state"] = _STATES[values["state"]]
    values["blame"] = _BLAMES[values["blame"]]
    values["hung_up_by"] = _PARTIES[values["hung_up_by"]]
    return Cdr(**values, legs=tuple(legs))


def leg_from(row: Sequence[Any]) -> LegCdr:
    """A leg from its LEG_COLUMNS; what is behind them is left alone."""
    values = dict(zip(_LEG, row, strict=False))
    values["role"] = _ROLES[values["role"]]
    values["kind"] = _KINDS[values["kind"]]
    values["blame"] = _BLAMES[values["blame"]]
    heard = row[_RX_PACKETS] is not None
    return LegCdr(**values, quality=Quality(*row[_COUNTERS]) if heard else None)


def _quality_row(quality: Quality | None) -> dict[str, object]:
    if quality is None:
        return dict.fromkeys(_QUALITY)
    return {name: _stored(value) for name, value in asdict(quality).items()}


def _stored(value: object) -> object:
    """`value` as both databases take it: neither NUL (which PostgreSQL refuses), nor what is no
    Unicode, nor without end, nor beyond its column."""
    if isinstance(value, str):
        clean = str(value)[:MAX_TEXT].replace("\0", "\ufffd")
        return clean.encode("utf-8", "replace").decode()
    if isinstance(value, int) and not isinstance(value, bool):
        return max(min(value, _MOST), -_MOST)
    return value
