"""Scripts of the dialplan as calls perform them, in virtual time; and the simulator that dialplan
cases use comes to the same end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.calls.programs import ProgramContext
from gateway.calls.programs.routing import MAX_GOTOS, Routing
from gateway.dialplan import DialOut, DialUser, Origin, Refuse, Request, RunProgram, RunScript
from gateway.dialplan.simulate import World, simulate
from gateway.errors import FETCH_FAILED, NORMAL, GatewayError, Verdict, from_sip_status
from gateway.testing import FakeLeg, virtual_time
from gateway.testing.rehearsal import Rehearsal
from gateway.verbs import Dial
from tests.calls.conftest import ended
from tests.dialplan.plans import plan

OFFICE = """
contexts:
  browser:
    - name: menu
      match: menu
      steps:
        - set: {name: Ann}
        - say: Hello ${vars.name}, you dialled ${callee}.
        - gather: {question: Well?, max_digits: 2, patterns: ["1", "22"]}
        - goto: {context: chosen, callee: "7${vars.digits}"}
    - name: hunt
      match: hunt
      steps:
        - dial: {strategy: sequence, targets: [{user: bob}, {trunk: a, number: "1"},
                 {trunk: b, number: "2"}]}
        - say: "${vars.dial_status} ${vars.dial_code}"
        - dial: {trunk: c, number: "3"}
    - name: after
      match: after
      steps:
        - dial: {trunk: a, number: "1", after_talk: go_on}
        - say: "${vars.dial_status} ${vars.dial_code}"
        - hangup: Bye
    - name: server
      match: server
      steps:
        - http: {url: "https://crm.example/${caller}", fallback: [{say: Later.}]}
        - say: "${vars.http_status} ${vars.wish}"
    - {name: bad, match: bad, steps: [say: One, pause: "${vars.none}", say: Two]}
    - {name: denied, match: denied, steps: [say: One, dial: {trunk: a, number: "+19005551234"}]}
    - {name: refuse, match: refuse, steps: [say: One, reject: {status: 486}]}
    - {name: loop, match: loop, steps: [pause: 1, goto: again]}
    - {name: nowhere, match: nowhere, steps: [say: One, goto: empty]}
    - {name: echo, match: echo, steps: [say: One, goto: {context: chosen, callee: echo}]}
    - {name: app, match: app, steps: [say: One, app: other]}
  chosen:
    - {name: one, match: "71", vars: {digits: "1"}, set: {name: Bob}, goto: last}
    - {name: echo, match: echo, set: {who: echo}, app: other}
    - {name: dial, match: "722", dial: {trunk: c, number: "9${vars.digits}"}}
    - {name: none, match: _., reject: {status: 404}}
  last: [{match: _., steps: [say: "${vars.name} ${callee} ${dialled}", hangup: Bye]}]
  again: [{match: _., steps: [pause: 1, goto: again]}]
  empty: []
"""


@dataclass
class Server:
    """Replies in order, then fails."""

    replies: list[Any] = field(default_factory=list)
    asked: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    async def ask(
        self,
        url: str,
        payload: Mapping[str, Any],
        *,
        seconds: float | None = None,
        attempts: int | None = None,
    ) -> Any:
        self.asked.append((url, payload))
        if not self.replies:
            raise GatewayError(FETCH_FAILED)
        return {"verbs": self.replies.pop(0)}


class Live:
    """A call of the office's plan, and far ends that do as `world` says."""

    def __init__(self, callee: str, world: World) -> None:
        self.variables: dict[str, str] = {}

        async def other(context: ProgramContext) -> Verdict:
            self.variables.update(context.variables)
            return NORMAL.because("The other program ended")

        self.server = Server([list(steps) for steps in world.http])
        self.rehearsal = Rehearsal(
            plan(OFFICE),
            caller="alice",
            callee=callee,
            programs={"other": other},
            webhooks=self.server,
        )
        self._world = world
        self._met: set[str] = set()
        self.rehearsal.browsers.sessions = {"bob": 1}

    @property
    def dialled(self) -> tuple[list[str], list[str]]:
        """Trunks, and users."""
        trunks = [f"trunk:{target.trunk}" for target in self.rehearsal.phones.targets]
        return trunks, [f"user:{user}" for user, _, _ in self.rehearsal.browsers.rung]

    async def run(self) -> str:
        """How the call ends."""
        async with self.rehearsal as call, self._far_ends():
            await ended(call.call)
            assert call.call.verdict is not None
            return call.call.verdict.code

    @asynccontextmanager
    async def _far_ends(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._act())
        yield
        task.cancel()
        await asyncio.wait([task])

    async def _act(self) -> None:
        digits = list(self._world.digits)
        gathers = 0
        while True:
            await asyncio.sleep(0.3)
            call = self.rehearsal
            phones = zip(call.phones.legs, call.phones.targets, strict=True)
            browsers = zip(call.browsers.legs, call.browsers.rung, strict=True)
            for leg, target in phones:
                self._meet(leg, f"trunk:{target.trunk}")
            for leg, (user, _, _) in browsers:
                self._meet(leg, f"user:{user}")
            if call.verbs.count("gather") > gathers:
                gathers += 1
                call.press(digits.pop(0) if digits else "")

    def _meet(self, leg: FakeLeg, name: str) -> None:
        reply = self._world.answers.get(name, "answer")
        if leg.id in self._met or reply == "no_answer":
            return
        self._met.add(leg.id)
        if reply == "answer":
            leg.answers()
            asyncio.get_running_loop().call_later(5, _hang_up, leg)
        else:
            leg.ends(from_sip_status(int(reply)))


