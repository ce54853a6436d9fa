"""pjsua2's accounts: who incoming calls come to, and outgoing requests from. SIP thread only."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gateway.config.model import Trunk
from gateway.legs.sip.binding import describe_error, pj
from gateway.legs.sip.headers import printable
from gateway.ports import OptionsReply

log = logging.getLogger(__name__)


class GatewayAccount(pj.Account):  # type: ignore[misc]
    """Identity and transport of calls; hands incoming ones to `on_invite`."""

    def __init__(self, on_invite: Callable[[GatewayAccount, int, str, str], None]) -> None:
        super().__init__()
        self._on_invite = on_invite

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:  # noqa: N802
        """An INVITE outside a dialog. A call that nobody takes is refused by pjsua2 with 500."""
        try:
            self._on_invite(self, prm.callId, prm.rdata.srcAddress, prm.rdata.wholeMsg)
        except Exception:
            log.exception("incoming SIP call failed")


@dataclass(frozen=True, slots=True)
class _Asked:
    """An OPTIONS on its way. `token`: what pjsua gives back with its reply, by address."""

    token: Any
    sent: float  # seconds, monotonic
    told: Callable[[OptionsReply], None]


class AskingAccount(GatewayAccount):
    """Asks a trunk by OPTIONS."""

    def __init__(self, on_invite: Callable[[GatewayAccount, int, str, str], None]) -> None:
        super().__init__(on_invite)
        self._asked: dict[int, _Asked] = {}

    def ask(self, uri: str, told: Callable[[OptionsReply], None]) -> None:
        """Send an OPTIONS (RFC 3261 11.1); `told` is called once, perhaps before this returns."""
        token = pj.StringVector()
        address = int(token.this)
        self._asked[address] = _Asked(token, time.monotonic(), told)
        prm = pj.SendRequestParam()
        prm.method = "OPTIONS"
        prm.userData = token.this
        token.thisown = True  # SWIG thinks that it gave the token away
        prm.txOption.targetUri = uri
        try:
            self.sendRequest(prm)
        except pj.Error as error:
            # RFC 3261 8.1.3.1: as if 503 had come. pjsua may have told so already.
            self._reply(address, OptionsReply(503, printable(describe_error(error))))

    def onSendRequest(self, prm: pj.OnSendRequestParam) -> None:  # noqa: N802
        """The transaction has its final response, or will have none."""
        try:
            event = prm.e
            state = event.body.tsxState
            address, asked = int(prm.userData), self._asked.get(int(prm.userData))
            if asked is None:
                return
            received = state.type == pj.PJSIP_EVENT_RX_MSG
            rtt = time.monotonic() - asked.sent if received else None
            transaction = state.tsx
            status, reason = int(transaction.statusCode), printable(str(transaction.statusText))
            self._reply(address, OptionsReply(status, reason, rtt))
        except Exception:
            log.exception("reply to OPTIONS")

    def _reply(self, address: int, reply: OptionsReply) -> None:
        asked = self._asked.pop(address, None)
        if asked is not None:
            asked.told(reply)


A = TypeVar("A", bound=GatewayAccount)


@dataclass(slots=True)
class TrunkAccount(Generic[A]):
    """A trunk, and an account whose requests go there."""

    trunk: Trunk
    account: A
    config: pj.AccountConfig
    address: str | None = None

    def route(self, address: str | None) -> None:
        """Requests go to `address`; None: as their URI says."""
        if address != self.address:
            self.config.sipConfig.proxies = _hidden_route(self.trunk, address)
            self.account.modify(self.config)
            self.address = address


def _hidden_route(trunk: Trunk, address: str | None) -> pj.StringVector:
    """A Route that leads to `address` and is not printed (pjsip's `hide`)."""
    if address is None:
        return pj.StringVector([])
    uri = f"<sip:{bracketed(address)}:{trunk.port};transport={trunk.transport};lr;hide>"
    return pj.StringVector([uri])


def bracketed(host: str) -> str:
    """A host as it stands in a URI (RFC 3261 25.1: IPv6reference)."""
    return f"[{host}]" if ":" in host else host
