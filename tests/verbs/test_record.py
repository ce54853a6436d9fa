"""record: what is on each side of the file, who hears the beep, and what a crash leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import time
from pathlib import Path

import aiohttp
import pytest

from gateway.legs.webrtc.peer import ProbePeer
from tests.support.baresip import Baresip
from tests.support.gateway import Gateway
from tests.support.processes import wait_until
from tests.verbs.hearing import PATIENCE, hears
from tests.verbs.house import House, configure, write_sounds
from tests.verbs.phone import Phone
from tests.verbs.recordings import channels_of, seconds_of_file, stretches
from tests.verbs.talks import BROWSER_HZ, PHONE_HZ, talking

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sip]

START = {"action": "start", "consent": True}
BEEP_HZ = 1000


async def test_a_talk_is_recorded_on_two_sides_without_what_was_said_in_a_pause(
    house: House, peer: ProbePeer, north: Phone
) -> None:
    async with talking(house, peer, north) as talk:
        peer.start_tone(0)
        north.rtp.start_tone(0)
        await hears(peer)
        await hears(north.rtp)
        starting = asyncio.create_task(
            house.verb(talk.call, "record", {**START, "format": "ogg", "beep": True})
        )
        await asyncio.gather(hears(peer, BEEP_HZ), hears(north.rtp, BEEP_HZ))
        name = (await starting)["outcome"]["recording"]
        await hears(peer)
        peer.start_tone(BROWSER_HZ)
        north.rtp.start_tone(PHONE_HZ)
        await asyncio.gather(hears(peer, PHONE_HZ), hears(north.rtp, BROWSER_HZ))
        await asyncio.sleep(1.0)  # so much is recorded
        await house.verb(talk.call, "record", "pause")
        peer.start_tone(1300)
        north.rtp.start_tone(1700)
        await asyncio.gather(hears(peer, 1700), hears(north.rtp, 1300))
        peer.start_tone(BROWSER_HZ)
        north.rtp.start_tone(PHONE_HZ)
        await asyncio.gather(hears(peer, PHONE_HZ), hears(north.rtp, BROWSER_HZ))
        await house.verb(talk.call, "record", "resume")
        await asyncio.sleep(0.5)  # so much is recorded
        stopped = await house.verb(talk.call, "record", "stop")
        assert stopped["outcome"] == {"recording": name}
        file = house.folder / "recordings" / f"{name}.ogg"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        left, right = channels_of(file)
        assert stretches(left)[-1] == f"{BROWSER_HZ} Hz"
        assert stretches(right)[-1] == f"{PHONE_HZ} Hz"
        for channel in (left, right):
            assert not {"1300 Hz", "1700 Hz"} & set(stretches(channel))


async def test_without_consent_nothing_is_recorded(house: House, peer: ProbePeer) -> None:
    call = await house.call(peer, "waits")
    status, problem = await house.try_verb(call, "record", {"action": "start"})
    assert (status, problem["code"]) == (422, "unprocessable")
    assert not list((house.folder / "recordings").glob(f"{call}*"))


async def test_a_call_that_ends_leaves_its_recording(house: House, peer: ProbePeer) -> None:
    call = await house.call(peer, "waits")
    peer.start_tone(BROWSER_HZ)
    name = (await house.verb(call, "record", START))["outcome"]["recording"]
    await house.begin(call, "play", "long1300.wav")
    await hears(peer, 1300)
    await asyncio.sleep(1.0)  # so much is recorded
    await house.verb(call, "hangup")
    file = house.folder / "recordings" / f"{name}.wav"
    await wait_until(file.exists, PATIENCE, "the recording")
    left, right = channels_of(file)
    assert stretches(left)[-1] == f"{BROWSER_HZ} Hz"
    assert stretches(right)[-1] == "1300 Hz"


async def test_a_crash_costs_a_recording_its_last_second_at_most(
    tmp_path: Path, peer: ProbePeer
) -> None:
    gateway = Gateway(tmp_path)
    write_sounds(tmp_path)
    configure(tmp_path, trunks=())
    async with aiohttp.ClientSession() as http:
        house = House(gateway, tmp_path, {}, Baresip(tmp_path / "baresip"), http, "")
        await gateway.start()
        try:
            call = await house.call(peer, "waits")
            peer.start_tone(BROWSER_HZ)
            await hears(peer)
            name = (await house.verb(call, "record", START))["outcome"]["recording"]
            began = time.monotonic()
            await asyncio.sleep(2.0)  # so much is recorded
            os.kill(gateway.pid, signal.SIGKILL)
            lasted = time.monotonic() - began
            await gateway.wait(PATIENCE)
            file = tmp_path / "recordings" / f"{name}.wav"
            assert not file.exists()
            await gateway.start()
            assert seconds_of_file(file) > lasted - 1.0
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            left, _ = channels_of(file)
            assert stretches(left) == [f"{BROWSER_HZ} Hz"]
        finally:
            await gateway.stop()