def _hang_up(leg: FakeLeg) -> None:
    if not leg.ended:
        leg.ends(NORMAL)


def tried(callee: str, world: World) -> Any:
    return simulate(plan(OFFICE), Request("browser", "alice", callee, source="alice"), world)


def said(verbs: Sequence[Mapping[str, Any]]) -> list[str]:
    return [step["say"]["text"] for step in verbs if "say" in step]


@pytest.mark.parametrize(
    ("callee", "world", "heard", "code"),
    [
        ("menu", World(digits=["1"]), ["Hello Ann, you dialled menu.", "Bob 71 menu"], "normal"),
        ("menu", World(digits=["22"]), ["Hello Ann, you dialled menu."], "normal"),
        ("menu", World(digits=["22"], answers={"trunk:c": "486"}), None, "busy"),
        ("menu", World(digits=["3"]), None, "not_found"),
        ("menu", World(), None, "not_found"),
        ("hunt", World(), [], "normal"),
        ("hunt", World(answers={"user:bob": "603"}), ["declined 603"], "normal"),
        ("hunt", World(answers={"user:bob": "480", "trunk:a": "503"}), [], "normal"),
        (
            "hunt",
            World(answers={"user:bob": "no_answer", "trunk:a": "503", "trunk:b": "404"}),
            ["not_found 404"],
            "normal",
        ),
        (
            "hunt",
            World(answers={"user:bob": "486", "trunk:c": "500"}),
            ["busy 486"],
            "peer_refused",
        ),
        ("after", World(), ["answered 200"], "normal"),
        ("after", World(answers={"trunk:a": "488"}), ["no_common_codec 488"], "normal"),
        ("server", World(), ["Later.", "fetch_failed "], "normal"),
        (
            "server",
            World(http=[[{"say": "Hi"}, {"set": {"wish": "${caller}"}}]]),
            ["Hi", "ok ${caller}"],
            "normal",
        ),
        (
            "server",
            World(http=[[{"goto": {"context": "chosen", "callee": "71"}}]]),
            [],
            "not_found",
        ),
        ("server", World(http=[[{"reject": {"status": 603}}]]), [], "declined"),
        ("bad", World(), ["One"], "bad_request"),
        ("denied", World(), ["One"], "forbidden"),
        ("refuse", World(), ["One"], "busy"),
        ("loop", World(), [], "loop_detected"),
        ("nowhere", World(), ["One"], "not_found"),
        ("app", World(), ["One"], "normal"),
    ],
)
@virtual_time
async def test_a_call_goes_as_its_script_says_and_as_the_simulator_says(
    callee: str, world: World, heard: list[str] | None, code: str
) -> None:
    live, dry = Live(callee, world), tried(callee, world)
    assert await live.run() == code
    spoken = [text for text in live.rehearsal.heard if text != "Well?"]
    if heard is not None:
        assert spoken == heard
    assert dry.cause.code == code
    assert said(dry.verbs) == spoken
    assert live.dialled == (
        [name.partition("/")[0] for name in dry.dialled if name.startswith("trunk:")],
        [name for name in dry.dialled if name.startswith("user:")],
    )
    performed = [next(iter(step)) for step in dry.verbs]
    by_the_script = ("set", "goto", "app", "ivr", "echo")
    in_both = [verb for verb in live.rehearsal.verbs if verb not in by_the_script]
    assert [verb for verb in performed if verb not in by_the_script][: len(in_both)] == in_both


