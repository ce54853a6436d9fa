"""Owns how call records become rows, and rows become call records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from gateway.errors import Blame
from gateway.events import Role
from gateway.ids import CallId, LegId
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


def cdr_from(row: Mapping[str, Any], legs: Iterable[Mapping[str, Any]]) -> Cdr:
    """A call from its row and those of its legs, in their order."""
    values = {name: row[name] for name in _CALL}
    values["id"] = CallId(row["id"])
    values["state"] = CdrState(row["state"])
    values["blame"] = _or_none(Blame, row["blame"])
    values["hung_up_by"] = _or_none(Party, row["hung_up_by"])
    return Cdr(**values, legs=tuple(map(_leg_from, legs)))


def _leg_from(row: Mapping[str, Any]) -> LegCdr:
    values = {name: row[name] for name in _LEG}
    quality = None
    if row["rx_packets"] is not None:
        quality = Quality(**{name: row[name] for name in _QUALITY})
    values["id"] = LegId(row["id"])
    values["role"] = Role(row["role"])
    values["kind"] = LegKind(row["kind"])
    values["blame"] = _or_none(Blame, row["blame"])
    return LegCdr(**values, quality=quality)


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


def _or_none(kind: Any, value: str | None) -> Any:
    return None if value is None else kind(value)
