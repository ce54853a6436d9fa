"""Owns how live calls look to clients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.calls import Call, LegView
from gateway.calls.translate import codec_of
from gateway.contract.calls import LiveCall, LiveCalls
from gateway.ports import PortStats
from gateway.storage.cdr import quality_of


def live_call(call: Call) -> LiveCall:
    """The call as it is now, with what its audio was like until now."""
    return LiveCall.model_validate(_call(call))


def live_calls(calls: Iterable[Call], cursor: str | None) -> LiveCalls:
    """A page of them. It has hundreds of parts: models that are made one by one take twice the
    time of this."""
    return LiveCalls.model_validate({"calls": list(map(_call, calls)), "cursor": cursor})


def _call(call: Call) -> dict[str, Any]:
    view, counters = call.view(), call.counters()
    return {
        "id": view.id,
        "phase": view.state,
        "context": view.context,
        "caller": view.caller,
        "callee": view.callee,
        "created_at": view.created.wall,
        "answered": view.answered,
        "path": view.media_path,
        "legs": [_leg(leg, counters.get(leg.id)) for leg in view.legs],
    }


def _leg(leg: LegView, stats: PortStats | None) -> dict[str, Any]:
    quality = None if stats is None else quality_of(codec_of(leg.media), stats)
    return leg._asdict() | {"quality": quality}
