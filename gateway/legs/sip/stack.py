"""pjsua's endpoint: its configuration, transports, accounts and codecs. SIP thread only."""

from __future__ import annotations

import gc
import ipaddress
import logging
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.config.model import MediaConfig, SipConfig, SipListen, Trunk
from gateway.errors import BAD_REQUEST, MEDIA_FAILED, GatewayError
from gateway.legs.sip.binding import (
    describe_error,
    ioqueue_descriptor,
    pj,
    set_log_level,
    shut_down_srtp,
)
from gateway.terms import Codec

log = logging.getLogger(__name__)

# Call slots of this build (PJSUA_MAX_CALLS). Legs stay below by SPARE_SLOTS, so that a slot is
# never taken again while the object of its former call still waits to be freed.
CALL_SLOTS: Final = 1024
SPARE_SLOTS: Final = 64
MAX_LEGS: Final = CALL_SLOTS - SPARE_SLOTS
MEDIA_NICE: Final = -10  # as the media plane's own threads have

_ENABLED: Final = 128  # PJMEDIA_CODEC_PRIO_NORMAL
_PJ_WARNING: Final = 2  # pjlib log levels: 1 error, 2 warning
_URI_USER: Final = re.compile(r"(sips?:)[^@\s>;]+@", re.I)
_TRANSPORTS: Final = {"udp": pj.PJSIP_TRANSPORT_UDP, "tcp": pj.PJSIP_TRANSPORT_TCP}
_ENUMERATED: Final = {  # pjsua's names: for G.722 it says the sampling rate
    Codec.OPUS: ("opus/48000/2",),
    Codec.PCMU: ("PCMU/8000/1",),
    Codec.PCMA: ("PCMA/8000/1",),
    Codec.G722: ("G722/16000/1",),
    Codec.L16: ("L16/16000/1", "L16/44100/1"),  # the first only if the build has it
}


@contextmanager
def _media_priority() -> Iterator[None]:
    """Threads started meanwhile (PJMEDIA's bridge workers and RTP reader) inherit a nice value
    ahead of ordinary threads, where the system lets us: a late media thread is heard.
    """
    thread = threading.get_native_id()
    before = os.getpriority(os.PRIO_PROCESS, thread)
    try:
        os.setpriority(os.PRIO_PROCESS, thread, MEDIA_NICE)
    except PermissionError:
        log.info("media threads run at ordinary priority: CAP_SYS_NICE would let them run ahead")
        yield
        return
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, thread, before)


class LogToPython(pj.LogWriter):  # type: ignore[misc]
    """pjsip's warnings as Python log records, without the user parts of URIs."""

    def write(self, entry: pj.LogEntry) -> None:
        """One line of pjsip's log."""
        level = logging.ERROR if entry.level <= 1 else logging.WARNING
        log.log(level, "pjsip: %s", _URI_USER.sub(r"\1***@", entry.msg.strip()))


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


@dataclass(slots=True)
class TrunkAccount:
    """A trunk and the account that its outgoing calls are made with."""

    trunk: Trunk
    account: GatewayAccount
    config: pj.AccountConfig
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Listening:
    """A transport that is up. `host` and `port` as bound."""

    listen: SipListen
    transport_id: int
    host: str
    port: int


