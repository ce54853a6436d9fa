"""MediaEngine: the typed Python face of the native media plane (media.h), on the asyncio thread.

Implements `gateway.ports.Media`, and what the legs ask of media: `webrtc_*` for WebRTC legs,
`sip_*` for SIP legs (those may be called from any thread).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.config.model import MediaConfig
from gateway.errors import (
    BAD_REQUEST,
    MEDIA_FAILED,
    NOT_NEGOTIATED,
    OVERLOADED,
    GatewayError,
)
from gateway.media import _native
from gateway.media.native_events import to_event
from gateway.media.packets import PacketCaptures
from gateway.media.sip_trace import SipTrace, sip_messages_lost
from gateway.media.values import ClockStats, Direction, WebRtcParams
from gateway.observability.timeline.entries import SipPacket
from gateway.ports import (
    DTMF_DIGITS,
    MediaEvent,
    MediaPort,
    MediaSink,
    PortStats,
    RecordClosed,
    RecorderPorts,
)
from gateway.terms import Codec

if TYPE_CHECKING:
    DatagramSink = Callable[[int, bytes, tuple[str, int]], None]

log = logging.getLogger(__name__)
_ffi: Any = _native.ffi
_lib: Any = _native.lib

_CODECS = {
    Codec.OPUS: _lib.GWM_OPUS,
    Codec.PCMU: _lib.GWM_PCMU,
    Codec.PCMA: _lib.GWM_PCMA,
    Codec.G722: _lib.GWM_G722,
    Codec.L16: _lib.GWM_L16,
}
_EVENT_BATCH = 64
# media.h's gwm_datagram: handle, tag, family, UDP port, address.
_DATAGRAM = struct.Struct("=iiHH16s")
_DATAGRAMS_PER_WAKE = 64
# Events of a port that nobody listens to yet: a SIP leg's first digits may come before its owner.
_EARLY_PORTS = 256
_EARLY_EVENTS = 64


_VERDICTS = {
    _lib.GWM_EINVAL: BAD_REQUEST,
    _lib.GWM_EEVENT: NOT_NEGOTIATED,
    _lib.GWM_EFULL: OVERLOADED,
}


def _check(code: int) -> int:
    """The result of a native call, or GatewayError with its verdict and the native words."""
    if code < 0:
        verdict = _VERDICTS.get(code, MEDIA_FAILED)
        raise GatewayError(verdict, _ffi.string(_lib.gwm_last_message()).decode())
    return code


def _check_unless_closed(code: int) -> None:
    if code != _lib.GWM_ENOPORT:
        _check(code)


class MediaEngine:
    """The media plane of this process; there is one. pjsua must be running when it starts."""

    def __init__(self, config: MediaConfig | None = None) -> None:
        self._config = config or MediaConfig()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._datagrams: socket.socket | None = None
        self._sinks: dict[MediaPort, MediaSink] = {}
        self._early: dict[MediaPort, deque[MediaEvent]] = {}
        self._datagram_sinks: dict[MediaPort, DatagramSink] = {}
        self._recorders: set[MediaPort] = set()  # near ports, until RecordClosed
        self._sip_trace: SipTrace | None = None
        self.packets = PacketCaptures()
        self._batch = _ffi.new("gwm_event[]", _EVENT_BATCH)

    # ---- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Takes over the bridge's clock and pjsua's media hook; to be called on the loop."""
        _check(_lib.gwm_start(self._config.direct, self._config.thread_count))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(_lib.gwm_event_fd(), self._on_events)
        # The descriptor stays the media plane's; this object only reads from it.
        self._datagrams = socket.socket(fileno=_lib.gwm_datagram_fd())
        self._loop.add_reader(self._datagrams.fileno(), self._on_datagrams)

    def stop(self) -> None:
        """Closes every port and waits (some tens of milliseconds) for the media threads."""
        if self._loop is None:
            return
        self._loop.remove_reader(_lib.gwm_event_fd())
        if self._datagrams is not None:
            self._loop.remove_reader(self._datagrams.fileno())
            self._datagrams.detach()
            self._datagrams = None
        self._loop = None
        _lib.gwm_stop()
        self._sinks.clear()
        self._early.clear()
        self._datagram_sinks.clear()
        self._recorders.clear()
        self._sip_trace = None

    @property
    def bridge_rate(self) -> int:
        """Sample rate of the bridge in Hz."""
        return _check(_lib.gwm_bridge_rate())

    @property
    def port_count(self) -> int:
        """Live ports; 0 means that nothing is left behind."""
        return int(_lib.gwm_port_count())

    def clock(self, *, begin_anew: bool = True) -> ClockStats:
        """How punctual the bridge was; the maximum and mean are since they last began anew."""
        out = _ffi.new("gwm_clock_stats *")
        _lib.gwm_clock(out, begin_anew)
        return ClockStats(
            ticks=out.ticks,
            late_ticks=out.late_ticks,
            skipped_ticks=out.skipped_ticks,
            max_late_ms=out.max_late_us / 1000,
            mean_late_ms=out.mean_late_us / 1000,
        )

    # ---- events -----------------------------------------------------------------------------

    def subscribe(self, port: MediaPort, sink: MediaSink) -> None:
        """Events of `port` go to `sink`, on the asyncio thread; earlier ones at once."""
        self._sinks[port] = sink
        for event in self._early.pop(port, ()):
            sink(event)

    def unsubscribe(self, port: MediaPort) -> None:
        """Nobody listens to `port` any more."""
        self._sinks.pop(port, None)

    def _on_events(self) -> None:
        while count := _lib.gwm_next_events(self._batch, _EVENT_BATCH):
            for index in range(count):
                native = self._batch[index]
                if native.type == _lib.GWM_SIP_TRACED:
                    if self._sip_trace is not None:
                        self._sip_trace.drain()
                    continue
                if native.type == _lib.GWM_CAPTURE_CLOSED:
                    self.packets.closed(native)
                    continue
                event = to_event(native)
                sink = self._sinks.get(event.port)
                if sink is not None:
                    sink(event)
                elif not isinstance(event, RecordClosed):
                    self._keep(event)
                if isinstance(event, RecordClosed):
                    self._recorders.discard(event.port)
                    self._forget(event.port)

    def _keep(self, event: MediaEvent) -> None:
        while len(self._early) >= _EARLY_PORTS:
            self._early.pop(next(iter(self._early)))
        self._early.setdefault(event.port, deque(maxlen=_EARLY_EVENTS)).append(event)

    def trace_sip(self, sink: Callable[[SipPacket], None]) -> None:
        """From now on every SIP message of this process goes to `sink`; see SipTrace."""
        _check(_lib.gwm_sip_trace_start())
        self._sip_trace = SipTrace(sink)

    @property
    def sip_messages_lost(self) -> int:
        """SIP messages that came faster than they were taken, in this process's life."""
        return sip_messages_lost()

    # ---- every port -------------------------------------------------------------------------

    def connect(self, source: MediaPort, sink: MediaPort) -> None:
        """Mix the audio of `source` into `sink`. A port that is closed already is no error: its
        leg has ended, and says so in the loop's next turn."""
        _check_unless_closed(_lib.gwm_connect(source, sink))

    def disconnect(self, source: MediaPort, sink: MediaPort) -> None:
        """Undo `connect`; nothing happens if it was not connected."""
        _lib.gwm_disconnect(source, sink)

    def close(self, port: MediaPort) -> None:
        """Close a port (also disconnects); nothing happens if it is closed already."""
        _lib.gwm_close(port)
        if port in self._recorders:
            return  # its file is complete later, and somebody waits for that
        self._forget(port)

    def _forget(self, port: MediaPort) -> None:
        self._sinks.pop(port, None)
        self._early.pop(port, None)
        self._datagram_sinks.pop(port, None)

    def stats(self, port: MediaPort) -> PortStats:
        """Counters of a leg's port."""
        out = _ffi.new("gwm_stats *")
        _check(_lib.gwm_port_stats(port, out))
        return PortStats(
            rx_packets=out.rx_packets,
            rx_lost=out.rx_lost,
            tx_packets=out.tx_packets,
            rejected_source=out.rejected_source,
            srtp_failures=out.srtp_failures,
            malformed=out.malformed,
            jitter_ms=out.jitter_us / 1000,
            rtt_ms=out.rtt_us / 1000,
            remote_lost=out.remote_lost,
            dtmf_received=out.dtmf_received,
            dtmf_sent=out.dtmf_sent,
            direct=bool(out.direct),
        )

    def levels(self, port: MediaPort) -> tuple[int, int]:
        """Level of the last frame received and sent, 0..255 (complemented u-law)."""
        received, sent = _ffi.new("unsigned *"), _ffi.new("unsigned *")
        _check(_lib.gwm_levels(port, received, sent))
        return received[0], sent[0]

    # ---- telephone events -------------------------------------------------------------------

    def relay_digits(self, source: MediaPort, sink: MediaPort | None) -> None:
        """Send telephone-events of `source` on to `sink` natively; None keeps them here. A port
        that is closed already is no error, as in `connect`."""
        _check_unless_closed(_lib.gwm_dtmf_relay(source, sink or 0))

    def send_digit(
        self, port: MediaPort, digit: str, duration_ms: int = 100, gap_ms: int = 70
    ) -> int:
        """Queue one tone towards the far end; returns its id (see DigitSent)."""
        event = DTMF_DIGITS.find(digit.upper()) if len(digit) == 1 else -1
        return _check(_lib.gwm_dtmf_send(port, event, duration_ms, gap_ms, 10))

    # ---- sources and sinks ------------------------------------------------------------------

    def play(self, samples: bytes, rate: int, *, loop: bool = False) -> MediaPort:
        """A player port for 16-bit little-endian mono PCM; PlayDone at its end."""
        pcm = _ffi.from_buffer("int16_t[]", samples)
        return _check(_lib.gwm_player_open(pcm, len(samples) // 2, rate, loop))

    def tone(self, frequency: int, second: int = 0, volume: int = 8000) -> MediaPort:
        """A port that gives a steady tone (Hz); volume is the peak sample value."""
        return _check(_lib.gwm_tone_open(frequency, second, volume))

    def record(
        self, path: Path, *, stereo: bool = False, max_ms: int = 0, silence_ms: int = 0
    ) -> RecorderPorts:
        """Ports whose audio is written into a new WAV file; see gateway.ports.Media. Events are
        about the near port; RecordClosed still comes after `close`."""
        far = _ffi.new("int *")
        near = _check(_lib.gwm_recorder_open(str(path).encode(), stereo, max_ms, silence_ms, far))
        self._recorders.add(near)
        return RecorderPorts(near, far[0])

    def record_pause(self, port: MediaPort, paused: bool) -> None:
        """While paused nothing is added to the recording."""
        _check(_lib.gwm_recorder_pause(port, paused))

    def record_mute(self, port: MediaPort, muted: bool) -> None:
        """While muted silence is added to the recording."""
        _check(_lib.gwm_recorder_mute(port, muted))

    # ---- WebRTC legs ------------------------------------------------------------------------

    def webrtc_open(self, params: WebRtcParams) -> MediaPort:
        """A WebRTC leg's stream, SRTP and tap; it has no socket yet."""
        native = _ffi.new("gwm_webrtc_params *")
        native.codec = _CODECS[params.codec]
        native.payload_type = params.payload_type
        native.event_payload_type = (
            -1 if params.event_payload_type is None else params.event_payload_type
        )
        native.event_clock_rate = params.event_clock_rate
        native.event_mask = params.event_mask
        native.ssrc = params.ssrc
        native.srtp_profile = params.srtp_profile
        _ffi.memmove(native.tx_key, params.tx_key, len(params.tx_key))
        _ffi.memmove(native.rx_key, params.rx_key, len(params.rx_key))
        native.key_len = len(params.tx_key)
        native.opus_complexity = params.opus_complexity
        native.opus_bitrate = params.opus_bitrate
        native.rtp_timeout_ms = params.rtp_timeout_ms
        native.cname = params.cname.encode()[:63]
        try:
            return _check(_lib.gwm_webrtc_open(native))
        finally:
            _ffi.memmove(native, bytes(_ffi.sizeof("gwm_webrtc_params")), _ffi.sizeof(native[0]))

    def webrtc_add_socket(self, port: MediaPort, tag: int, fd: int) -> None:
        """A local UDP socket of the leg, read by the media plane from now on."""
        _check(_lib.gwm_webrtc_add_socket(port, tag, fd))

    def webrtc_allow(self, port: MediaPort, ip: str, udp_port: int) -> None:
        """An ICE-validated remote address: only these are heard."""
        _check(_lib.gwm_webrtc_allow(port, ip.encode(), udp_port))

    def webrtc_select(self, port: MediaPort, tag: int, ip: str, udp_port: int) -> None:
        """The selected pair; tag -1 is relayed through Python."""
        _check(_lib.gwm_webrtc_select(port, tag, ip.encode(), udp_port))

    def webrtc_input(self, port: MediaPort, data: bytes) -> None:
        """A datagram that came through a relay."""
        _lib.gwm_webrtc_input(port, data, len(data))

    def webrtc_direction(self, port: MediaPort, direction: Direction) -> None:
        """Hold and resume, as seen from the gateway."""
        _check(_lib.gwm_webrtc_direction(port, direction.value))

    def on_datagrams(self, port: MediaPort, sink: DatagramSink | None) -> None:
        """STUN and DTLS of `port` (tag >= 0), and RTP for its relay (tag -1), go to `sink`."""
        if sink is None:
            self._datagram_sinks.pop(port, None)
        else:
            self._datagram_sinks[port] = sink

    def _on_datagrams(self) -> None:
        assert self._datagrams is not None
        for _ in range(_DATAGRAMS_PER_WAKE):
            try:
                data = self._datagrams.recv(4096)
            except BlockingIOError:
                return
            port, tag, family, udp_port, packed = _DATAGRAM.unpack_from(data)
            sink = self._datagram_sinks.get(port)
            if sink is None:
                continue
            address = (
                ipaddress.IPv4Address(packed[:4]) if family == 4 else ipaddress.IPv6Address(packed)
            )
            sink(tag, data[_DATAGRAM.size :], (str(address), udp_port))

    # ---- SIP legs (any thread) --------------------------------------------------------------

    def sip_media(self, pjsua_call_id: int, conf_slot: int) -> MediaPort:
        """The port of a pjsua call's audio, now at `conf_slot` of the bridge (-1: none)."""
        return _check(_lib.gwm_sip_media(pjsua_call_id, conf_slot))

    def sip_latch(self, port: MediaPort, latch: bool) -> None:
        """Whether the RTP source may be latched once within the first second."""
        _check(_lib.gwm_sip_latch(port, latch))

    def sip_timeout(self, port: MediaPort, timeout_ms: int) -> None:
        """RTP watchdog in milliseconds; 0: none."""
        _check(_lib.gwm_sip_timeout(port, timeout_ms))
