"""The call as a Python program sees it: its facts, and the verbs as methods."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from gateway.calls import inputs
from gateway.calls.programs import Dialled, ProgramContext
from gateway.calls.programs.gather import Gathered
from gateway.calls.programs.performing import (
    Fetched,
    HangUp,
    Outcome,
    Recorded,
    ending,
    perform,
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
    Side,
    Unhold,
    Unmute,
)


class Call:
    """One call. It is answered by the first verb that needs audio, or by `answer`. When the caller
    hangs up, the program is cancelled: `finally` blocks run, and what it plays or waits for stops.

    A method is a verb of gateway.verbs, its arguments are the model's fields. Verbs raise
    ValueError for arguments that they do not take, and GatewayError for what cannot be done;
    either ends the call, unless the program deals with it.
    """

    def __init__(self, context: ProgramContext) -> None:
        self._context = context

    @property
    def id(self) -> str:
        """The call's id, as in events and logs."""
        return self._context.facts.call

    @property
    def caller(self) -> str:
        """Who calls, as the dialplan's rules saw it; may be anything a stranger sent."""
        return self._context.facts.caller

    @property
    def callee(self) -> str:
        """What was dialled."""
        return self._context.facts.callee

    @property
    def variables(self) -> Mapping[str, str]:
        """The call's variables: what `set` left, and the outcomes of verbs."""
        return self._context.variables

    async def perform(self, verb: AnyVerb) -> Outcome | None:
        """Any verb, as a model."""
        return await perform(self._context, verb)

    # ---- signalling -------------------------------------------------------------------------

    async def answer(self) -> None:
        """Answers the call."""
        await perform(self._context, Answer())

    async def ring(self, *, early_media: bool = False) -> None:
        """Tells the caller that somebody rings; `early_media`: it hears prompts unanswered."""
        await perform(self._context, Ring(early_media=early_media))

    async def reject(self, status: int = 403, reason: str = "") -> NoReturn:
        """Refuses the call."""
        await perform(self._context, Reject(status=status, reason=reason))
        raise AssertionError("reject ends the program")

    def hangup(self, reason: str = "") -> NoReturn:
        """Ends the call. `reason` goes into its record and the BYE's Reason header (RFC 3326)."""
        verb = Hangup(reason=reason)
        self._context.control.request(inputs.Observed(VerbStarted(verb.verb)))
        raise HangUp(ending(verb))

    async def set(self, **variables: str) -> None:
        """Sets call variables."""
        await perform(self._context, Set(variables=variables))

    async def goto(self, context: str, callee: str | None = None) -> NoReturn:
        """Goes on in a context of the dialplan; the program ends."""
        await perform(self._context, Goto(context=context, callee=callee))
        raise AssertionError("goto ends the program")

    async def pause(self, seconds: float) -> None:
        """Waits; an answered caller hears silence."""
        await perform(self._context, Pause(seconds=seconds))

    async def http(self, url: str, **settings: Any) -> Fetched:
        """Performs the verbs that a server answers with; `settings`: see gateway.verbs.Http."""
        return await perform(self._context, Http(url=url, **settings))

    # ---- other legs -------------------------------------------------------------------------

    async def dial(self, **settings: Any) -> Dialled:
        """Calls targets and joins the first that answers; `settings`: see gateway.verbs.Dial.

        Returns when nobody took the call, or (`after_talk="go_on"`) when the callee hung up.
        """
        return await perform(self._context, Dial(**settings))

    def call_out(
        self,
        program: str,
        *,
        after: float = 0.0,
        variables: Mapping[str, str] | None = None,
        **target: Any,
    ) -> str:
        """Has the gateway call somebody `after` seconds from now, also when this call is over by
        then; `program` speaks with who answers. `target`: see gateway.verbs.Target. Returns the new
        call's id. The dialplan's policies for this call's caller hold: GatewayError(FORBIDDEN)."""
        dial = Dial(**target)
        return self._context.control.call_out(dial, program, variables or {}, after)

    async def bridge(self, call: str) -> None:
        """Joins this call with another live one, until one of them ends."""
        await perform(self._context, Bridge(call=call))

    async def hold(self, leg: Side | str = Side.CALLER, *, music: str | None = None) -> None:
        """Puts a side on hold, with music."""
        await perform(self._context, Hold(leg=Side(leg), music=music))

    async def unhold(self, leg: Side | str = Side.CALLER) -> None:
        """Takes a side back from hold."""
        await perform(self._context, Unhold(leg=Side(leg)))

    async def mute(self, leg: Side | str = Side.CALLER) -> None:
        """The other side no longer hears this one."""
        await perform(self._context, Mute(leg=Side(leg)))

    async def unmute(self, leg: Side | str = Side.CALLER) -> None:
        """The other side hears this one again."""
        await perform(self._context, Unmute(leg=Side(leg)))

    # ---- audio ------------------------------------------------------------------------------

    async def say(self, text: str, **settings: Any) -> None:
        """Speaks `text`; returns at its end. `settings`: see gateway.verbs.Say (`spoken_as`)."""
        await perform(self._context, Say(text=text, **settings))

    async def play(self, file: Path | str, **settings: Any) -> None:
        """Plays an audio file; returns at its end. `settings`: see gateway.verbs.Play."""
        await perform(self._context, Play(file=str(file), **settings))

    async def gather(self, *question: str | Play | Say, **settings: Any) -> Gathered:
        """Asks for digits; `settings`: see gateway.verbs.Gather."""
        return await perform(self._context, Gather(question=question, **settings))

    async def send_dtmf(self, digits: str, **settings: Any) -> None:
        """Sends tones; a comma is a pause of 2 s. Returns when they are through."""
        await perform(self._context, SendDtmf(digits=digits, **settings))

    async def record(self, action: str = "start", **settings: Any) -> Recorded:
        """Starts, stops, pauses or resumes the recording; `settings`: see gateway.verbs.Record."""
        return await perform(self._context, Record.model_validate({"action": action, **settings}))
