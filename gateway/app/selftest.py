"""The self-test: a call from a WebRTC endpoint through the dialplan to a SIP loop and back.

Everything runs in this process on loopback and on free ports: the probe plays the browser, calls
`echo` over the gateway's own HTTP endpoint, the dialplan sends it to the gateway's own SIP port,
and the echo program at the far end sends back what it hears, digit by digit.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
import numpy as np

from gateway.app.node import Node
from gateway.config.document import parse_document
from gateway.config.model import (
    BridgeRate,
    HttpConfig,
    MediaConfig,
    NodeConfig,
    SipConfig,
    SipListen,
    Trunk,
)
from gateway.dialplan import Plan, plan_from
from gateway.errors import NO_ANSWER, GatewayError
from gateway.events import CallCreated, DigitReceived
from gateway.legs.webrtc.peer import ProbePeer
from gateway.ports import DTMF_DIGITS

DURATIONS_MS = (40, 100, 500)
TOLERANCE_MS = 20  # one packet time
GAP_MS = 60
TONE_HZ = 700
BURSTS = 8
BURST_SECONDS = 0.2
PAUSE_SECONDS = 0.4
LOUD = 1000  # sample value that only the tone reaches
SETTLE_SECONDS = 1.0
PATIENCE_SECONDS = 10.0
LOOP = "loop"
TRIES = 3
STALL_MS = 40  # with two frames under way, close to the 60 ms that end an event

_DIALPLAN = """
contexts:
  browser:
    - match: echo
      dial: {trunk: loop, number: echo}
  loop:
    - match: echo
      echo:
"""


@dataclass(frozen=True, slots=True)
class DigitVerdict:
    """One digit in one direction; `received_ms` is None when it never came."""

    direction: str
    digit: str
    sent_ms: int
    received_ms: int | None
    ok: bool


@dataclass(slots=True)
class Report:
    """What the self-test found. Times in milliseconds."""

    ok: bool = False
    setup_ms: float | None = None
    round_trip_ms: float | None = None
    lost_percent: float | None = None
    digits: list[DigitVerdict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def run_selftest(bridge_rate: BridgeRate = 16000) -> Report:
    """Runs it all, about 20 seconds. A failure is a problem in the report, never an exception."""
    report = Report()
    node = Node(loop_config(bridge_rate), loop_plan())
    try:
        await node.start()
        try:
            await _call(node, report)
        finally:
            await node.stop()
    except GatewayError as error:
        report.problems.append(str(error))
    except TimeoutError:
        report.problems.append("gave up waiting for the call")
    report.ok = not report.problems
    return report


def loop_plan() -> Plan:
    """Browsers' calls to `echo` go to the SIP loop, where the echo program answers."""
    return plan_from(parse_document(_DIALPLAN, "selftest"))


def loop_config(bridge_rate: BridgeRate) -> NodeConfig:
    """A node on loopback and free ports whose trunk `loop` is itself."""
    port = _free_port()
    return NodeConfig(
        demo=True,
        http=HttpConfig(port=0),
        media=MediaConfig(bridge_rate=bridge_rate),
        sip=SipConfig(
            listen=[SipListen(port=port)],
            trunks=[
                Trunk.model_validate(
                    {"name": LOOP, "host": "127.0.0.1", "port": port, "allow": ["127.0.0.1/32"]}
                )
            ],
        ),
        dialplan="selftest",
    )


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _call(node: Node, report: Report) -> None:
    peer = ProbePeer()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            began = time.monotonic()
            await peer.accept(await _post_offer(node, await peer.offer()))
            peer.start_tone(TONE_HZ)
            await _until(lambda: _loudest(peer.received_audio(0.2)) > LOUD)
            report.setup_ms = round((time.monotonic() - began) * 1000, 1)
        await _measure_audio(peer, report)
        for duration in DURATIONS_MS:
            report.digits += await _steady_digits(node, peer, duration, report)
        _measure_loss(peer, report)
    finally:
        await peer.close()


async def _post_offer(node: Node, offer: str) -> str:
    """Places the call as a WHIP client does; the answer."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{node.http_url}/v1/webrtc/calls",
            params={"to": "echo"},
            data=offer,
            headers={"Content-Type": "application/sdp"},
        ) as response,
    ):
        body = await response.text()
        if response.status != 201:
            raise GatewayError(
                NO_ANSWER, f"POST /v1/webrtc/calls answered {response.status}: {body}"
            )
        return body


async def _until(reached: Callable[[], bool]) -> None:
    """Waits for what comes over the network; raises TimeoutError after PATIENCE_SECONDS."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not reached():  # noqa: ASYNC110 - the probe collects, it tells nobody
            await asyncio.sleep(0.02)


def _loudest(pcm: bytes) -> int:
    samples = np.frombuffer(pcm, "<i2")
    return int(np.abs(samples.astype(np.int32)).max()) if len(samples) else 0


