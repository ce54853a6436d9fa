"""Owns the verb `gather`: questions are played while keys come in; see gather.py for the rules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.calls.programs.base import Key, KeyQueue, ProgramContext
from gateway.calls.programs.gather import Gathered, Gathering, Rules
from gateway.calls.programs.sounding import clip_of, speech_of
from gateway.media.pcm import Pcm
from gateway.numbers.pattern import parse_pattern
from gateway.ports import MediaPort
from gateway.verbs import Gather, Play, Say

Question = str | Play | Say


async def ask(context: ProgramContext, verb: Gather) -> Gathered:
    """Asks until the digits are good, or as often as it may be asked."""
    rules = Rules(
        max_digits=verb.max_digits,
        terminators=verb.terminators,
        first_timeout=verb.first_timeout,
        inter_digit_timeout=verb.inter_digit_timeout,
        total_timeout=verb.total_timeout,
        patterns=tuple(map(parse_pattern, verb.patterns)),
        barge_in=verb.barge_in,
        whole_keys=verb.secure,
    )
    port = await context.control.port(verb.leg)
    leg = context.control.gather_begins(verb.leg, verb.secure)
    if verb.secure:  # what was typed ahead, others have seen: it is no part of a secret
        _forget(context.keys[verb.leg])
    try:
        return await _attempts(context, verb, rules, port)
    finally:
        context.control.gather_ends(leg)


def _forget(keys: KeyQueue) -> None:
    while not keys.empty():
        keys.get_nowait()


async def _attempts(
    context: ProgramContext, verb: Gather, rules: Rules, port: MediaPort
) -> Gathered:
    before: tuple[Question, ...] = ()
    for attempt in range(verb.attempts, 0, -1):
        prompts = [await _audio(context, each) for each in (*before, *verb.question)]
        state = await gather(context, prompts, rules, context.keys[verb.leg], port)
        good = len(state.digits) >= verb.min_digits and rules.accept(state.digits)
        if good or attempt == 1:
            break
        before = verb.not_good if state.digits else verb.nothing_came
    assert state.reason is not None
    return Gathered(state.digits, good, state.reason)


async def _audio(context: ProgramContext, question: Question) -> Pcm:
    if isinstance(question, Play):
        return await clip_of(context, question)
    said = Say(text=question) if isinstance(question, str) else question
    return await speech_of(context, said)


async def gather(
    context: ProgramContext,
    prompts: Sequence[Pcm],
    rules: Rules,
    keys: KeyQueue,
    port: MediaPort,
) -> Gathering:
    """Plays the prompts and gathers digits once."""
    state = Gathering(rules)
    playing = asyncio.create_task(_play_all(context, prompts, port), name="prompts")
    playing.add_done_callback(keys.put_nowait)
    try:
        while state.reason is None:
            item = await _next_item(context, keys, state)
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


async def _play_all(context: ProgramContext, prompts: Sequence[Pcm], port: MediaPort) -> None:
    for pcm in prompts:
        await context.play(pcm, (port,))


async def _next_item(
    context: ProgramContext, keys: KeyQueue, state: Gathering
) -> Key | asyncio.Task[None] | None:
    """The next key or ended prompt; None when the deadline comes first."""
    wait = None
    if state.deadline is not None:
        wait = max(0.0, state.deadline - context.clock.now().monotonic)
    try:
        async with asyncio.timeout(wait):
            return await keys.get()
    except TimeoutError:
        return None
