"""baresip as the telephone at the far end: plays a tone, records, reads digits."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

from tests.support.processes import HOST, Program, free_ports, wait_until
from tests.support.tones import Audio, read_wav

MODULE_FOLDER = "/usr/lib/baresip/modules"
AUDIO_RATE = 48_000  # ausine speaks only 48 kHz stereo
RTP_PORTS = 40  # many more than needed: baresip gives up when a few are taken

_CONFIG = """\
sip_listen {host}:{sip}
net_interface {host}
call_local_timeout 120
call_max_calls 8
audio_player aubridge,ear
audio_source ausine,{tone_hz}
audio_alert aubridge,alert
auplay_srate {rate}
ausrc_srate {rate}
auplay_channels 2
ausrc_channels 2
auplay_format s16
ausrc_format s16
auenc_format s16
audec_format s16
rtp_ports {rtp}-{rtp_last}
rtp_bandwidth 512-1024
rtcp_mux no
jitter_buffer_delay 2-8
rtp_stats no
module_path {modules}
module g711.so
module g722.so
module ausine.so
module aubridge.so
module sndfile.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
module_tmp uuid.so
snd_path {recordings}
ctrl_tcp_listen {host}:{control}
"""


def _netstring(text: str) -> bytes:
    data = text.encode()
    return b"%d:%s," % (len(data), data)


class Baresip(Program):
    """One baresip process, auto-answering, with a sine of `tone_hz` as its microphone.

    Attributes:
        port: its SIP port (UDP and TCP).
        rtp_ports: the ports its media may use.
        events: everything it has told over its control socket, in order.
    """

    def __init__(
        self,
        directory: Path,
        *,
        tone_hz: int = 700,
        user: str = "phone",
        codecs: str = "pcmu,pcma",
        auto_answer: bool = True,
        name: str = "baresip",
    ) -> None:
        self.port, self._control, first = free_ports(), free_ports(), free_ports(RTP_PORTS)
        self.rtp_ports = range(first, first + RTP_PORTS)
        self.user = user
        self.events: list[dict[str, Any]] = []
        self._recordings = directory / "recordings"
        self._recordings.mkdir(parents=True)
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        (directory / "config").write_text(
            _CONFIG.format(
                host=HOST,
                sip=self.port,
                control=self._control,
                tone_hz=tone_hz,
                rate=AUDIO_RATE,
                rtp=first,
                rtp_last=first + RTP_PORTS - 1,
                modules=MODULE_FOLDER,
                recordings=self._recordings,
            )
        )
        mode = "auto" if auto_answer else "manual"
        (directory / "accounts").write_text(
            f"<sip:{user}@{HOST}:{self.port}>;regint=0;answermode={mode};audio_codecs={codecs}\n"
        )
        (directory / "contacts").write_text("")
        super().__init__(["baresip", "-f", str(directory)], directory, name)

    async def start(self) -> None:
        """Starts it; returns when its control socket is connected."""
        await super().start()
        reader, self._writer = await self.ready(self._connect, within=15)
        self._reader = asyncio.create_task(self._read(reader))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        with contextlib.suppress(ConnectionRefusedError):
            return await asyncio.open_connection(HOST, self._control)
        return None

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            while True:
                size = int((await reader.readuntil(b":"))[:-1])
                self.events.append(json.loads(await reader.readexactly(size)))
                await reader.readexactly(1)

    async def stop(self, grace: float = 4.0) -> int | None:
        """Ends it."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
        return await super().stop(grace)

    async def command(self, name: str, parameter: str = "") -> None:
        """Runs one of its commands (dial, hangup, accept, hold, resume, sndcode ...)."""
        assert self._writer is not None
        token = f"t{len(self.events)}-{name}"
        message = {"command": name, "params": parameter, "token": token}
        self._writer.write(_netstring(json.dumps(message)))
        await self._writer.drain()
        reply = await wait_until(
            lambda: next((e for e in self.events if e.get("token") == token), None),
            5,
            f"baresip answers {name}",
        )
        assert reply["ok"], f"baresip refuses {name} {parameter}: {reply.get('data')}"

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Its events of one type, e.g. CALL_ESTABLISHED, CALL_CLOSED, CALL_DTMF_START."""
        return [event for event in self.events if event.get("type") == kind]

    async def tells(self, kind: str, within: float, times: int = 1) -> dict[str, Any]:
        """Waits for `times` events of one type and returns the last of them."""
        found = await wait_until(
            lambda: self.told(kind)[times - 1 :], within, f"baresip tells {times} {kind}"
        )
        event: dict[str, Any] = found[0]
        return event

    @property
    def digits(self) -> str:
        """The keys that its own RFC 4733 receiver has read, in order."""
        return "".join(event.get("param", "") for event in self.told("CALL_DTMF_START"))

    def heard(self, call: int = -1) -> Audio:
        """What its last (or `call`-th) call has heard so far."""
        recordings = sorted(self._recordings.glob("dump-*-dec.wav"))
        assert recordings, f"baresip recorded nothing: {self.log[-2000:]}"
        return read_wav(recordings[call])
