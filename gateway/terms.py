"""Owns the words for how things are, which calls, media, the database and the API share.

Enums alone: whoever only speaks of a call loads nothing that carries one.
"""

from __future__ import annotations

import enum


class Phase(enum.StrEnum):
    """Where a call is."""

    NEW = "new"  # waits for the dialplan, or for the answer of a caller whom the gateway called
    DIALING = "dialing"  # callee legs exist, none has reacted
    RINGING = "ringing"  # a callee alerts
    EARLY = "early"  # a callee sends audio before the answer
    CONNECTING = "connecting"  # accepted, an audio path is still missing
    CONNECTED = "connected"
    HELD = "held"  # connected, and a party has put the gateway on hold
    PROGRAM = "program"  # a program is in charge, answered or not
    ENDING = "ending"  # legs were told to hang up
    ENDED = "ended"


class CdrState(enum.StrEnum):
    """How far a call has come."""

    LIVE = "live"
    ENDED = "ended"
    INTERRUPTED = "interrupted"  # the node stopped in the middle of it


class Party(enum.StrEnum):
    """Who ended a call."""

    CALLER = "caller"
    CALLEE = "callee"
    GATEWAY = "gateway"  # dialplan, programs, time-outs, the API


class TrunkState(enum.StrEnum):
    """Whether calls come through."""

    UP = "up"
    FAILING = "failing"
    UNKNOWN = "unknown"  # no call has tried, not lately


class RecordingState(enum.StrEnum):
    """How far a recording has come."""

    RECORDING = "recording"  # or being finished
    FINISHED = "finished"


class CaptureEnd(enum.StrEnum):
    """Why a capture is over."""

    ASKED = "asked"
    TIME = "time"
    FULL = "full"
    DISK = "disk"  # full, or failing; what came before is in the file


class DeliveryState(enum.StrEnum):
    """How far a delivery has come."""

    PENDING = "pending"  # it is due, or waits for its next attempt, or for the call's one before
    DELIVERED = "delivered"
    DEAD = "dead"  # given up; it can be replayed


class Codec(enum.StrEnum):
    """Audio codecs of the media plane."""

    OPUS = "opus"
    PCMU = "pcmu"
    PCMA = "pcma"
    G722 = "g722"
    L16 = "l16"


class RecordingFormat(enum.StrEnum):
    """What recordings are stored as; also the end of their files' names."""

    WAV = "wav"
    OGG = "ogg"  # Opus in Ogg (RFC 7845)
    MP3 = "mp3"
    FLAC = "flac"