@virtual_time
async def test_keys_that_are_too_many_are_heard_by_the_next_question() -> None:
    text = """
    contexts:
      browser:
        - match: _.
          steps:
            - gather: {question: One?, max_digits: 2, attempts: 2, min_digits: 2,
                       patterns: ["12", "34"], not_good: No.}
            - gather: {question: Two?, max_digits: 3}
            - say: "${vars.digits} ${vars.gather_reason}"
    """
    world = World(digits=["99", "1256#"])
    dry = simulate(plan(text), Request("browser", "alice", "100", source="alice"), world)
    assert said(dry.verbs) == ["56 terminated"]
    async with Rehearsal(plan(text), caller="alice") as caller:
        await caller.hears("One?")
        caller.press("99")
        await caller.hears("No.", "One?")
        caller.press("1256#")
        await caller.hears("56 terminated")  # who types ahead hears no question
        assert (await caller.end()).code == dry.cause.code


@virtual_time
async def test_a_program_behind_a_goto_knows_what_was_set_on_the_way() -> None:
    live = Live("echo", World())
    assert await live.run() == "normal"
    assert live.variables["who"] == "echo"


@virtual_time
async def test_a_server_is_asked_at_the_address_as_filled_in() -> None:
    live = Live("server", World(http=[[]]))
    await live.run()
    ((url, payload),) = live.server.asked
    assert url == "https://crm.example/alice"
    assert payload["variables"] == {}


# ---- where a call is ------------------------------------------------------------------------

ROOMS = """
contexts:
  browser:
    numbers: {country: US}
    rules: [{name: go, match: _9X., goto: {context: inside, callee: "${callee:1}"}},
            {name: stay, match: _., steps: [answer: ]}]
  inside:
    destinations: {deny: {prefixes: "+44"}}
    rules: [{name: in, match: _., steps: [answer: ]}]
  room: [{name: room, match: _., set: {seen: "${callee} ${vars.seen}"}, app: x}]
"""


def test_dials_go_by_the_context_where_the_call_is() -> None:
    routing = Routing(plan(ROOMS), Request("browser", "alice", "912", Origin.BROWSER))
    british = Dial.model_validate({"trunk": "t", "number": "+442079460000"})
    assert isinstance(routing.resolve(british), DialOut)
    decision = routing.begin()
    assert decision.contexts == ("browser", "inside")
    with pytest.raises(GatewayError) as refused:
        routing.resolve(british)
    assert refused.value.verdict.code == "forbidden"
    variables = {"seen": "before"}
    assert routing.goto("room", None, variables) == RunProgram("x")
    assert variables == {"seen": "12 before"}
    assert isinstance(routing.resolve(british), DialOut)


def test_a_goto_into_nothing_is_refused_and_hostile_numbers_are_no_route() -> None:
    routing = Routing(plan(ROOMS), Request("browser", "alice", "12"))
    assert isinstance(routing.begin().outcome.action, RunScript)  # type: ignore[union-attr]
    with pytest.raises(GatewayError, match="no context 'nowhere'"):
        routing.goto("nowhere", None, {})
    for callee in ("1@evil", ""):
        action = routing.goto("room", callee, {})
        assert isinstance(action, Refuse)
        assert action.verdict.code == "not_found"


def test_a_call_goes_on_only_so_often() -> None:
    routing = Routing(plan(ROOMS), Request("browser", "alice", "12"))
    for _ in range(MAX_GOTOS):
        routing.goto("room", None, {})
    with pytest.raises(GatewayError) as refused:
        routing.goto("room", None, {})
    assert refused.value.verdict.code == "loop_detected"


def test_a_call_that_the_gateway_starts_stands_in_its_keys_context() -> None:
    routing = Routing(plan(ROOMS), Request("browser", "", "200", Origin.KEY, "crm"))
    dial = Dial.model_validate({"trunk": "t", "number": "4155550100"})
    (target,) = routing.resolve(dial).targets
    assert not isinstance(target, DialUser)
    assert target.number == "+14155550100"


@virtual_time
async def test_a_script_dials_by_the_context_that_a_goto_led_to() -> None:
    text = """
    contexts:
      browser: [{match: _., goto: inside}]
      inside:
        destinations: {allow: {prefixes: "+1"}}
        rules: [{match: _., steps: [say: One, dial: {trunk: t, number: "+442079460000"}]}]
    """
    async with Rehearsal(plan(text), caller="alice") as caller:
        await caller.hears("One")
        assert (await caller.end()).code == "forbidden"
    assert caller.phones.targets == []
