"""A program: WebRTC legs on the real media plane; prints what happened as JSON.

A process of its own, because pjsua starts only once in a process and other tests have theirs.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import os
import statistics
import sys
from array import array
from typing import Any

import pjgw.pjsua2 as pj
import uvloop

from gateway.config.model import WebRtcConfig
from gateway.errors import NORMAL
from gateway.legs.webrtc.peer import ProbePeer
from gateway.legs.webrtc.peer_sdp import OfferShape
from gateway.legs.webrtc.plane import WebRtcPlane
from gateway.media.engine import MediaEngine
from gateway.media.values import Direction
from gateway.terms import Codec
from tests.webrtc.conftest import until

CHURN = 40


def _start_pjsua() -> pj.Endpoint:
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.logConfig.level = config.logConfig.consoleLevel = 1
    config.medConfig.clockRate = config.medConfig.sndClockRate = 16000
    config.medConfig.channelCount = 1
    config.medConfig.audioFramePtime = 20
    config.medConfig.confThreads = 2
    config.medConfig.sndAutoCloseTime = -1
    endpoint.libInit(config)
    endpoint.libStart()
    return endpoint


def tone_share(pcm: bytes, rate: int, frequency: int) -> tuple[float, float]:
    """(amplitude of the tone, share of the power that is the tone)."""
    samples = array("h", pcm or bytes(2))
    step = 2 * math.pi * frequency / rate
    real = sum(s * math.cos(step * n) for n, s in enumerate(samples)) * 2 / len(samples)
    imaginary = sum(s * math.sin(step * n) for n, s in enumerate(samples)) * 2 / len(samples)
    power = sum(s * s for s in samples) / len(samples)
    tone = (real**2 + imaginary**2) / 2
    return math.sqrt(2 * tone), tone / max(power, 1)


def steady_tone(pcm: bytes, rate: int, frequency: int) -> tuple[float, float]:
    """The median of ten parts: a jitter buffer at work breaks the phase now and then."""
    part = len(pcm) // 20 * 2
    found = [tone_share(pcm[at : at + part], rate, frequency) for at in range(0, 10 * part, part)]
    return statistics.median(a for a, _ in found), statistics.median(s for _, s in found)


async def echo(media: MediaEngine, plane: WebRtcPlane, shape: OfferShape) -> dict[str, Any]:
    """One leg whose port hears itself."""
    peer = ProbePeer(shape)
    leg, answer = await plane.answer_offer(await peer.offer())
    await peer.accept(answer)
    await until(lambda: leg.port is not None)
    assert leg.port is not None
    media.connect(leg.port, leg.port)
    media.relay_digits(leg.port, leg.port)
    peer.start_tone(440)
    await until(lambda: tone_share(peer.received_audio(0.2), peer.sample_rate, 440)[0] > 4000)
    await asyncio.sleep(1.2)  # a second of steady tone
    amplitude, share = steady_tone(peer.received_audio(1.0), peer.sample_rate, 440)
    await peer.send_digits("12AB", duration_ms=100, gap_ms=80)
    await until(lambda: len(peer.received_digits) == 4)
    await leg.renegotiate(peer.reoffer(Direction.INACTIVE))
    await asyncio.sleep(0.2)
    received = peer.stats.received
    await asyncio.sleep(0.3)
    on_hold = peer.stats.received - received
    await leg.renegotiate(peer.reoffer(Direction.SENDRECV))
    await until(lambda: peer.stats.received > received + on_hold + 10)
    stats = media.stats(leg.port)._asdict()
    leg.hangup(NORMAL)
    await leg.wait_closed()
    await asyncio.wait_for(peer.lost.wait(), 5)
    await peer.close()
    return {
        "amplitude": amplitude,
        "share": share,
        "digits": [(d.digit, d.duration_ms) for d in peer.received_digits],
        "on_hold": on_hold,
        "refused": peer.stats.refused,
        "lost": peer.stats.lost,
        "rtcp": peer.stats.rtcp,
        "stats": stats,
    }


async def churn(media: MediaEngine, plane: WebRtcPlane) -> dict[str, int]:
    """Legs made and ended; what is left in the end."""

    async def one(number: int) -> None:
        peer = ProbePeer(OfferShape(setup=("active", "passive")[number % 2]))
        leg, answer = await plane.answer_offer(await peer.offer())
        await peer.accept(answer)
        await until(lambda: leg.port is not None)
        await until(lambda: peer.stats.received > 2)
        leg.hangup(NORMAL)
        await leg.wait_closed()
        await peer.close()

    await one(0)
    descriptors = len(os.listdir("/proc/self/fd"))
    for first in range(0, CHURN, 5):
        await asyncio.gather(*(one(first + n) for n in range(5)))
    await until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)
    return {"ports": media.port_count, "legs": len(plane.legs)}


async def main() -> None:
    """Runs everything."""
    endpoint = _start_pjsua()
    media = MediaEngine()
    media.start()
    plane = WebRtcPlane(WebRtcConfig(), media, loopback=True)
    try:
        report = {
            "opus": await echo(media, plane, OfferShape(setup="passive")),
            "pcmu": await echo(media, plane, OfferShape((Codec.PCMU,), (8000,), "active")),
            "churn": await churn(media, plane),
        }
    finally:
        await plane.close()
        media.stop()
    gc.collect()
    endpoint.libDestroy()
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    uvloop.run(main())
