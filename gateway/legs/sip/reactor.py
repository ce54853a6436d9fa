"""The SIP thread: it owns every pjsua2 object, takes commands and tells what happened."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import itertools
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Final, assert_never

from gateway.config.model import MediaConfig, SipConfig, Trunk
from gateway.errors import (
    FORBIDDEN,
    INTERNAL,
    MEDIA_FAILED,
    NO_COMMON_CODEC,
    PEER_UNREACHABLE,
    SHUTTING_DOWN,
    TOO_MANY_CALLS,
    GatewayError,
    Verdict,
)
from gateway.legs.sip import headers, sdp
from gateway.legs.sip.accounts import GatewayAccount
from gateway.legs.sip.binding import describe_error, pj
from gateway.legs.sip.call import SipCall, SipMedia
from gateway.legs.sip.messages import (
    Answer,
    Command,
    Dial,
    End,
    LegKey,
    Offered,
    OpenEarly,
    Options,
    Outcome,
    Replied,
    Ring,
    RingTimeout,
    Told,
)
from gateway.legs.sip.stack import MAX_LEGS, Listening, Stack
from gateway.ports import LegDialog, LegEnded, LegEvent, OptionsReply

log = logging.getLogger(__name__)

# Network events and commands wake the thread at once; these only bound how late a timer may be.
BUSY_POLL_MS: Final = 40
IDLE_POLL_MS: Final = 200
_PJ_OS_ERROR: Final = 120000  # PJ_ERRNO_START_SYS: what pjlib adds to errno
_PJ_ETOOMANY: Final = 70010
FAREWELL_SECONDS: Final = 0.5  # longest wait for answers to the last BYEs
FAREWELL_QUIET_SECONDS: Final = 0.1


class SipThread:
    """Runs pjsua. `post` is called on the SIP thread and must not block."""

    def __init__(
        self,
        sip: SipConfig,
        media_config: MediaConfig,
        media: SipMedia,
        post: Callable[[Outcome], None],
        *,
        null_device: bool,
    ) -> None:
        self.media = media
        self.rtp_timeout_ms = int(media_config.rtp_timeout * 1000)
        self._sip = sip
        self._media_config = media_config
        self._post = post
        self._null_device = null_device
        self._keys = itertools.count(1)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._commands: deque[Command] = deque()
        self._stopping = False
        self._closed = False
        self._thread: threading.Thread | None = None
        # Below: SIP thread only.
        self._stack: Stack | None = None
        self._calls: dict[LegKey, SipCall] = {}
        self._offers: deque[tuple[SipCall, str]] = deque()
        self._later: deque[Callable[[], None]] = deque()
        self._dead: list[SipCall] = []

    # ---- any thread -------------------------------------------------------------------------

    def new_key(self) -> LegKey:
        """A fresh leg key."""
        return next(self._keys)

    def submit(self, command: Command) -> None:
        """Have `command` done, within a millisecond as a rule; nothing happens after `join`."""
        if not self._closed:
            self._commands.append(command)
            os.eventfd_write(self._wake, 1)

    def start(
        self,
        started: Callable[[list[Listening] | GatewayError], None],
        finished: Callable[[], None],
    ) -> None:
        """Start the thread; `started` and `finished` are called on it."""
        self._thread = threading.Thread(
            target=self._run, args=(started, finished), name="sip", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End all calls and pjsua; `finished` follows."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)

    def join(self) -> None:
        """Wait until the thread is gone and free what it was woken with."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._closed = True
        os.close(self._wake)

    # ---- the loop ---------------------------------------------------------------------------

    def _run(
        self,
        started: Callable[[list[Listening] | GatewayError], None],
        finished: Callable[[], None],
    ) -> None:
        try:
            self._stack = Stack(
                self._sip, self._media_config, self._invited, null_device=self._null_device
            )
        except GatewayError as error:
            started(error)
            return
        except Exception as error:
            log.exception("SIP stack did not start")
            started(GatewayError(INTERNAL, f"SIP stack did not start: {error}"))
            return
        started(self._stack.listening)
        try:
            self._serve(self._stack)
        finally:
            stack, self._stack = self._stack, None
            stack.close()
            finished()

    def _serve(self, stack: Stack) -> None:
        poller = select.poll()
        poller.register(stack.ioqueue(), select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        while not self._stopping:
            poller.poll(BUSY_POLL_MS if self._calls else IDLE_POLL_MS)
            self._round(stack)
        for call in list(self._calls.values()):
            call.end_now(SHUTTING_DOWN)
        self._settle()
        self._say_farewell(stack, poller)

    def _round(self, stack: Stack) -> int:
        """One turn; a bug in it is logged and costs at most the calls that it touched."""
        try:
            return self._turn(stack)
        except Exception:
            log.exception("SIP thread")
            return 0

    def _turn(self, stack: Stack) -> int:
        """Network and timers, then commands, then what callbacks had left for later."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        events = stack.handle_events()
        self._settle()
        while self._commands:
            self._perform(stack, self._commands.popleft())
            self._settle()
        return events

    def _settle(self) -> None:
        """What must not happen inside pjsua's callbacks."""
        while self._later:
            self._later.popleft()()
        while self._offers:
            self._announce(*self._offers.popleft())
        self._dead.clear()

    def _say_farewell(self, stack: Stack, poller: select.poll) -> None:
        """Let the last BYEs leave and be answered."""
        now = time.monotonic()
        deadline, quiet_since = now + FAREWELL_SECONDS, now
        while now < deadline and now - quiet_since < FAREWELL_QUIET_SECONDS:
            poller.poll(BUSY_POLL_MS)
            now = time.monotonic()
            if self._round(stack) > 0:
                quiet_since = now

    # ---- commands ---------------------------------------------------------------------------

    def _perform(self, stack: Stack, command: Command) -> None:
        """Do one command; its failure ends its call, never the thread."""
        if isinstance(command, Options):
            self._ask(stack, command)
            return
        try:
            if isinstance(command, Dial):
                self._dial(stack, command)
                return
            call = self._calls.get(command.key)
            if call is None:  # ended meanwhile; its leg has been or will be told
                return
            self._command(call, command)
        except pj.Error as error:
            self._failed(command.key, INTERNAL.because(describe_error(error)))
        except Exception:
            log.exception("SIP command %s failed", type(command).__name__)
            self._failed(command.key, INTERNAL)

    def _command(
        self, call: SipCall, command: Ring | OpenEarly | Answer | End | RingTimeout
    ) -> None:
        match command:
            case Ring():
                call.ring()
            case OpenEarly():
                call.open_early()
            case Answer():
                call.accept()
            case End():
                call.end(command.verdict)
            case RingTimeout():
                call.end(call.ring_timeout(command.seconds))
            case _:
                assert_never(command)

    def _dial(self, stack: Stack, command: Dial) -> None:
        if self._stopping or len(self._calls) >= MAX_LEGS:
            verdict = SHUTTING_DOWN if self._stopping else TOO_MANY_CALLS
            self.tell(command.key, LegEnded(verdict, by_peer=False))
            return
        entry = stack.account_for(command.trunk, command.address)
        call = SipCall(entry.account, self, command.key, entry.trunk)
        self._calls[command.key] = call
        try:
            call.dial(command.uri, command.sender, command.headers)
        except pj.Error as error:
            self._failed(command.key, _dial_verdict(error))

    def _ask(self, stack: Stack, command: Options) -> None:
        def told(reply: OptionsReply | Verdict) -> None:
            self._post(Replied(command.key, reply))

        try:
            account = stack.asking_for(command.trunk, command.sender, command.address)
            account.ask(command.uri, told)
        except pj.Error as error:
            told(INTERNAL.because(describe_error(error)))
        except Exception:
            log.exception("OPTIONS")
            told(INTERNAL)

    def _failed(self, key: LegKey, verdict: Verdict) -> None:
        call = self._calls.get(key)
        log.warning("SIP call %d: %s", key, verdict.text)
        if call is None:
            self.tell(key, LegEnded(verdict, by_peer=False))
        else:
            call.end(verdict)

    # ---- incoming ---------------------------------------------------------------------------

    def _invited(self, account: GatewayAccount, call_id: int, source: str, message: str) -> None:
        """pjsua's callback for a new INVITE: decide by its source address."""
        address = _source_address(source)
        trunk = trunk_of(self._sip.trunks, address) if address else None
        key = self.new_key()
        if trunk is None:
            log.info("INVITE from unknown source %s refused", source)
            self._refuse(account, call_id, FORBIDDEN)
            return
        if self._stopping or len(self._calls) >= MAX_LEGS:
            self._refuse(account, call_id, SHUTTING_DOWN if self._stopping else TOO_MANY_CALLS)
            return
        offer = headers.body_of(message)
        if offer and not sdp.has_common_codec(offer, trunk.codecs):
            log.info("INVITE of trunk %s refused: no codec in common", trunk.name)
            self._refuse(account, call_id, NO_COMMON_CODEC)
            return
        call = SipCall(account, self, key, trunk, call_id)
        call.offer = offer
        self._calls[key] = call
        self._offers.append((call, message))

    def _refuse(self, account: GatewayAccount, call_id: int, verdict: Verdict) -> None:
        call = pj.Call(account, call_id)
        prm = pj.CallOpParam()
        prm.statusCode = verdict.sip_status
        call.hangup(prm)

    def _announce(self, call: SipCall, message: str) -> None:
        """Hand the call to the handler, unless pjsua has refused it after its first callback."""
        if call.over:
            return
        if not call.isActive():
            log.info("INVITE of trunk %s failed before it could be handled", call.trunk.name)
            call.over = True
            self.forget(call)
            return
        party = headers.from_party(message)
        dialog = headers.header_values(message, "Call-ID")
        self._post(
            Offered(
                call.key,
                call.trunk.name,
                party.user,
                headers.request_user(message),
                party.name,
                headers.all_headers(message),
            )
        )
        if dialog:
            self.tell(call.key, LegDialog(dialog[0]))

    # ---- what calls ask (CallHost) ----------------------------------------------------------

    def tell(self, key: LegKey, event: LegEvent) -> None:
        """Send an event to the leg `key`."""
        self._post(Told(key, event))

    def later(self, action: Callable[[], None]) -> None:
        """Run `action` when pjsua's callbacks have returned."""
        self._later.append(action)

    def forget(self, call: SipCall) -> None:
        """Keep `call` until pjsua's callbacks have returned, then let it die, on this thread."""
        self._calls.pop(call.key, None)
        self._dead.append(call)


def _dial_verdict(error: pj.Error) -> Verdict:
    """Why an INVITE could not even be made."""
    if error.status == _PJ_ETOOMANY:
        return TOO_MANY_CALLS
    if error.status == _PJ_OS_ERROR + errno.EADDRINUSE:
        return MEDIA_FAILED.because("No free RTP port")
    return PEER_UNREACHABLE.because(describe_error(error))


def trunk_of(trunks: list[Trunk], address: IPv4Address | IPv6Address) -> Trunk | None:
    """The trunk whose `allow` has the longest prefix that covers `address`."""
    best: Trunk | None = None
    longest = -1
    for trunk in trunks:
        for network in trunk.allow:
            if network.prefixlen > longest and address in network:
                best, longest = trunk, network.prefixlen
    return best


def _source_address(source: str) -> IPv4Address | IPv6Address | None:
    """The IP address in pjsip's "address:port"."""
    try:
        address = ipaddress.ip_address(source.rpartition(":")[0].strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