class Stack:
    """pjsua from libCreate to libDestroy."""

    def __init__(
        self,
        sip: SipConfig,
        media: MediaConfig,
        on_invite: Callable[[GatewayAccount, int, str, str], None],
        *,
        null_device: bool,
    ) -> None:
        self.trunks: dict[str, TrunkAccount] = {}
        self.listening: list[Listening] = []
        self._local: list[GatewayAccount] = []
        self._sip = sip
        self._media = media
        self._on_invite = on_invite
        set_log_level(0)  # until libInit sets it, pjlib writes to standard output
        if _is_running():
            set_log_level(_PJ_WARNING)
            raise GatewayError(MEDIA_FAILED, "this process has a SIP stack already")
        # Not subclassed: a director would take the GIL in callbacks of the media threads.
        self.endpoint = pj.Endpoint()
        trouble = "unknown"
        try:
            trouble = self._try_to_bring_up(null_device)
        finally:
            if trouble:
                self.close()
        if trouble:
            raise GatewayError(MEDIA_FAILED, trouble)

    def close(self) -> None:
        """Free pjsua. No call may be referenced any more; the peers get no more time to answer."""
        self.trunks.clear()
        self._local.clear()
        gc.collect()  # Account objects must die before the library
        try:
            self.endpoint.libDestroy(pj.PJSUA_DESTROY_NO_RX_MSG)
        except pj.Error as error:
            log.warning("closing pjsua: %s", describe_error(error))
        del self.endpoint
        gc.collect()
        shut_down_srtp()

    def ioqueue(self) -> int:
        """A descriptor that is readable when `handle_events` has network work."""
        return ioqueue_descriptor(self.endpoint)

    def handle_events(self) -> int:
        """Run due timers and callbacks; returns how many events there were."""
        return int(self.endpoint.libHandleEvents(0))

    def account_for(self, trunk: str, address: str | None) -> TrunkAccount:
        """The trunk's account, its calls routed to `address` (None: as the URI says)."""
        entry = self.trunks[trunk]
        if address != entry.address:
            entry.config.sipConfig.proxies = _route(entry.trunk, address)
            entry.account.modify(entry.config)
            entry.address = address
        return entry

    # ---- set-up -----------------------------------------------------------------------------

    def _try_to_bring_up(self, null_device: bool) -> str:
        """Returns what went wrong, or nothing. A pj.Error must not get out, not even as the context
        of another exception: its traceback would keep the endpoint alive.
        """
        try:
            self._bring_up(null_device)
        except pj.Error as error:
            return f"SIP stack did not start: {describe_error(error)}"
        return ""

    def _bring_up(self, null_device: bool) -> None:
        self.endpoint.libCreate()
        with _media_priority():
            self.endpoint.libInit(self._endpoint_config())
        for listen in self._sip.listen:
            self.listening.append(self._listen(listen))
        self.endpoint.libStart()
        if null_device:
            self.endpoint.audDevManager().setNullDev()
        else:
            self.endpoint.audDevManager().setNoDev()
        self._set_codecs()
        # Incoming calls choose an account by transport and by the domain in To; these come first
        # and win, because trunk accounts carry a domain that nobody calls.
        for up in self.listening:
            config = self._account_config(up, f"sip:gateway@{_bracketed(up.host)}")
            self._local.append(self._create(config))
        for trunk in self._sip.trunks:
            self._add_trunk(trunk)

    def _endpoint_config(self) -> pj.EpConfig:
        config = pj.EpConfig()
        ua = config.uaConfig
        ua.threadCnt = 0
        ua.mainThreadOnly = True
        ua.maxCalls = CALL_SLOTS
        ua.userAgent = self._sip.user_agent
        ua.natTypeInSdp = 0
        # Names in a peer's Contact are looked up by pjsip's own resolver: without name servers it
        # would call getaddrinfo and stop every call meanwhile.
        ua.nameserver = pj.StringVector(_name_servers())
        media = config.medConfig
        media.clockRate = self._media.rate
        media.sndClockRate = self._media.rate
        media.channelCount = 1
        media.audioFramePtime = 20
        media.confThreads = self._media.thread_count
        media.hasIoqueue = True
        media.threadCnt = 1
        media.noVad = True
        media.quality = 2  # speex resampler at its VoIP quality; 3 and 4 cost 2.5 times as much
        media.sndAutoCloseTime = -1
        media.ecTailLen = 0
        writer = LogToPython()
        config.logConfig.level = _PJ_WARNING
        config.logConfig.consoleLevel = 0
        config.logConfig.msgLogging = 0
        config.logConfig.writer = writer
        writer.__disown__()  # libDestroy deletes it
        return config

    def _listen(self, listen: SipListen) -> Listening:
        config = pj.TransportConfig()
        config.boundAddress = str(listen.address)
        config.port = listen.port
        # Without it, Nagle's algorithm and delayed ACKs hold our second response for 40 ms.
        no_delay = pj.SockOpt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if listen.transport == "tcp":
            # SWIG's copies point into `no_delay`: it must live until transportCreate returns.
            config.sockOptParams.sockOpts = pj.SockOptVector([no_delay])
        kind = _TRANSPORTS[listen.transport]
        if listen.address.version == 6:
            kind += pj.PJSIP_TRANSPORT_IPV6
        number, trouble = -1, ""
        try:
            number = self.endpoint.transportCreate(kind, config)
        except pj.Error as error:
            trouble = str(error.reason)
        if trouble:
            where = f"{listen.transport} {listen.address}:{listen.port}"
            text = f"cannot listen on {where}: {trouble}: is another program using the port?"
            raise GatewayError(MEDIA_FAILED, text)
        info = self.endpoint.transportGetInfo(number)
        host, _, port = str(info.localName).rpartition(":")
        return Listening(listen, number, host.strip("[]"), int(port))

    def _set_codecs(self) -> None:
        """Enable what the trunks ask for; each call's SDP is cut down to its trunk's list."""
        wanted = {codec for trunk in self._sip.trunks for codec in trunk.codecs}
        present = {str(info.codecId) for info in self.endpoint.codecEnum2()}
        for name in present:
            self.endpoint.codecSetPriority(name, 0)
        for codec in wanted:
            names = present.intersection(_ENUMERATED[codec])
            if not names:
                text = f"this build of pjproject has no codec {codec}: take it off the trunks"
                raise GatewayError(BAD_REQUEST, text)
            for name in names:
                self.endpoint.codecSetPriority(name, _ENABLED)
        if Codec.OPUS in wanted:
            opus = self.endpoint.getCodecOpusConfig()
            opus.sample_rate = self._media.rate
            opus.channel_cnt = 1
            self.endpoint.setCodecOpusConfig(opus)

    def _add_trunk(self, trunk: Trunk) -> None:
        up = _choose(self.listening, trunk)
        config = self._account_config(up, f"sip:gateway@{trunk.name}.invalid")
        if trunk.username is not None:
            password = trunk.password.get_secret_value() if trunk.password else ""
            credential = pj.AuthCredInfo("digest", "*", trunk.username, 0, password)
            config.sipConfig.authCreds = pj.AuthCredInfoVector([credential])
        self.trunks[trunk.name] = TrunkAccount(trunk, self._create(config), config)

    def _create(self, config: pj.AccountConfig) -> GatewayAccount:
        account = GatewayAccount(self._on_invite)
        account.create(config)
        return account

    def _account_config(self, up: Listening, identity: str) -> pj.AccountConfig:
        config = pj.AccountConfig()
        config.idUri = identity
        config.sipConfig.transportId = up.transport_id
        config.sipConfig.ipv6Use = pj.PJSUA_IPV6_DISABLED
        config.regConfig.registerOnAdd = False
        media = config.mediaConfig
        # By default pjsua resolves the host name within makeCall.
        media.ipv6Use = pj.PJSUA_IPV6_DISABLED
        media.transportConfig.port = self._sip.rtp_port_min
        media.transportConfig.portRange = self._sip.rtp_port_max - self._sip.rtp_port_min
        media.transportConfig.randomizePort = True
        if not up.listen.address.is_unspecified:
            media.transportConfig.boundAddress = str(up.listen.address)
        if up.listen.address.version == 6:
            config.sipConfig.ipv6Use = pj.PJSUA_IPV6_ENABLED_USE_IPV6_ONLY
            media.ipv6Use = pj.PJSUA_IPV6_ENABLED_USE_IPV6_ONLY
        nat = config.natConfig
        nat.iceEnabled = False
        nat.contactRewriteUse = 0
        nat.viaRewriteUse = False
        nat.sdpNatRewriteUse = False
        nat.sipOutboundUse = False
        return config


