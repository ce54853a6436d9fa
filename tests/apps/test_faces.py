"""One vocabulary, four faces: YAML, Python, REST and webhooks build the same verbs, and a call
that is told the same by any of them does the same. In virtual time."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from aiohttp.test_utils import make_mocked_request

from gateway.api.commands import CallCommands
from gateway.api.gate import CallGate
from gateway.api.identity import DemoAuthenticator
from gateway.api.operations import Asked
from gateway.api.steps import Step
from gateway.apps import App, Call
from gateway.calls.programs import Program, performing
from gateway.config.document import parse_document
from gateway.contract.calls import WaitQuery
from gateway.dialplan import plan_from
from gateway.errors import NORMAL, GatewayError
from gateway.events import DigitReceived, DigitSent, VerbStarted
from gateway.identity.values import Identity
from gateway.testing import FakeLeg, LoopClock, Rehearsal, virtual_time
from gateway.verbs import MODELS, Answer, AnyVerb, Http, Pause, verb_from

# Every field of every verb, with a value that is not its default.
FULL: dict[str, dict[str, Any]] = {
    "answer": {},
    "ring": {"early_media": True},
    "reject": {"status": 486, "reason": "Busy here"},
    "hangup": {"reason": "Enough"},
    "dial": {
        "targets": [
            {"trunk": "t", "number": "200", "caller": "300", "ring_timeout": 9.0,
             "headers": {"X-A": "b"}},
            {"user": "bob"},
        ],
        "strategy": "sequence", "stop_on": [404], "music": "wait.ogg", "whisper": "Hello",
        "language": "fr", "confirm": "1", "max_duration": 60.0, "after_talk": "go_on",
        "ring_timeout": 20.0, "group": "sales",
    },
    "bridge": {"call": "c-other"},
    "play": {
        "file": "a.wav", "loop": 2, "volume": -3.0, "seek": 0.25, "stop_on": "5", "leg": "both",
    },
    "say": {
        "text": "12", "as": "number", "language": "fr", "voice": "fr+f2", "stop_on": "#",
        "leg": "callee",
    },
    "gather": {
        "question": ["Code?", {"play": "beep.wav"}, {"text": "7", "as": "digits"}],
        "min_digits": 2, "max_digits": 4, "terminators": "*", "patterns": ["_XX"],
        "first_timeout": 5.0, "inter_digit_timeout": 2.0, "total_timeout": 20.0,
        "barge_in": False, "attempts": 2, "nothing_came": ["Again."], "not_good": ["No."],
        "secure": True, "leg": "callee",
    },
    "send_dtmf": {"digits": "1,2", "duration_ms": 200, "gap_ms": 100, "leg": "callee"},
    "pause": {"seconds": 2.5},
    "hold": {"leg": "callee", "music": "wait.ogg"},
    "unhold": {"leg": "callee"},
    "mute": {"leg": "callee"},
    "unmute": {"leg": "callee"},
    "record": {
        "action": "start", "consent": True, "format": "ogg", "channels": "mixed", "beep": True,
        "max_seconds": 60.0, "silence_seconds": 5.0,
    },
    "set": {"tier": "gold"},
    "goto": {"context": "later", "callee": "7"},
    "http": {
        "url": "https://example.com/x", "timeout": 2.0, "attempts": 2,
        "fallback": [{"say": "Sorry."}],
    },
}  # fmt: skip

Face = Callable[[list[dict[str, Any]]], Awaitable["Trace"]]


def test_the_samples_leave_no_field_out() -> None:
    assert list(FULL) == list(MODELS)
    one_target = {"trunk", "number", "caller", "withhold", "user", "headers"}
    for name, model in MODELS.items():
        fields = {field.alias or known for known, field in model.model_fields.items()}
        if name == "set":
            continue
        left = fields - FULL[name].keys() - (one_target if name == "dial" else set())
        assert not left, f"{name}: {left}"


# ---- the same models ------------------------------------------------------------------------


@dataclass
class Seen:
    """The verbs that a call was asked to perform, and no more."""

    verbs: list[AnyVerb]


CARRIERS = (Http(url="https://example.com/next"), Pause(seconds=3600))
"""Verbs by which a test's call waits for others."""


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Verbs are noted instead of performed, but for those that end the call or lead elsewhere."""
    found = Seen([])

    def noting(original: Any) -> Any:
        async def note(context: Any, verb: AnyVerb) -> Any:
            if verb in CARRIERS:
                return await original(context, verb)
            found.verbs.append(verb)
            return await original(context, verb) if verb.verb in ENDS else None

        return note

    for model, original in performing._PERFORM.items():
        monkeypatch.setitem(performing._PERFORM, model, noting(original))
    return found


ENDS = ("reject", "hangup", "goto")


PLAN = """
contexts:
  browser: %s
  later:
    - {match: _., steps: [hangup: Later]}
