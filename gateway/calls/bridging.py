"""Owns how two ports are joined: audio both ways, and digits relayed natively both ways."""

from __future__ import annotations

from functools import partial

from gateway.calls.audio import CallAudio
from gateway.errors import GatewayError
from gateway.ports import MediaPort


def bridge(media: CallAudio, one: MediaPort, other: MediaPort) -> None:
    """Joins two ports. Raises GatewayError; `unbridge` then undoes what was done."""
    media.connect(one, other)
    media.connect(other, one)
    media.relay_digits(one, other)
    media.relay_digits(other, one)


def unbridge(media: CallAudio, one: MediaPort, other: MediaPort) -> None:
    """Takes two ports apart, digits first. Tries all of it, then raises the first GatewayError."""
    errors: list[GatewayError] = []
    for undo in (
        partial(media.relay_digits, one, None),
        partial(media.relay_digits, other, None),
        partial(media.disconnect, one, other),
        partial(media.disconnect, other, one),
    ):
        try:
            undo()
        except GatewayError as error:  # a port that is gone must not keep the rest joined
            errors.append(error)
    if errors:
        raise errors[0]