def _is_running() -> bool:
    """Whether an endpoint exists: a second one would end the process."""
    try:
        pj.Endpoint.instance()
    except pj.Error:
        return False
    return True


def _choose(listening: Sequence[Listening], trunk: Trunk) -> Listening:
    """The transport for calls to `trunk`: of its kind, and on loopback if the trunk is."""
    usable = [up for up in listening if up.listen.transport == trunk.transport]
    if not usable:
        text = (
            f"trunk {trunk.name!r} uses {trunk.transport}, but sip.listen has no such entry: "
            f"add one with transport: {trunk.transport}"
        )
        raise GatewayError(BAD_REQUEST, text)
    try:
        host = ipaddress.ip_address(trunk.host)
    except ValueError:
        return usable[0]

    def fits(up: Listening) -> tuple[bool, bool, bool]:
        own = up.listen.address
        return own.version == host.version, own == host, own.is_loopback == host.is_loopback

    return max(usable, key=fits)


def _route(trunk: Trunk, address: str | None) -> pj.StringVector:
    """A Route that leads to `address` and is not printed (pjsip's `hide`)."""
    if address is None:
        return pj.StringVector([])
    uri = f"<sip:{_bracketed(address)}:{trunk.port};transport={trunk.transport};lr;hide>"
    return pj.StringVector([uri])


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _name_servers(path: Path = Path("/etc/resolv.conf")) -> list[str]:
    """The system's name servers; the local host where it has none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    found = []
    for line in lines:
        words: list[Any] = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                found.append(str(ipaddress.IPv4Address(words[1])))
            except ValueError:
                continue
    return found[:4] or ["127.0.0.1"]
