"""What crosses between the asyncio thread and the SIP thread: plain frozen values, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.errors import Verdict
from gateway.ports import LegEvent, OptionsReply

LegKey = int
"""Names a leg, or an OPTIONS, in both threads; never reused while the process lives."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Send an INVITE. `address`: where the trunk's host name was found, None if it is one."""

    key: LegKey
    trunk: str
    uri: str
    sender: str
    address: str | None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Ring:
    """Send 180."""

    key: LegKey


@dataclass(frozen=True, slots=True)
class OpenEarly:
    """Send 183 with SDP."""

    key: LegKey


@dataclass(frozen=True, slots=True)
class Answer:
    """Send 200."""

    key: LegKey


@dataclass(frozen=True, slots=True)
class End:
    """CANCEL, BYE or a final response, as the call's state asks."""

    key: LegKey
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class RingTimeout:
    """The trunk's ring_timeout (seconds) passed without an answer."""

    key: LegKey
    seconds: float


@dataclass(frozen=True, slots=True)
class Options:
    """Send an OPTIONS outside a dialog. `address` as in Dial."""

    key: LegKey
    trunk: str
    uri: str
    sender: str
    address: str | None


Command = Dial | Ring | OpenEarly | Answer | End | RingTimeout | Options


@dataclass(frozen=True, slots=True)
class Told:
    """An event for the leg `key`."""

    key: LegKey
    event: LegEvent


@dataclass(frozen=True, slots=True)
class Offered:
    """An INVITE of a known trunk waits to be dealt with."""

    key: LegKey
    trunk: str
    caller: str
    callee: str
    caller_name: str
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Replied:
    """What came of the OPTIONS `key`; a Verdict where it could not be sent by our own fault."""

    key: LegKey
    reply: OptionsReply | Verdict


Outcome = Told | Offered | Replied