"""


def python_face(steps: list[dict[str, Any]]) -> Program:
    """A program that calls the methods of the verbs."""
    app = App()

    @app.call("p")
    async def run(call: Call) -> None:
        for step in steps:
            ((name, parameters),) = step.items()
            given = {("spoken_as" if key == "as" else key): v for key, v in parameters.items()}
            questions = given.pop("question", ())
            if isinstance(questions, str):
                questions = [questions]
            # A question's parts are models in Python.
            made = [
                verb_from(q if "play" in q else {"say": q}) if isinstance(q, Mapping) else q
                for q in questions
            ]
            result = getattr(call, name)(*made, **given)
            if inspect.isawaitable(result):
                await result

    return app.programs["p"]


def yaml_text(steps: list[dict[str, Any]]) -> str:
    """A plan whose one rule has the steps; an ending one is put behind where it has none."""
    return PLAN % json.dumps([{"match": "_.", "steps": steps}])


async def by_python(steps: list[dict[str, Any]], **more: Any) -> Trace:
    return await played(Rehearsal(python_face(steps), **more))


async def by_yaml(steps: list[dict[str, Any]], **_: Any) -> Trace:
    return await played(Rehearsal(plan_from(parse_document(yaml_text(steps)))))


class _Server:
    def __init__(self, steps: list[dict[str, Any]]) -> None:
        self._steps = steps

    async def ask(self, url: str, payload: object, **_: object) -> Any:
        return {"verbs": self._steps}


async def by_webhook(steps: list[dict[str, Any]], **more: Any) -> Trace:
    async def run(call: Call) -> None:
        await call.http("https://example.com/next")

    app = App()
    app.call("p")(run)
    caller = Rehearsal(app.programs["p"], webhooks=_Server(steps), **more)
    return (await played(caller)).without("http")


async def by_rest(steps: list[dict[str, Any]], **more: Any) -> Trace:
    async def waits(call: Call) -> None:
        await call.pause(3600)

    app = App()
    app.call("p")(waits)
    caller = Rehearsal(app.programs["p"], **more)

    async def commands() -> None:
        endpoint = CallCommands(caller.registry, CallGate(caller.registry, LoopClock()))
        for step in steps:
            await post(endpoint, caller.call.id, step)

    return (await played(caller, commands)).without("pause")


async def post(endpoint: CallCommands, call: str, step: dict[str, Any]) -> Any:
    """POST /v1/calls/{call}/verbs."""
    request = make_mocked_request(
        "POST",
        f"/v1/calls/{call}/verbs",
        match_info={"call": call},
    )
    identity = DemoAuthenticator().command(Identity())
    asked = Asked(request, identity, WaitQuery(wait=300), Step(step))
    reply = await endpoint.perform(asked)
    assert reply.answer is not None
    return reply.answer.model_dump()


@dataclass(frozen=True)
class Trace:
    """What everybody noticed of a call."""

    verbs: tuple[str, ...]
    heard: tuple[str, ...]
    asked: tuple[str, ...]  # of the caller's leg
    digits: tuple[Any, ...]
    dialled: tuple[Any, ...]
    far_end: tuple[str, ...]
    verdict: tuple[str, int, str]

    def without(self, carrier: str) -> Trace:
        """Without the verb that carried the others."""
        assert self.verbs[0] == carrier
        return Trace(**{**self.__dict__, "verbs": self.verbs[1:]})


async def played(caller: Rehearsal, commands: Callable[[], Awaitable[None]] | None = None) -> Trace:
    """Plays a call to its end: phones answer after a second and leave after five more, the caller
    presses keys now and then."""

    def phone(leg: FakeLeg) -> None:
        loop = asyncio.get_running_loop()
        leg.rings()
        loop.call_later(1, lambda: leg.ended or leg.answers())
        loop.call_later(6, lambda: None if leg.ended else leg.ends(NORMAL))

    caller.phones.script = phone
    async with caller:
        caller.leg.media(early=True)
        telling = asyncio.ensure_future(commands()) if commands is not None else None
        await asyncio.sleep(1.4)
        caller.press("42#")
        async with asyncio.timeout(600):
            await caller.call.wait_ended()
        if telling is not None:
            await telling
        events = caller.events
    verdict = caller.call.verdict
    assert verdict is not None
    return Trace(
        verbs=tuple(event.verb for event in events if isinstance(event, VerbStarted)),
        heard=tuple(caller.heard),
        asked=tuple(caller.leg.asked),
        digits=tuple(
            (type(event).__name__, event.digit, event.duration_ms)
            for event in events
            if isinstance(event, DigitReceived | DigitSent)
        ),
        dialled=tuple(caller.phones.targets),
        far_end=tuple(asked for leg in caller.phones.legs for asked in leg.asked),
        verdict=(verdict.code, verdict.sip_status, verdict.text),
    )


FACES = [by_python, by_yaml, by_webhook, by_rest]


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
@pytest.mark.parametrize("name", FULL)
def test_every_face_builds_the_same_verb(name: str, face: Any, seen: Seen) -> None:
    # Behind a verb: alone, set, goto and reject are the dialplan's business.
    steps = [{"answer": {}}, {name: FULL[name]}]
    if name not in ENDS:
        steps.append({"hangup": {"reason": "Enough"}})

    @virtual_time
    async def run() -> Trace:
        return await face(steps, plan=plan_from(parse_document(PLAN % "[]")))

    trace = run()
    if name == "hangup" and face is by_python:  # an exception: no program goes on behind it
        assert trace.verdict[2] == "Enough"
    elif name in ("set", "goto") and face is by_yaml:
        assert name in trace.verbs  # filled in by the script itself
    else:
        [found] = [verb for verb in seen.verbs if verb.verb == name and verb != Answer()] or [
            Answer()
        ]
        assert found == verb_from({name: FULL[name]})


# ---- the same calls -------------------------------------------------------------------------

CALLS: dict[str, list[dict[str, Any]]] = {
    "an answered greeting": [{"answer": {}}, {"say": {"text": "Hello."}}],
    "values": [{"say": {"text": "2026-12-24", "as": "date", "language": "fr"}}],
    "files": [{"play": {"file": "ring.wav", "loop": 2}}],
    "digits": [{"gather": {"question": "Code?", "max_digits": 4}}, {"say": {"text": "Thanks."}}],
    "early": [{"ring": {"early_media": True}}, {"say": {"text": "Busy."}}],
    "refused": [{"ring": {}}, {"reject": {"status": 486, "reason": "Busy here"}}],
    "tones": [{"answer": {}}, {"send_dtmf": {"digits": "1,2", "duration_ms": 200}}],
    "a dial": [
        {"dial": {"trunk": "t", "number": "200", "after_talk": "go_on", "headers": {"X-A": "b"}}},
        {"say": {"text": "And goodbye."}},
    ],
    "hold and mute": [
        {"answer": {}}, {"hold": {}}, {"unhold": {}}, {"mute": {}}, {"pause": {"seconds": 1}},
        {"unmute": {}},
    ],
    "variables": [{"answer": {}}, {"set": {"a": "b"}}],
    "elsewhere": [{"answer": {}}, {"goto": {"context": "later"}}],
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_every_face_makes_the_same_call(name: str) -> None:
    steps = CALLS[name]
    if not any(verb in step for step in steps for verb in ENDS):
        steps = [*steps, {"hangup": {"reason": "end"}}]

    @virtual_time
    async def run() -> None:
        plan = plan_from(parse_document(PLAN % "[]"))
        first = await by_python(steps, plan=plan)
        assert first.verbs[: len(steps)] == tuple(next(iter(step)) for step in steps)
        for face in (by_yaml, by_webhook, by_rest):
            assert await face(steps, plan=plan) == first, face.__name__

    run()


# ---- the same refusals ----------------------------------------------------------------------

BAD: list[tuple[dict[str, Any], str]] = [
    ({"say": {}}, "text"),
    ({"say": {"text": "x", "colour": "red"}}, "colour"),
    ({"pause": {"seconds": -1}}, "seconds"),
    ({"gather": {"max_digits": 0}}, "max_digits"),
    ({"dial": {"trunk": "t"}}, "number"),
    ({"dial": {"trunk": "t", "number": "1", "headers": {"Via": "x"}}}, "Via"),
    ({"dial": {"trunk": "t", "number": "1", "headers": {"X-A": "a\r\nVia: x"}}}, "X-A"),
    ({"record": {}}, "consent"),
    ({"send_dtmf": {"digits": "12E"}}, "digits"),
]


@pytest.mark.parametrize(("step", "word"), BAD)
def test_every_face_refuses_the_same(step: dict[str, Any], word: str) -> None:
    with pytest.raises(GatewayError, match=word):
        verb_from(step)
    with pytest.raises(Exception, match=word):
        plan_from(parse_document(yaml.safe_dump(yaml.safe_load(yaml_text([step])))))

    @virtual_time
    async def run() -> None:
        async with Rehearsal(python_face([step])) as caller:
            with pytest.raises((ValueError, TypeError), match=word):
                await caller.end()

    run()
