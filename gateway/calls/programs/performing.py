"""Owns how verbs are performed on a program's call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import assert_never, overload

from gateway.calls.programs.base import Key, ProgramContext
from gateway.calls.programs.gather import Gathering, Reason, Rules
from gateway.calls.verbs import COMMA_SECONDS, Gather, Pause, Play, Say, SendDtmf, Verb
from gateway.numbers.pattern import parse_pattern
from gateway.media.prompts import Pcm


@dataclass(frozen=True, slots=True)
class Gathered:
    """What `gather` brought: `digits` without the terminator, whether they are good, and why it
    was over."""

    digits: str = field(repr=False)
    good: bool
    reason: Reason


@overload
async def perform(context: ProgramContext, verb: Gather) -> Gathered: ...
@overload
async def perform(context: ProgramContext, verb: Say | Play | SendDtmf | Pause) -> None: ...


async def perform(context: ProgramContext, verb: Verb) -> Gathered | None:
    """Performs `verb` to its end; cancelling it stops the sound at once. Raises GatewayError."""
    match verb:
        case Say(text=text):
            await context.play(await context.prompts.say(text))
        case Play(file=file):
            await context.play(await context.clips.load(file))
        case Gather():
            return await _gather(context, verb)
        case SendDtmf():
            await _send(context, verb)
        case Pause(seconds=seconds):
            await asyncio.sleep(seconds)
        case _:
            assert_never(verb)
    return None


async def _send(context: ProgramContext, verb: SendDtmf) -> None:
    for is_pause, digits in groupby(verb.digits, lambda digit: digit == ","):
        count = 0
        for digit in digits:
            count += 1
            if not is_pause:
                context.send_digit(digit, verb.duration_ms, verb.gap_ms)
        one = COMMA_SECONDS if is_pause else (verb.duration_ms + verb.gap_ms) / 1000
        await asyncio.sleep(count * one)


async def _gather(context: ProgramContext, verb: Gather) -> Gathered:
    rules = Rules(
        max_digits=verb.max_digits,
        terminators=verb.terminators,
        first_timeout=verb.first_timeout,
        inter_digit_timeout=verb.inter_digit_timeout,
        total_timeout=verb.total_timeout,
        patterns=tuple(map(parse_pattern, verb.patterns)),
        barge_in=verb.barge_in,
    )
    said: tuple[str, ...] = ()
    for attempt in range(verb.attempts, 0, -1):
        prompts = [await context.prompts.say(text) for text in (*said, *verb.question)]
        state = await gather(context, prompts, rules)
        good = len(state.digits) >= verb.min_digits and rules.accept(state.digits)
        if good or attempt == 1:
            break
        said = verb.not_good if state.digits else verb.nothing_came
    assert state.reason is not None
    return Gathered(state.digits, good, state.reason)


async def gather(context: ProgramContext, prompts: Sequence[Pcm], rules: Rules) -> Gathering:
    """Plays the prompts and gathers digits once."""
    state = Gathering(rules)
    playing = asyncio.create_task(_play_all(context, prompts), name="prompts")
    playing.add_done_callback(context.keys.put_nowait)
    try:
        while state.reason is None:
            item = await _next_item(context, state)
            now = context.clock.now().monotonic
            if item is None:
                state = state.time_passed(now)
            elif isinstance(item, Key):
                if rules.barge_in:
                    playing.cancel()
                if item.duration_ms is None:
                    state = state.key_pressed(now)
                else:
                    state = state.key_released(item.digit, now)
            elif item is playing and not playing.cancelled():
                playing.result()  # raises what the media plane raised
                state = state.prompt_ended(now)
        return state
    finally:
        playing.cancel()
        await asyncio.wait([playing])


async def _play_all(context: ProgramContext, prompts: Sequence[Pcm]) -> None:
    for pcm in prompts:
        await context.play(pcm)


async def _next_item(context: ProgramContext, state: Gathering) -> Key | asyncio.Task[None] | None:
    """The next key or ended prompt; None when the deadline comes first."""
    wait = None
    if state.deadline is not None:
        wait = max(0.0, state.deadline - context.clock.now().monotonic)
    try:
        async with asyncio.timeout(wait):
            return await context.keys.get()
    except TimeoutError:
        return None
