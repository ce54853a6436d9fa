"""Owns trying a call out: what it does when legs answer and keys are pressed as told. Pure.

The plan decides as it does for real calls; only people, servers and audio are made up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.dialplan.dialling import resolve
from gateway.dialplan.engine import Decision, Look, decide, go_on
from gateway.dialplan.explain import Step, step_of
from gateway.dialplan.plan import Plan
from gateway.dialplan.request import Request
from gateway.dialplan.rules import (
    Action,
    Destination,
    DialOut,
    DialUser,
    NoRoute,
    Refuse,
    RunScript,
)
from gateway.dialplan.script import GotoStep, RunProgram, Script, SetStep
from gateway.dialplan.steps import refusal
from gateway.dialplan.written import AUTOMATIC
from gateway.errors import (
    FETCH_FAILED,
    LOOP_DETECTED,
    NO_ANSWER,
    NORMAL,
    NOT_FOUND,
    UNAVAILABLE,
    GatewayError,
    Verdict,
    from_sip_status,
)
from gateway.numbers.pattern import parse_pattern
from gateway.verbs import (
    AnyVerb,
    Dial,
    Gather,
    Goto,
    Hangup,
    Http,
    Record,
    Reject,
    Set,
    Strategy,
    step_from,
    verbs_from,
)
from gateway.verbs.dialling import AfterTalk, DialSettings

ANSWER, NO_REPLY = "answer", "no_answer"
MAX_GOTOS, MAX_VERBS = 100, 1000
"""The same as in a real call."""


@dataclass(frozen=True, slots=True)
class World:
    """What people and servers do. `answers`: SIP status, `answer` or `no_answer` of a target, as
    `user:NAME`, `trunk:NAME` or `trunk:NAME/NUMBER`; who is not listed answers. `digits`: what is
    pressed each time that somebody is asked. `http`: verbs that servers reply, in order."""

    answers: Mapping[str, str] = field(default_factory=dict)
    digits: Sequence[str] = ()
    http: Sequence[Sequence[Mapping[str, Any]]] = ()


@dataclass(frozen=True, slots=True)
class Simulated:
    """What became of the call. `looks`: at rules, also behind gotos of scripts."""

    decision: Decision
    verbs: tuple[Step, ...]
    dialled: tuple[str, ...]  # targets, in the order called
    cause: Verdict
    variables: Mapping[str, str]
    looks: tuple[Look, ...]


def simulate(plan: Plan, request: Request, world: World) -> Simulated:
    """Tries a call out to its end."""
    return _Simulation(plan, request, world).run()


class _Ended(Exception):  # noqa: N818 - an end is no error
    """The call is over."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.text)


class _Elsewhere(Exception):  # noqa: N818
    """A verb that a server gave leads to another context."""

    def __init__(self, action: Action) -> None:
        self.action = action
        super().__init__("goto")


