"""SIP for the rest of the gateway: makes outgoing legs, hands over incoming ones."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from gateway.config.model import MediaConfig, SipConfig, Trunk
from gateway.errors import (
    BAD_REQUEST,
    INTERNAL,
    NOT_FOUND,
    PEER_UNREACHABLE,
    SHUTTING_DOWN,
    GatewayError,
)
from gateway.legs.sip import headers
from gateway.legs.sip.accounts import bracketed
from gateway.legs.sip.call import SipMedia
from gateway.legs.sip.leg import PATIENCE_SECONDS, SipLeg
from gateway.legs.sip.messages import Dial, LegKey, Offered, Options, Outcome, Replied, Told
from gateway.legs.sip.reactor import SipThread
from gateway.legs.sip.stack import Listening, transport_for
from gateway.ports import IncomingSip, LegEnded, OptionsReply, SipTarget

__all__ = ["SipMedia", "SipPlane"]

log = logging.getLogger(__name__)

NOBODY: Final = "anonymous"
"""User part of From when neither the call nor the trunk names a caller."""


class SipPlane:
    """All SIP of this node (see gateway.ports.SipPlane). One per process; asyncio thread only.

    `on_incoming` is called with each INVITE of a known trunk. Order of life: `start`, then the
    media plane's start; the media plane's stop, then `stop`. `null_device` runs pjsua's own
    bridge clock, for use without the media plane.
    """

    def __init__(
        self,
        sip: SipConfig,
        media_config: MediaConfig,
        media: SipMedia,
        on_incoming: Callable[[IncomingSip], None],
        *,
        null_device: bool = False,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._trunks = {trunk.name: trunk for trunk in sip.trunks}
        self._on_incoming = on_incoming
        self._patience = patience
        self._legs: dict[LegKey, SipLeg] = {}
        self._lookups: set[asyncio.Task[None]] = set()
        self._asked: dict[LegKey, asyncio.Future[OptionsReply]] = {}
        self._asked_at: dict[str, str] = {}  # the address, by trunk
        self._listening: list[Listening] = []
        self._running = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finished = asyncio.Event()
        self._thread = SipThread(
            sip, media_config, media, self._post_from_sip, null_device=null_device
        )

    # ---- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bring pjsua up. Raises GatewayError when a transport cannot listen."""
        loop = self._loop = asyncio.get_running_loop()
        up: asyncio.Future[list[Listening]] = loop.create_future()

        def settle(result: list[Listening] | GatewayError) -> None:
            if isinstance(result, GatewayError):
                up.set_exception(result)
            else:
                up.set_result(result)

        self._thread.start(
            lambda result: _call_soon(loop, settle, result),
            lambda: _call_soon(loop, self._finished.set),
        )
        try:
            self._listening = await up
        except GatewayError:
            self._thread.join()
            raise
        self._running = True

    async def stop(self) -> None:
        """End all calls (SHUTTING_DOWN) and free pjsua; takes at most a second or two."""
        if not self._running:
            return
        self._running = False
        for task in list(self._lookups):
            task.cancel()
        self._thread.stop()
        await self._finished.wait()
        self._thread.join()
        await asyncio.sleep(0)  # what the thread told last has been delivered
        for leg in list(self._legs.values()):
            leg.deliver(LegEnded(SHUTTING_DOWN, by_peer=False))
        for key in list(self._asked):
            self._on_reply(Replied(key, SHUTTING_DOWN))

    @property
    def listening(self) -> list[tuple[str, str, int]]:
        """Transport, address and port of each listening transport, as bound."""
        return [(up.listen.transport, up.host, up.port) for up in self._listening]

    @property
    def leg_count(self) -> int:
        """Legs that have not ended."""
        return len(self._legs)

    # ---- outgoing ---------------------------------------------------------------------------

    def dial(self, target: SipTarget) -> SipLeg:
        """Send an INVITE. Raises GatewayError: NOT_FOUND for an unknown trunk, BAD_REQUEST for a
        number or caller that cannot stand in a SIP URI, or a header that cannot be one.
        """
        trunk = self._trunk(target.trunk)
        number = headers.user_part(target.number, "number")
        sender = self._sender(trunk, target)
        more = headers.more_headers(target.headers)
        if target.withheld:
            more += (("Privacy", "id"),)  # RFC 3325 9.3
        address, hostport = _as_address(trunk.host), _hostport(trunk)
        uri = f"sip:{number}@{hostport}"
        patience = target.ring_timeout or trunk.ring_timeout
        leg = self._new_leg(self._thread.new_key(), incoming=False, patience=patience)
        dial = Dial(leg.key, trunk.name, uri, sender, None, more)
        if address is None:
            task = asyncio.get_running_loop().create_task(self._look_up(leg, dial, trunk))
            self._lookups.add(task)
            task.add_done_callback(self._lookups.discard)
            leg.dial_when(task)
        else:
            self._thread.submit(dial)
        return leg

    async def options(self, trunk: str) -> OptionsReply:
        """See gateway.ports.SipOptions."""
        known = self._trunk(trunk)
        sender, uri = self._sender(known, SipTarget(trunk, "")), f"sip:{_hostport(known)}"
        address = None
        if _as_address(known.host) is None:
            try:
                found = await _addresses(known)
            except OSError as error:
                return OptionsReply(503, f"cannot resolve {known.host}: {error.strerror or error}")
            # Of several addresses the same one again: pjsua keeps memory for each change.
            if (address := self._asked_at.get(trunk)) not in found:
                address = self._asked_at[trunk] = found[0]
            self._trunk(trunk)
        key = self._thread.new_key()
        asked: asyncio.Future[OptionsReply] = asyncio.get_running_loop().create_future()
        self._asked[key] = asked
        self._thread.submit(Options(key, trunk, uri, sender, address))
        try:
            return await asked
        finally:
            del self._asked[key]

    def _trunk(self, name: str) -> Trunk:
        if not self._running:
            raise GatewayError(SHUTTING_DOWN)
        trunk = self._trunks.get(name)
        if trunk is None:
            raise GatewayError(NOT_FOUND, f"no trunk is called {name!r}")
        return trunk

    def _sender(self, trunk: Trunk, target: SipTarget) -> str:
        if target.withheld:
            return '"Anonymous" <sip:anonymous@anonymous.invalid>'  # RFC 3323 4.1.1.3
        caller = target.caller or trunk.caller or trunk.username or NOBODY
        return f"<sip:{headers.user_part(caller, 'caller')}@{self._own_domain(trunk)}>"

    async def _look_up(self, leg: SipLeg, dial: Dial, trunk: Trunk) -> None:
        """Resolve the trunk's host here: pjsip would stop all calls meanwhile."""
        try:
            found = await _addresses(trunk)
        except OSError as error:
            text = f"cannot resolve {trunk.host}: {error.strerror or error}"
            leg.dialled()
            leg.deliver(LegEnded(PEER_UNREACHABLE.because(text), by_peer=False))
            return
        leg.dialled()
        self._thread.submit(replace(dial, address=found[0]))

    def _own_domain(self, trunk: Trunk) -> str:
        """Domain of From: the provider's where we have an account there, else our address."""
        if trunk.username is not None:
            return trunk.host
        return bracketed(transport_for(self._listening, trunk).host)

    # ---- from the SIP thread ----------------------------------------------------------------

    def _post_from_sip(self, outcome: Outcome) -> None:
        assert self._loop is not None
        _call_soon(self._loop, self._on_outcome, outcome)

    def _on_outcome(self, outcome: Outcome) -> None:
        if isinstance(outcome, Told):
            leg = self._legs.get(outcome.key)
            if leg is not None:
                leg.deliver(outcome.event)
        elif isinstance(outcome, Replied):
            self._on_reply(outcome)
        else:
            self._on_offer(outcome)

    def _on_reply(self, outcome: Replied) -> None:
        asked = self._asked.get(outcome.key)
        if asked is None or asked.done():  # who asked waits no more
            return
        if isinstance(outcome.reply, OptionsReply):
            asked.set_result(outcome.reply)
        else:
            asked.set_exception(GatewayError(outcome.reply))

    def _on_offer(self, offer: Offered) -> None:
        leg = self._new_leg(offer.key, incoming=True, patience=self._patience)
        if not self._running:
            leg.hangup(SHUTTING_DOWN)
            return
        incoming = IncomingSip(
            leg, offer.trunk, offer.caller, offer.callee, offer.caller_name, offer.headers
        )
        try:
            self._on_incoming(incoming)
        except GatewayError as error:
            leg.hangup(error.verdict)
        except Exception:
            log.exception("the handler of incoming SIP calls failed")
            leg.hangup(INTERNAL)

    def _new_leg(self, key: LegKey, *, incoming: bool, patience: float) -> SipLeg:
        leg = SipLeg(key, self._thread.submit, self._forget, incoming=incoming, patience=patience)
        self._legs[key] = leg
        return leg

    def _forget(self, leg: SipLeg) -> None:
        self._legs.pop(leg.key, None)


def _as_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _hostport(trunk: Trunk) -> str:
    """What follows the user part in URIs at the trunk. Raises GatewayError(BAD_REQUEST)."""
    address = _as_address(trunk.host)
    if address is None and not headers.is_host_name(trunk.host):
        raise GatewayError(BAD_REQUEST, f"trunk {trunk.name!r} has no valid host name")
    host = f"[{address}]" if address and address.version == 6 else trunk.host
    transport = "" if trunk.transport == "udp" else f";transport={trunk.transport}"
    return f"{host}:{trunk.port}{transport}"


async def _addresses(trunk: Trunk) -> list[str]:
    """The host's IPv4 addresses, at least one. Raises OSError."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(
            trunk.host, trunk.port, family=socket.AF_INET, type=socket.SOCK_DGRAM
        )
    except UnicodeError:  # a label is empty or too long (RFC 1035 2.3.4)
        raise OSError("no host name") from None
    return [str(entry[4][0]) for entry in found]


def _call_soon(
    loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *args: object
) -> None:
    """Run `callback` on the loop's thread; nothing happens when the loop is closed already."""
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        log.warning("SIP event dropped: the event loop is closed")
