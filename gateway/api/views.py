"""Owns how live calls look to clients."""

from __future__ import annotations

from gateway.calls.call import CallView
from gateway.calls.translate import quality
from gateway.contract.calls import LiveCall, LiveLeg
from gateway.contract.records import QualityView
from gateway.ids import LegId
from gateway.ports import PortStats
from gateway.storage.cdr import quality_of


def live_call(call: CallView) -> LiveCall:
    """The call, without what its audio is like."""
    return LiveCall(
        id=call.id,
        phase=call.state,
        context=call.context,
        caller=call.caller,
        callee=call.callee,
        created_at=call.created.wall,
        answered=call.answered,
        path=call.media_path,
        legs=[LiveLeg.model_validate(leg) for leg in call.legs],
    )


def with_quality(leg: LiveLeg, stats: PortStats) -> LiveLeg:
    """The same leg, and what its audio is like."""
    told = quality_of(quality(LegId(leg.id), leg.media, stats))
    return leg.model_copy(update={"quality": QualityView.model_validate(told)})
