"""The IVR on the real media plane: a WebRTC endpoint hears it speak and types with RFC 4733."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from gateway.calls.programs.ivr import ASK, GOODBYE, READ_BACK
from gateway.legs.webrtc.peer import ProbePeer
from gateway.media.prompts import Prompts
from tests.support.gateway import Gateway

SPEECH = 2_000  # sample value that speech reaches and silence does not
PATIENCE = 20.0


def loudest(peer: ProbePeer, since: float) -> int:
    """Peak of what arrived after `since` (CLOCK_MONOTONIC seconds)."""
    frames = [np.frombuffer(frame.pcm, "<i2") for frame in peer.heard if frame.arrived > since]
    return int(max((np.abs(frame.astype(np.int32)).max() for frame in frames), default=0))


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not reached():  # noqa: ASYNC110 - the peer collects what comes, it tells nobody
            await asyncio.sleep(0.02)


async def call(peer: ProbePeer, gateway: Gateway, to: str) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{gateway.url}/v1/webrtc/calls",
            params={"to": to},
            data=await peer.offer(),
            headers={"Content-Type": "application/sdp"},
        ) as response,
    ):
        assert response.status == 201
        answer = await response.text()
    await peer.accept(answer)


@pytest.mark.slow
async def test_the_ivr_speaks_stops_at_the_first_key_reads_back_and_hangs_up(
    tmp_path: Path,
) -> None:
    prompts = Prompts()
    question = await prompts.say(ASK)
    rest = [await prompts.say(text) for text in (READ_BACK, "four two", GOODBYE)]
    assert question.seconds > 3

    gateway = Gateway(tmp_path / "gateway")
    peer = ProbePeer()
    await gateway.start()
    try:
        await call(peer, gateway, "ivr")
        began = time.monotonic()
        await until(lambda: loudest(peer, began) > SPEECH)

        await peer.send_digits("4", duration_ms=100, gap_ms=100)
        pressed = time.monotonic()
        await asyncio.sleep(2.0)  # a stretch of real audio: the question alone would go on
        assert loudest(peer, pressed + 0.5) < SPEECH / 4

        await peer.send_digits("2#", duration_ms=100, gap_ms=100)
        typed = time.monotonic()
        await until(peer.lost.is_set)
        spoken = time.monotonic() - typed
        assert loudest(peer, typed) > SPEECH
        assert spoken > 0.9 * sum(clip.seconds for clip in rest)
    finally:
        await peer.close()
        await gateway.stop()
    assert "The program ended" in gateway.log
    gateway.assert_clean()
