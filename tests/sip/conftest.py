"""A SipPlane on free ports with a media plane that only takes notes."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
import pytest_asyncio

from gateway.config.model import MediaConfig, SipConfig, SipListen, Trunk
from gateway.errors import GatewayError
from gateway.legs.sip.binding import pj
from gateway.legs.sip.leg import SipLeg
from gateway.legs.sip.plane import SipPlane
from gateway.ports import IncomingSip, Leg, LegDialog, LegEnded, LegEvent, PortStats
from tests.support.processes import free_ports

E = TypeVar("E")
ANSWER_WITHIN = 8.0  # seconds


class NotedMedia:
    """Takes notes of what the SIP thread asks of the media plane."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, object]] = []
        self.open: set[int] = set()
        self.failure: Exception | None = None
        self._ports: dict[int, int] = {}
        self._last = 100

    def sip_media(self, call: int, slot: int) -> int:
        """See SipMedia."""
        if self.failure is not None:
            raise self.failure
        if call not in self._ports:
            self._last += 1
            self._ports[call] = self._last
            self.open.add(self._last)
        port = self._ports[call]
        self.calls.append(("media", port, slot))
        return port

    def sip_latch(self, port: int, latch: bool) -> None:
        """See SipMedia."""
        self.calls.append(("latch", port, latch))

    def sip_timeout(self, port: int, milliseconds: int) -> None:
        """See SipMedia."""
        self.calls.append(("timeout", port, milliseconds))

    def stats(self, port: int) -> PortStats:
        """See SipMedia."""
        return PortStats(0, 0, 0, 0, 0, 0, 0.0, 0.0, 0, 0, 0)

    def close(self, port: int) -> None:
        """See SipMedia."""
        self.calls.append(("close", port, None))
        self.open.discard(port)
        self._ports = {call: held for call, held in self._ports.items() if held != port}

    def noted(self, what: str) -> list[object]:
        """The arguments of all calls of one kind."""
        return [argument for name, _, argument in self.calls if name == what]


class Heard:
    """What a leg told, and a way to wait for it."""

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self.events: list[LegEvent] = []
        self._changed = asyncio.Event()
        leg.listen(self._hear)

    def _hear(self, event: LegEvent) -> None:
        assert not (self.events and isinstance(self.events[-1], LegEnded)), "event after LegEnded"
        self.events.append(event)
        self._changed.set()

    def all(self, kind: type[E]) -> list[E]:
        """All events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def next(self, kind: type[E], count: int = 1, within: float = ANSWER_WITHIN) -> E:
        """Wait for the `count`th event of a kind."""
        try:
            async with asyncio.timeout(within):
                while len(self.all(kind)) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"no {kind.__name__} number {count}: {self.events}") from None
        return self.all(kind)[count - 1]

    @property
    def kinds(self) -> list[str]:
        """Names of the events so far, but for that of the dialog, which every leg has."""
        return [type(x).__name__ for x in self.events if not isinstance(x, LegDialog)]


@dataclass
class Gateway:
    """A running SipPlane, its notes, and the calls that came in."""

    plane: SipPlane
    media: NotedMedia
    port: int
    incoming: asyncio.Queue[tuple[IncomingSip, Heard]] = field(default_factory=asyncio.Queue)
    refuse: GatewayError | None = None

    def on_incoming(self, call: IncomingSip) -> None:
        """The handler: listens, and leaves the rest to the test."""
        if self.refuse is not None:
            raise self.refuse
        self.incoming.put_nowait((call, Heard(call.leg)))

    def dial(self, leg: SipLeg) -> Heard:
        """Listen to an outgoing leg."""
        return Heard(leg)

    async def offered(self) -> tuple[IncomingSip, Heard]:
        """The next call that comes in."""
        async with asyncio.timeout(ANSWER_WITHIN):
            return await self.incoming.get()


StartGateway = Callable[..., Awaitable[Gateway]]


@pytest_asyncio.fixture
async def start_gateway() -> AsyncIterator[StartGateway]:
    """Starts a SipPlane that listens on UDP and TCP of one port, with the given trunks."""
    async with AsyncExitStack() as stack:

        async def start(
            *trunks: Trunk,
            port: int | None = None,
            patience: float = 10.0,
            rtp_ports: tuple[int, int] = (20000, 31999),
            **media: object,
        ) -> Gateway:
            port = port or free_ports()
            listen = [SipListen(port=port), SipListen(transport="tcp", port=port)]
            low, high = rtp_ports
            sip = SipConfig(listen=listen, trunks=list(trunks), rtp_port_min=low, rtp_port_max=high)
            notes = NotedMedia()
            holder: list[Gateway] = []
            plane = SipPlane(
                sip,
                MediaConfig.model_validate(media),
                notes,
                lambda call: holder[0].on_incoming(call),
                null_device=True,
                patience=patience,
            )
            holder.append(Gateway(plane, notes, port))
            await plane.start()
            stack.push_async_callback(plane.stop)
            return holder[0]

        yield start


@pytest.fixture
def short_timers() -> Iterator[None]:
    """Transactions end after one second instead of 32 (RFC 3261 17: timers B, D, F, H, L, M)."""
    library = ctypes.CDLL(pj._pjsua2.__file__)
    library.pjsip_tsx_set_timers(0, 0, 0, 1000)
    yield
    library.pjsip_tsx_set_timers(0, 0, 0, 32000)


@pytest.fixture
def sip_port() -> int:
    """A port that is free for UDP and TCP on loopback."""
    return free_ports()
