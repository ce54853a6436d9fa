"""Owns the words between ports and machine: leg and media events become inputs. Pure."""

from __future__ import annotations

from typing import assert_never

from gateway import events, ports
from gateway.calls import effects, inputs
from gateway.errors import Verdict
from gateway.ids import LegId


def from_caller(event: ports.LegEvent) -> inputs.Input | None:
    """An event of the caller's leg; None: it says nothing new."""
    match event:
        case ports.LegMedia(port, _, description):
            return inputs.CallerMedia(port, description)
        case ports.LegHeld(held):
            return inputs.CallerHeld(held)
        case ports.LegEnded(verdict, by_peer):
            return inputs.CallerEnded(verdict, by_peer)
        case ports.LegAnswered():
            return inputs.CallerAnswered()
        case ports.LegRinging():
            return None  # whoever started the call sees its state
        case ports.LegDialog() | ports.LegTransport():
            return None  # see `observed`
        case _:
            assert_never(event)


def from_callee(leg: LegId, event: ports.LegEvent) -> inputs.Input | None:
    """An event of a callee's leg; None: it says nothing new."""
    match event:
        case ports.LegRinging():
            return inputs.CalleeRinging(leg)
        case ports.LegMedia(port, early, description):
            return inputs.CalleeMedia(leg, port, early, description)
        case ports.LegAnswered():
            return inputs.CalleeAnswered(leg)
        case ports.LegHeld(held):
            return inputs.CalleeHeld(leg, held)
        case ports.LegEnded(verdict, by_peer):
            return inputs.CalleeEnded(leg, verdict, by_peer)
        case ports.LegDialog() | ports.LegTransport():
            return None  # see `observed`
        case _:
            assert_never(event)


def observed(leg: LegId, event: ports.LegEvent) -> inputs.Observed | None:
    """What is only to be told, of any leg; None: the event is more than that."""
    match event:
        case ports.LegDialog(sip_call_id):
            return inputs.Observed(events.LegDialog(leg, sip_call_id))
        case ports.LegTransport(layer, state, detail, monotonic):
            return inputs.Observed(events.LegTransport(leg, layer, state, detail, monotonic))
        case _:
            return None


def from_media(leg: LegId, event: ports.MediaEvent) -> inputs.Input | None:
    """An event of a leg's port; None: not meant for the call."""
    match event:
        case ports.DigitBegan():
            return inputs.Observed(events.DigitStarted(leg, event.digit, event.id))
        case ports.DigitEnded():
            return inputs.Observed(
                events.DigitReceived(leg, event.digit, event.duration_ms, event.id)
            )
        case ports.DigitSent():
            return inputs.Observed(events.DigitSent(leg, event.digit, event.duration_ms, event.id))
        case ports.DigitDropped():
            return inputs.Observed(events.DigitDropped(leg, event.digit, event.reason))
        case ports.RtpStarted():
            return inputs.Observed(events.MediaStarted(leg))
        case ports.RtpTimeout():
            return inputs.RtpSilent(leg, event.silent_ms)
        case ports.RtpResumed():
            return inputs.RtpBack(leg)
        case ports.PlayDone():
            return None  # of players, and programs listen to theirs themselves
        case ports.RecordStopped() | ports.RecordOverrun() | ports.RecordClosed():
            return None  # of recorders: whoever records listens to them
        case _:
            assert_never(event)


def codec_of(media: str) -> str:
    """The codec of `media`, which also names the format of digits: `pcmu/8000`."""
    return media.partition(" ")[0]


def quality(leg: LegId, media: str, stats: ports.PortStats) -> events.LegQuality:
    """What the counters of a leg's port say; `media`: as it is printed."""
    return events.LegQuality(
        leg,
        codec=codec_of(media),
        rx_packets=stats.rx_packets,
        rx_lost=stats.rx_lost,
        tx_packets=stats.tx_packets,
        remote_lost=stats.remote_lost,
        jitter_ms=stats.jitter_ms,
        rtt_ms=stats.rtt_ms,
    )


def failure(cause: effects.Effect | inputs.Input, caller: LegId, verdict: Verdict) -> inputs.Input:
    """What the machine is told when performing an effect, or preparing for an input, failed."""
    match cause:
        case effects.Dial():
            return inputs.Dialed((), (verdict,))
        case effects.StartScreening(leg):
            return inputs.Screened(leg, accepted=False)
        case effects.HangupLeg(leg, _):
            # A leg that cannot even hang up will not confirm its end either.
            if leg == caller:
                return inputs.CallerEnded(verdict, by_peer=False)
            return inputs.CalleeEnded(leg, verdict, by_peer=False)
        case _:
            return inputs.Failed(verdict)
