"""Owns how live calls look to clients."""

from __future__ import annotations

from gateway.calls import Call
from gateway.calls.translate import quality
from gateway.contract.calls import LiveCall, LiveLeg
from gateway.contract.records import QualityView
from gateway.ids import LegId
from gateway.ports import PortStats
from gateway.storage.cdr import quality_of


def live_call(call: Call) -> LiveCall:
    """The call as it is now, with what its audio was like until now."""
    view, counters = call.view(), call.counters()
    return LiveCall(
        id=view.id,
        phase=view.state,
        context=view.context,
        caller=view.caller,
        callee=view.callee,
        created_at=view.created.wall,
        answered=view.answered,
        path=view.media_path,
        legs=[
            LiveLeg(
                id=leg.id,
                role=leg.role,
                kind=leg.kind,
                media=leg.media,
                held=leg.held,
                ended=leg.ended,
                quality=_quality(leg.id, leg.media, counters.get(leg.id)),
            )
            for leg in view.legs
        ],
    )


def _quality(leg: LegId, media: str, stats: PortStats | None) -> QualityView | None:
    if stats is None:
        return None
    return QualityView.model_validate(quality_of(quality(leg, media, stats)))