class _Simulation:
    """One call being tried out."""

    def __init__(self, plan: Plan, request: Request, world: World) -> None:
        self._plan = plan
        self._world = world
        self._decision = decide(plan, request, every_rule=True)
        self._facts = self._decision.facts
        self._looks = list(self._decision.looks)
        self._variables: dict[str, str] = {}
        self._verbs: list[Step] = []
        self._dialled: list[str] = []
        self._presses = deque(world.digits)
        self._keys: deque[str] = deque()  # pressed, and heard by nobody yet
        self._replies = deque(world.http)
        self._gotos = self._steps = 0

    def run(self) -> Simulated:
        try:
            cause = self._follow(self._decided(self._decision))
        except _Ended as end:
            cause = end.verdict
        except GatewayError as error:
            cause = error.verdict
        return Simulated(
            self._decision,
            tuple(self._verbs),
            tuple(self._dialled),
            cause,
            self._variables,
            tuple(self._looks),
        )

    def _decided(self, decision: Decision) -> Action:
        if isinstance(decision.outcome, NoRoute):
            return Refuse(NOT_FOUND)
        self._variables.update(decision.outcome.variables)
        return decision.outcome.action

    def _follow(self, action: Action) -> Verdict:
        while isinstance(action, RunScript):
            self._steps += len(action.script.steps)
            if self._steps > MAX_VERBS:
                return LOOP_DETECTED
            try:
                done = self._script(action.script)
            except _Elsewhere as elsewhere:
                done = elsewhere.action
            if isinstance(done, Verdict):
                return done
            action = done
        self._verbs.append(_told(step_of(action)))
        if isinstance(action, DialOut):
            return self._dial(action)[0]
        return action.verdict if isinstance(action, Refuse) else NORMAL

    def _script(self, script: Script) -> Verdict | Action:
        last: Verdict | None = None
        for step in script.steps:
            values = script.values(self._variables)
            last = None
            match step:
                case SetStep():
                    filled = step.filled(values)
                    self._verbs.append({"set": filled})
                    self._variables.update(filled)
                case GotoStep(context, template):
                    callee = None if template is None else template.fill(values)
                    self._verbs.append(step_from(Goto(context=context, callee=callee)))
                    return self._goto(context, callee)
                case RunProgram():
                    return step
                case _:
                    last = self._perform(step.filled(values))
        return last or NORMAL.because("The script ended")

    # ---- verbs ------------------------------------------------------------------------------

    def _perform(self, verb: AnyVerb) -> Verdict | None:
        """Performs a verb; a dial's verdict comes back."""
        self._verbs.append(_told(step_from(verb)))
        match verb:
            case Dial():
                return self._dial_verb(verb)
            case Gather():
                self._gather(verb)
            case Http():
                self._http(verb)
            case Record():
                self._variables["recording"] = "simulated"
            case Set(variables=variables):
                self._variables.update(variables)
            case Goto(context=context, callee=callee):
                raise _Elsewhere(self._goto(context, callee))
            case Reject():
                raise _Ended(refusal(verb))
            case Hangup(reason=reason):
                raise _Ended(NORMAL.because(reason or "The program ended"))
            case _:
                pass  # is heard, and changes nothing that a plan could see
        return None

    def _goto(self, context: str, callee: str | None) -> Action:
        self._gotos += 1
        if self._gotos > MAX_GOTOS:
            raise _Ended(LOOP_DETECTED)
        found = go_on(self._plan, self._facts, context, callee, self._variables, every_rule=True)
        self._facts = found.facts
        self._looks += found.looks
        return self._decided(found)

    def _dial_verb(self, verb: Dial) -> Verdict:
        dial = resolve(self._plan, self._facts, verb)
        verdict, answered = self._dial(dial)
        status = "answered" if answered else verdict.code
        self._variables |= {"dial_status": status, "dial_code": str(verdict.sip_status)}
        if answered and verb.after_talk is AfterTalk.HANGUP:
            raise _Ended(verdict)
        return verdict

    def _dial(self, dial: DialOut) -> tuple[Verdict, bool]:
        """How a dial ends, and whether anybody took the call (and hung up in the end)."""
        together = dial.how.strategy is Strategy.SIMULTANEOUS
        failures: list[Verdict] = []
        for ringing in [dial.targets] if together else [(one,) for one in dial.targets]:
            self._dialled += map(_full_name, ringing)
            replies = [self._reply(target) for target in ringing]
            if None in replies:
                return NORMAL, True
            failures += [reply for reply in replies if reply is not None]
            if _stopped(dial.how, failures):
                break
        # Of several refusals the one to tell: 6xx, then the lowest (RFC 3261 16.7 step 6).
        told = min(failures, key=lambda one: (one.sip_status < 600, one.sip_status), default=None)
        return told or UNAVAILABLE, False

    def _reply(self, target: Destination) -> Verdict | None:
        """How a target refuses; None: it answers."""
        answers = self._world.answers
        reply = answers.get(_full_name(target), answers.get(_name(target), ANSWER))
        if reply == ANSWER:
            return None
        return NO_ANSWER if reply == NO_REPLY else from_sip_status(int(reply))

    def _gather(self, verb: Gather) -> None:
        for _ in range(verb.attempts):
            digits, reason = self._asked(verb)
            accepted = not verb.patterns or _fits(verb, digits)
            if len(digits) >= verb.min_digits and accepted:
                break
            reason = "invalid" if digits else "nothing"
        self._variables |= {"digits": digits, "gather_reason": reason}

    def _asked(self, verb: Gather) -> tuple[str, str]:
        """The digits of one attempt, and why it was over."""
        if not verb.barge_in:
            self._keys.clear()  # pressed into the question
        digits = ""
        for key in self._pressed():
            if key in verb.terminators:
                return digits, "terminated"
            digits += key
            if _fits(verb, digits) or len(digits) >= verb.max_digits:
                return digits, "complete"
        return digits, "timeout"

    def _pressed(self) -> Iterator[str]:
        """What was typed ahead, then what is pressed now."""
        while self._keys:
            yield self._keys.popleft()
        self._keys.extend(self._presses.popleft() if self._presses else "")
        while self._keys:
            yield self._keys.popleft()

    def _http(self, verb: Http) -> None:
        status = "ok"
        if self._replies:
            steps: Sequence[Mapping[str, Any]] = self._replies.popleft()
        else:
            steps, status = verb.fallback, FETCH_FAILED.code
        if not steps and status != "ok":
            raise _Ended(FETCH_FAILED)
        for inner in verbs_from(list(steps)):
            self._steps += 1
            if self._steps > MAX_VERBS:
                raise _Ended(LOOP_DETECTED)
            self._perform(inner)
        self._variables["http_status"] = status


def _stopped(how: DialSettings, failures: Sequence[Verdict]) -> bool:
    return any(failure.sip_status in how.stop_on for failure in failures)


def _fits(verb: Gather, digits: str) -> bool:
    return any(parse_pattern(source).mismatch(digits) is None for source in verb.patterns)


def _name(target: Destination) -> str:
    return f"user:{target.user}" if isinstance(target, DialUser) else f"trunk:{target.trunk}"


def _full_name(target: Destination) -> str:
    name = _name(target)
    return name if isinstance(target, DialUser) else f"{name}/{target.number}"


def _told(step: Step) -> Step:
    """A step without the name of a group that nobody has written."""
    dial = step.get("dial")
    if isinstance(dial, dict) and str(dial.get("group", "")).startswith(AUTOMATIC):
        return {"dial": {name: value for name, value in dial.items() if name != "group"}}
    return step
