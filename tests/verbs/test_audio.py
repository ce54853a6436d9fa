"""play and say: what is heard, how loud, how long, and what stops it."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest
from aiohttp import web
from numpy.typing import NDArray

from gateway.legs.webrtc.peer import ProbePeer
from tests.support.processes import wait_until
from tests.verbs.hearing import (
    PATIENCE,
    SPEECH,
    amplitude,
    audio,
    falls_silent,
    hears,
    loudest,
    seconds_of,
    tones_in,
)
from tests.verbs.house import House
from tests.verbs.phone import Phone
from tests.verbs.talks import talking

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sip]


async def perform(house: House, call: str, peer: ProbePeer, verb: str, wish: object) -> float:
    """Performs a verb to its end, and waits until nothing of it is heard any more; when it
    began."""
    await falls_silent(peer)
    began = time.monotonic()
    await house.verb(call, verb, wish)
    await falls_silent(peer)
    return began


async def test_play_begins_where_it_is_told(house: House, peer: ProbePeer) -> None:
    call = await house.call(peer, "waits")
    began = await perform(house, call, peer, "play", "low-high.wav")
    assert tones_in(audio(peer, began), peer.sample_rate) == {440, 880}
    began = await perform(house, call, peer, "play", {"file": "low-high.wav", "seek": 0.65})
    assert tones_in(audio(peer, began), peer.sample_rate) == {880}


async def test_play_is_as_loud_and_as_often_as_wished(house: House, peer: ProbePeer) -> None:
    call = await house.call(peer, "waits")
    strengths = []
    for wish in ({"volume": 0}, {"volume": -14}, {"loop": 3}):
        began = await perform(house, call, peer, "play", {"file": "tone1700.wav", **wish})
        heard = audio(peer, began)
        middle = np.flatnonzero(np.abs(heard) > SPEECH / 4)[0] + peer.sample_rate // 10
        part = heard[middle : middle + peer.sample_rate // 4]
        strengths.append(20 * np.log10(amplitude(part, peer.sample_rate, 1700)))
    assert abs(strengths[0] - strengths[1] - 14) < 2
    assert abs(seconds_of(peer, 1700, began) - 1.5) < 0.3


async def test_play_stops_at_its_keys_and_no_others(house: House, peer: ProbePeer) -> None:
    call = await house.call(peer, "waits")
    wish = {"file": "long1300.wav", "stop_on": "5#"}
    playing = asyncio.create_task(house.verb(call, "play", wish))
    await hears(peer, 1300)
    await peer.send_digits("4")
    await asyncio.sleep(0.6)  # a stretch of real audio: the key would stop it within that
    await hears(peer, 1300, within=2)
    pressed = (await peer.send_digits("5"))[0]
    assert (await playing)["state"] == "done"
    assert await falls_silent(peer) - pressed < 2.0


async def test_play_to_one_side_and_to_both(house: House, peer: ProbePeer, north: Phone) -> None:
    async with talking(house, peer, north) as talk:
        peer.start_tone(0)
        north.rtp.start_tone(0)
        await hears(peer)
        await house.begin(talk.call, "play", {"file": "long1300.wav", "leg": "callee"})
        await hears(north.rtp, 1300)
        await hears(peer, within=3)
        await house.begin(talk.call, "play", {"file": "tone440.wav", "leg": "both", "loop": 4})
        await hears(peer, 440)


async def test_play_from_a_web_server(house: House, peer: ProbePeer) -> None:
    file = (house.folder / "tone1700.wav").read_bytes()
    house.replies["/hold.wav"] = lambda _, __: web.Response(body=file, content_type="audio/wav")
    call = await house.call(peer, "waits")
    began = await perform(house, call, peer, "play", f"{house.web_url}/hold.wav")
    assert tones_in(audio(peer, began), peer.sample_rate) == {1700}


def envelope(heard: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """How loud speech is, by 20 ms, from its beginning on."""
    step = rate // 50
    frames = heard[: len(heard) // step * step].reshape(-1, step)
    loud = np.sqrt((frames**2).mean(axis=1))
    return np.asarray(loud[np.flatnonzero(loud > 100)[0] :][:100], dtype=np.float64)


async def test_say_is_speech_and_speaks_the_language_asked_for(
    house: House, peer: ProbePeer
) -> None:
    call = await house.call(peer, "waits")
    said = []
    for language in ("en", "fr", "en"):
        wish = {"text": "4711", "as": "digits", "language": language}
        began = await perform(house, call, peer, "say", wish)
        assert loudest(peer, began) > SPEECH
        said.append(envelope(audio(peer, began), peer.sample_rate))
    english, french, again = said
    size = min(map(len, said))
    assert size > 40
    assert np.corrcoef(english[:size], again[:size])[0, 1] > 0.8
    assert np.corrcoef(english[:size], french[:size])[0, 1] < 0.6


async def test_say_stops_at_a_key(house: House, peer: ProbePeer) -> None:
    call = await house.call(peer, "waits")
    await falls_silent(peer)
    began = time.monotonic()
    wish = {"text": "One moment please. " * 10, "stop_on": "*"}
    saying = asyncio.create_task(house.verb(call, "say", wish))
    await wait_until(lambda: loudest(peer, began) > SPEECH, PATIENCE, "speech")
    pressed = (await peer.send_digits("*"))[0]
    await saying
    assert await falls_silent(peer) - pressed < 2.0
