"""Owns performing verbs: what each does with a program's call, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, overload

from gateway.calls import inputs
from gateway.calls.programs.asking import ask
from gateway.calls.programs.base import Dialled, ProgramContext
from gateway.calls.programs.gather import Gathered
from gateway.calls.programs.sounding import play, say, send
from gateway.calls.programs.tones import BEEP
from gateway.dialplan import Action
from gateway.dialplan.steps import refusal
from gateway.errors import (
    FETCH_FAILED,
    LOOP_DETECTED,
    NORMAL,
    GatewayError,
    Verdict,
)
from gateway.events import VerbStarted
from gateway.verbs import (
    Answer,
    AnyVerb,
    Bridge,
    Dial,
    Gather,
    Goto,
    Hangup,
    Hold,
    Http,
    Mute,
    Pause,
    Play,
    Record,
    Reject,
    Ring,
    Say,
    SendDtmf,
    Set,
    Unhold,
    Unmute,
    verbs_from,
)

MAX_VERBS = 10_000
"""In one program: a server that answers every request with the next would never end."""
MAX_NESTED = 20
"""Answers of servers within answers."""


class HangUp(BaseException):
    """A verb ends the call. No Exception, so that `except Exception` does not keep it."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.text)


class GoElsewhere(BaseException):
    """A verb leads to another context; `action` is what that makes of the call."""

    def __init__(self, action: Action) -> None:
        self.action = action
        super().__init__("goto")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording that was started, stopped, paused or resumed."""

    recording: str

    @property
    def variables(self) -> Mapping[str, str]:
        """What a script remembers of it."""
        return {"recording": self.recording}


@dataclass(frozen=True, slots=True)
class Fetched:
    """Verbs that a server gave were performed, or (`failed`) the fallback's."""

    failed: str = ""

    @property
    def variables(self) -> Mapping[str, str]:
        """What a script remembers of it."""
        return {"http_status": self.failed or "ok"}


Outcome = Gathered | Dialled | Recorded | Fetched
"""What verbs give back; `variables` is what scripts see of it."""


@overload
async def perform(context: ProgramContext, verb: Gather) -> Gathered: ...
@overload
async def perform(context: ProgramContext, verb: Dial) -> Dialled: ...
@overload
async def perform(context: ProgramContext, verb: Record) -> Recorded: ...
@overload
async def perform(context: ProgramContext, verb: Http) -> Fetched: ...
@overload
async def perform(context: ProgramContext, verb: AnyVerb) -> Outcome | None: ...


async def perform(context: ProgramContext, verb: AnyVerb) -> Outcome | None:
    """Performs `verb` to its end; cancelling it stops it at once. Its outcome's variables are the
    call's from then on.

    Raises GatewayError; HangUp and GoElsewhere for what leaves the program.
    """
    context.performed += 1
    if context.performed > MAX_VERBS:
        raise GatewayError(LOOP_DETECTED, f"more than {MAX_VERBS} verbs in one program")
    context.control.request(inputs.Observed(VerbStarted(verb.verb)))
    outcome: Outcome | None = await _PERFORM[type(verb)](context, verb)
    if outcome is not None:
        context.variables.update(outcome.variables)
    if isinstance(verb, Gather):
        (context.secret.add if verb.secure else context.secret.discard)("digits")
    return outcome


# ---- signalling -----------------------------------------------------------------------------


async def _answer(context: ProgramContext, _verb: Answer) -> None:
    await context.control.answered()


async def _ring(context: ProgramContext, verb: Ring) -> None:
    context.control.request(inputs.RingRequested(verb.early_media))


async def _reject(_context: ProgramContext, verb: Reject) -> None:
    raise HangUp(refusal(verb))


async def _hangup(_context: ProgramContext, verb: Hangup) -> None:
    raise HangUp(ending(verb))


def ending(verb: Hangup) -> Verdict:
    """The verdict of a call that its program ends."""
    return NORMAL.because(verb.reason or "The program ended")


async def _pause(_context: ProgramContext, verb: Pause) -> None:
    await asyncio.sleep(verb.seconds)


async def _set(context: ProgramContext, verb: Set) -> None:
    context.variables.update(verb.variables)


async def _goto(context: ProgramContext, verb: Goto) -> None:
    raise GoElsewhere(context.routing.goto(verb.context, verb.callee, context.variables))


# ---- other legs -----------------------------------------------------------------------------


async def _dial(context: ProgramContext, verb: Dial) -> Dialled:
    return await context.control.dial(context.routing.resolve(verb))


async def _bridge(context: ProgramContext, verb: Bridge) -> None:
    await context.control.joined(verb.call)


async def _hold(context: ProgramContext, verb: Hold | Unhold) -> None:
    music = verb.music if isinstance(verb, Hold) else None
    leg = context.control.leg(verb.leg)
    context.control.request(inputs.ParkRequested(leg, isinstance(verb, Hold), music))


async def _mute(context: ProgramContext, verb: Mute | Unmute) -> None:
    leg = context.control.leg(verb.leg)
    context.control.request(inputs.MuteRequested(leg, isinstance(verb, Mute)))


async def _record(context: ProgramContext, verb: Record) -> Recorded:
    if verb.action == "start" and verb.beep:
        await context.play(BEEP, await context.everybody())
    return Recorded(await context.control.record(verb))


# ---- audio ----------------------------------------------------------------------------------


async def _play(context: ProgramContext, verb: Play) -> None:
    await play(context, verb)


async def _say(context: ProgramContext, verb: Say) -> None:
    await say(context, verb)


async def _gather(context: ProgramContext, verb: Gather) -> Gathered:
    return await ask(context, verb)


async def _send(context: ProgramContext, verb: SendDtmf) -> None:
    await send(context, verb)


# ---- a customer's server --------------------------------------------------------------------


async def _http(context: ProgramContext, verb: Http) -> Fetched:
    try:
        reply = await context.webhooks.ask(
            verb.url, _told(context), seconds=verb.timeout, attempts=verb.attempts
        )
        verbs, failed = verbs_from(_listed(reply)), ""
    except GatewayError as error:
        verbs, failed = verbs_from(list(verb.fallback)), error.verdict.code
        if not verbs:
            raise
    context.nested += 1
    try:
        if context.nested > MAX_NESTED:
            raise GatewayError(LOOP_DETECTED, "servers' answers lead to servers without end")
        for each in verbs:
            await perform(context, each)
    finally:
        context.nested -= 1
    return Fetched(failed)


def _told(context: ProgramContext) -> dict[str, Any]:
    """What a customer's server learns of the call: no digits of a secure gather, unless the call
    was told to keep them under a name of their own."""
    facts = context.facts
    return {
        "call": facts.call,
        "caller": facts.caller,
        "callee": facts.callee,
        "variables": {
            name: value for name, value in context.variables.items() if name not in context.secret
        },
    }


def _listed(reply: object) -> object:
    if reply is None:
        return []
    if isinstance(reply, Mapping) and set(reply) == {"verbs"}:
        return reply["verbs"]
    raise GatewayError(FETCH_FAILED, 'the server\'s answer is no {"verbs": [...]}')


_PERFORM: Mapping[type[AnyVerb], Any] = {
    Answer: _answer,
    Ring: _ring,
    Reject: _reject,
    Hangup: _hangup,
    Dial: _dial,
    Bridge: _bridge,
    Play: _play,
    Say: _say,
    Gather: _gather,
    SendDtmf: _send,
    Pause: _pause,
    Hold: _hold,
    Unhold: _hold,
    Mute: _mute,
    Unmute: _mute,
    Record: _record,
    Set: _set,
    Goto: _goto,
    Http: _http,
}
