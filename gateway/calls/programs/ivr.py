"""The demo IVR: asks for digits, reads them back digit by digit, says goodbye and hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.calls.programs.base import Key, ProgramContext
from gateway.calls.programs.gather import Gathering, Rules
from gateway.errors import NORMAL, Verdict
from gateway.media.prompts import Pcm

ASK = "Please enter up to four digits. Press pound when you are done."
NOTHING_CAME = "Sorry, I did not get any digits."
READ_BACK = "You entered:"
GOODBYE = "Thank you. Goodbye."
TEXTS = (ASK, NOTHING_CAME, READ_BACK, GOODBYE)
"""What the gateway renders before the first call."""

ATTEMPTS = 3


async def ivr(context: ProgramContext) -> Verdict:
    """Runs to its end, or until the caller hangs up."""
    say = context.prompts.say
    question = [await say(ASK)]
    for _ in range(ATTEMPTS):
        digits = await gather(context, question)
        if digits:
            for clip in (await say(READ_BACK), *await context.prompts.digits(digits)):
                await context.play(clip)
            break
        question = [await say(NOTHING_CAME), await say(ASK)]
    await context.play(await say(GOODBYE))
    return NORMAL.because("The program ended")


async def gather(
    context: ProgramContext, prompts: Sequence[Pcm], rules: Rules | None = None
) -> str:
    """Plays the prompts and gathers digits; the first key stops them (barge-in).

    Returns the digits without the terminator; empty when none came in time.
    """
    state = Gathering(rules or Rules())
    playing = asyncio.create_task(_play_all(context, prompts), name="prompts")
    playing.add_done_callback(context.keys.put_nowait)
    try:
        while state.reason is None:
            item = await _next_item(context, state)
            now = context.clock.now().monotonic
            if item is None:
                state = state.time_passed(now)
            elif isinstance(item, Key):
                playing.cancel()
                if item.duration_ms is None:
                    state = state.key_pressed(now)
                else:
                    state = state.key_released(item.digit, now)
            elif item is playing and not playing.cancelled():
                playing.result()  # raises what the media plane raised
                state = state.prompt_ended(now)
        return state.digits
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
