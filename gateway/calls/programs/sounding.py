"""Owns the verbs that are heard: files, speech, tones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from itertools import groupby

from gateway.calls.programs.base import Key, KeyQueue, ProgramContext
from gateway.media.pcm import Pcm, scaled, trimmed
from gateway.ports import MediaPort
from gateway.speech.spoken import spoken
from gateway.verbs import Play, Say, SendDtmf, Side, Sides

COMMA_SECONDS = 2.0
"""What a comma among digits to send means (W3C WebRTC, RTCDTMFSender.insertDTMF)."""


async def clip_of(context: ProgramContext, verb: Play) -> Pcm:
    """The audio of a file, as loud as wished, from where it is to begin."""
    pcm = await context.sounds.file(verb.file)
    return scaled(trimmed(pcm, verb.seek), verb.volume)


async def speech_of(context: ProgramContext, verb: Say) -> Pcm:
    """The audio of a text or a value."""
    prompts, text = context.sounds.prompts, verb.text
    if verb.spoken_as is not None:
        text = spoken(verb.spoken_as, text, verb.language or prompts.language)
    return await prompts.say(text, language=verb.language, voice=verb.voice)


async def play(context: ProgramContext, verb: Play) -> None:
    """Plays a file to its end, or until a key of `stop_on`."""
    pcm = await clip_of(context, verb)
    ports = await context.ports(verb.leg)
    if pcm.samples:
        repeated = _repeated(context, pcm, ports, verb.loop)
        await _until_key(context, repeated, verb.leg, verb.stop_on)


async def say(context: ProgramContext, verb: Say) -> None:
    """Speaks to the end, or until a key of `stop_on`."""
    pcm = await speech_of(context, verb)
    ports = await context.ports(verb.leg)
    await _until_key(context, context.play(pcm, ports), verb.leg, verb.stop_on)


async def send(context: ProgramContext, verb: SendDtmf) -> None:
    """Sends tones, and returns when they are through."""
    port = await context.control.port(verb.leg)
    for is_pause, digits in groupby(verb.digits, lambda digit: digit == ","):
        count = 0
        for digit in digits:
            count += 1
            if not is_pause:
                context.send_digit(verb.leg, port, digit, verb.duration_ms, verb.gap_ms)
        one = COMMA_SECONDS if is_pause else (verb.duration_ms + verb.gap_ms) / 1000
        await asyncio.sleep(count * one)


async def _repeated(
    context: ProgramContext, pcm: Pcm, ports: Sequence[MediaPort], loop: int
) -> None:
    played = 0
    while loop == 0 or played < loop:
        await context.play(pcm, ports)
        played += 1


async def _until_key(
    context: ProgramContext, sound: Awaitable[None], sides: Sides, keys: str
) -> None:
    """Waits for the end of `sound`, or for one of `keys`; others that are pressed are lost."""
    if not keys:
        await sound
        return
    side = Side.CALLEE if sides is Sides.CALLEE else Side.CALLER
    playing = asyncio.ensure_future(sound)
    pressed = asyncio.create_task(_pressed(context.keys[side], keys), name="stop key")
    try:
        await asyncio.wait([playing, pressed], return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            playing.result()
    finally:
        for task in (playing, pressed):
            task.cancel()
        await asyncio.wait([playing, pressed])


async def _pressed(queue: KeyQueue, keys: str) -> None:
    """Returns when one of `keys` was let go: so that no half of it is left for who asks next."""
    while True:
        key = await queue.get()
        if isinstance(key, Key) and key.duration_ms is not None and key.digit in keys:
            return