async def _measure_audio(peer: ProbePeer, report: Report) -> None:
    """The tone comes back at its frequency; bursts of it tell how long the way is."""
    await asyncio.sleep(SETTLE_SECONDS)
    heard = np.frombuffer(peer.received_audio(0.5), "<i2")
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    frequency = float(np.argmax(spectrum) * peer.sample_rate / len(heard))
    if abs(frequency - TONE_HZ) > 10:
        report.problems.append(f"a tone of {TONE_HZ} Hz came back as {frequency:.0f} Hz")
    delays = [await _burst(peer) for _ in range(BURSTS)]
    peer.start_tone(0)
    heard_again = [delay for delay in delays if delay is not None]
    if len(heard_again) < BURSTS // 2:
        report.problems.append("tone bursts did not come back")
    else:
        report.round_trip_ms = round(statistics.median(heard_again), 1)


async def _burst(peer: ProbePeer) -> float | None:
    """Milliseconds from sending a burst of the tone to hearing it; None if it never came."""
    peer.start_tone(0)
    await asyncio.sleep(PAUSE_SECONDS)
    peer.start_tone(TONE_HZ)
    await asyncio.sleep(BURST_SECONDS)
    sent = peer.tone_sent_at
    try:
        await _until(lambda: _onset(peer, sent) is not None)
    except TimeoutError:
        return None
    onset = _onset(peer, sent)
    return None if onset is None else (onset - sent) * 1000


def _onset(peer: ProbePeer, since: float) -> float | None:
    """When the first loud sample after `since` arrived, CLOCK_MONOTONIC seconds."""
    for frame in peer.heard:
        if frame.arrived <= since:
            continue
        loud = np.flatnonzero(np.abs(np.frombuffer(frame.pcm, "<i2").astype(np.int32)) > LOUD)
        if len(loud):
            return frame.arrived + float(loud[0]) / peer.sample_rate
    return None


async def _steady_digits(
    node: Node, peer: ProbePeer, duration: int, report: Report
) -> list[DigitVerdict]:
    """All sixteen digits, judged. A try during which the machine held up the media clock or the
    probe for about as long as RFC 4733 lets a receiver wait (three updates, 60 ms) judges the
    machine and not the gateway: it is repeated, and the report says so.
    """
    for _ in range(TRIES):
        node.media.clock()
        peer.late = 0.0
        verdicts, problems = await _measure_digits(node, peer, duration)
        late = max(node.media.clock().max_late_ms, peer.late * 1000)
        if not problems or late < STALL_MS:
            break
        report.notes.append(f"{duration} ms digits repeated: the machine stalled for {late:.0f} ms")
    report.problems += problems
    return verdicts


async def _measure_digits(
    node: Node, peer: ProbePeer, duration: int
) -> tuple[list[DigitVerdict], list[str]]:
    """All sixteen digits out; the far end's log and the echo tell what became of them."""
    before = len(peer.received_digits)
    far_before = len(_far_digits(node))
    await peer.send_digits(DTMF_DIGITS, duration_ms=duration, gap_ms=GAP_MS)
    with contextlib.suppress(TimeoutError):  # what is missing is told digit by digit below
        await _until(lambda: len(peer.received_digits) >= before + len(DTMF_DIGITS))
    outward = [(d.digit, d.duration_ms) for d in _far_digits(node)[far_before:]]
    back = [(d.digit, d.duration_ms) for d in peer.received_digits[before:]]
    # The echo sends each digit back for as long as it heard it.
    heard = dict(outward)
    echoed = {digit: heard.get(digit, duration) for digit in DTMF_DIGITS}
    out = _judge("browser to SIP", dict.fromkeys(DTMF_DIGITS, duration), outward)
    home = _judge("SIP to browser", echoed, back)
    return out[0] + home[0], out[1] + home[1]


def _judge(
    direction: str, sent: dict[str, int], received: list[tuple[str, int]]
) -> tuple[list[DigitVerdict], list[str]]:
    """Each digit once, in order, as long as it was sent."""
    durations = dict(received)
    verdicts, problems = [], []
    for digit, sent_ms in sent.items():
        received_ms = durations.get(digit)
        ok = received_ms is not None and abs(received_ms - sent_ms) <= TOLERANCE_MS
        verdicts.append(DigitVerdict(direction, digit, sent_ms, received_ms, ok))
        if not ok:
            problems.append(f"{direction}: {digit} of {sent_ms} ms came as {received_ms} ms")
    if [digit for digit, _ in received] != list(sent):
        heard = "".join(digit for digit, _ in received)
        problems.append(f"{direction}: {''.join(sent)} came as {heard}")
    return verdicts, problems


def _far_digits(node: Node) -> list[DigitReceived]:
    """What the SIP loop's called side heard."""
    held = node.events.replay(0)
    far = {
        item.call
        for item in held
        if isinstance(item.event, CallCreated) and item.event.context == LOOP
    }
    return [
        item.event for item in held if item.call in far and isinstance(item.event, DigitReceived)
    ]


def _measure_loss(peer: ProbePeer, report: Report) -> None:
    stats = peer.stats
    total = stats.received + stats.lost
    report.lost_percent = round(100 * stats.lost / total, 3) if total else 100.0
    if stats.lost:
        report.problems.append(f"{stats.lost} of {total} packets were lost")
