"""The call machine under any order of events: the books balance, and every call can end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.calls import inputs
from gateway.calls.effects import Dial, StopProgram
from gateway.calls.state import Timer
from gateway.dialplan import DialOut, DialUser, Refuse, RunProgram
from gateway.errors import BUSY, FORBIDDEN, MEDIA_FAILED, NORMAL
from gateway.events import CallEnded, DigitReceived
from gateway.ids import LegId
from gateway.ports import LegKind
from gateway.terms import Phase
from gateway.verbs import AfterTalk, Strategy
from gateway.verbs.dialling import DialSettings
from tests.calls.driver import (
    CALLEE,
    CALLER,
    OTHER,
    THIRD,
    TIMEOUTS,
    TO_TRUNK,
    TO_USER,
    Driver,
    new_leg,
)

STRANGER = LegId("l-nobody")
callees = st.sampled_from([CALLEE, OTHER, THIRD, STRANGER])
legs = st.sampled_from([CALLER, CALLEE, OTHER, THIRD, STRANGER])
ports = st.sampled_from([10, 11, 20, 30])
verdicts = st.sampled_from([NORMAL, BUSY, MEDIA_FAILED])
hows = st.builds(
    DialSettings,
    strategy=st.sampled_from([Strategy.SIMULTANEOUS, Strategy.SEQUENCE]),
    stop_on=st.sampled_from([(), (486,)]),
    music=st.sampled_from([None, "music.wav"]),
    whisper=st.sampled_from([None, "A call for you"]),
    confirm=st.sampled_from([None, "1"]),
    max_duration=st.sampled_from([None, 60.0]),
    after_talk=st.sampled_from(AfterTalk),
)
targets = st.lists(st.sampled_from([*TO_TRUNK.targets, *TO_USER.targets]), min_size=1, max_size=3)
dials = st.builds(lambda to, how: DialOut(tuple(to), how), targets, hows)
programs = st.builds(RunProgram, st.just("echo"))
actions = st.one_of(dials, programs, st.sampled_from([TO_TRUNK, TO_USER, Refuse(FORBIDDEN)]))

random_inputs: st.SearchStrategy[inputs.Input] = st.one_of(
    st.builds(inputs.Routed, actions, st.just("rule"), st.just(())),
    st.builds(inputs.CallerMedia, ports, st.just("opus/48000")),
    st.builds(inputs.CallerHeld, st.booleans()),
    st.builds(inputs.CallerEnded, verdicts, st.booleans()),
    st.builds(inputs.CalleeRinging, callees),
    st.builds(inputs.CalleeMedia, callees, ports, st.booleans(), st.just("pcmu/8000")),
    st.builds(inputs.CalleeAnswered, callees),
    st.builds(inputs.CalleeHeld, callees, st.booleans()),
    st.builds(inputs.CalleeEnded, callees, verdicts, st.booleans()),
    st.builds(inputs.RtpSilent, legs, st.just(30_000)),
    st.builds(inputs.RtpBack, legs),
    st.builds(inputs.AnswerRequested),
    st.builds(inputs.RingRequested, st.booleans()),
    st.builds(inputs.DialRequested, dials),
    st.builds(inputs.DialCancelled),
    st.builds(inputs.Screened, callees, st.booleans()),
    st.builds(inputs.ParkRequested, legs, st.booleans(), st.sampled_from([None, "music.wav"])),
    st.builds(inputs.MuteRequested, legs, st.booleans()),
    st.builds(inputs.DigitsWithheld, legs, st.booleans()),
    st.builds(inputs.Taken, programs),
    st.builds(inputs.CallerAnswered),
    st.builds(inputs.ProgramDone, verdicts),
    st.builds(inputs.Failed, verdicts),
    st.builds(inputs.HangupRequested, st.one_of(st.none(), verdicts)),
    st.sampled_from(list(TIMEOUTS.values())),
    st.builds(inputs.Observed, st.builds(DigitReceived, legs, st.just("5"), st.just(100), ports)),
)
# Ends are as likely as anything else above, so that most random calls would be over at once.
lively_inputs = st.one_of(
    *(
        st.builds(kind, *arguments)
        for kind, arguments in (
            (inputs.CallerMedia, (ports, st.just("opus/48000"))),
            (inputs.CalleeMedia, (callees, ports, st.booleans(), st.just("pcmu/8000"))),
            (inputs.CalleeAnswered, (callees,)),
            (inputs.CalleeHeld, (callees, st.booleans())),
            (inputs.RtpSilent, (legs, st.just(30_000))),
            (inputs.DialRequested, (dials,)),
            (inputs.AnswerRequested, ()),
            (inputs.ParkRequested, (legs, st.booleans(), st.sampled_from([None, "a.wav"]))),
            (inputs.Screened, (callees, st.booleans())),
        )
    ),
    random_inputs,
)
dialled = st.lists(st.sampled_from([CALLEE, OTHER, THIRD]), unique=True)


def _feed(call: Driver, event: inputs.Input, forks: list[LegId]) -> None:
    timer = next((timer for timer, timeout in TIMEOUTS.items() if timeout == event), None)
    if timer is not None:
        call.timers.discard(timer)
    done = call.feed(event, seconds=0.5)
    for effect in done:
        if isinstance(effect, Dial):
            # As the supervisor does: the legs are told before anything else can happen.
            many = isinstance(effect.targets[0], DialUser)
            kind = LegKind.WEBRTC if many else LegKind.SIP
            made = [leg for leg in forks if leg not in call.legs][: 3 if many else 1]
            answer = inputs.Dialed(tuple(new_leg(leg, kind) for leg in made))
            call.legs.update(made)
            _feed(call, answer, forks)


@given(
    kind=st.sampled_from(LegKind),
    forks=dialled,
    first=st.lists(random_inputs, max_size=2),
    action=actions,
    rest=st.lists(lively_inputs, max_size=30),
)
@settings(max_examples=400, deadline=None)
def test_any_order_of_events_keeps_the_books(
    kind: LegKind,
    forks: list[LegId],
    first: list[inputs.Input],
    action: object,
    rest: list[inputs.Input],
) -> None:
    call = Driver(kind)  # checks every effect: no leg hung up twice, nothing after the end, ...
    for event in (*first, inputs.Routed(action, "rule", ()), *rest):  # type: ignore[arg-type]
        if isinstance(event, inputs.CallerEnded) and CALLER in call.ended:
            continue  # a leg ends once
        if isinstance(event, inputs.CalleeEnded) and (
            event.leg in call.ended or event.leg not in call.legs
        ):
            continue
        _feed(call, event, forks)

    # Whatever happened: asked to end, it ends, and every leg was hung up once or ended by itself.
    call.feed(inputs.HangupRequested())
    assert call.phase() in (Phase.ENDING, Phase.ENDED)
    assert call.bridge is None
    assert not call.program
    told = set(call.hangups)
    assert call.legs <= told | call.ended
    call.end_legs()
    assert call.phase() is Phase.ENDED
    assert call.finished
    assert [type(event) for event in call.events].count(CallEnded) == 1


@given(forks=dialled, rest=st.lists(lively_inputs, max_size=30))
@settings(max_examples=200, deadline=None)
def test_legs_that_never_confirm_cannot_keep_a_call(
    forks: list[LegId], rest: list[inputs.Input]
) -> None:
    call = Driver()
    for event in (inputs.Routed(TO_USER, "rule", ()), *rest):
        if not isinstance(event, inputs.CallerEnded | inputs.CalleeEnded):
            _feed(call, event, forks)
    call.feed(inputs.HangupRequested())
    if call.phase() is Phase.ENDING:
        call.fire(Timer.CLOSING)
    assert call.phase() is Phase.ENDED


@given(rest=st.lists(lively_inputs, max_size=20))
@settings(max_examples=200, deadline=None)
def test_the_machine_is_a_function(rest: list[inputs.Input]) -> None:
    one, other = Driver(), Driver()
    for call in (one, other):
        for event in (inputs.Routed(TO_TRUNK, "rule", ()), *rest):
            if not isinstance(event, inputs.CallerEnded | inputs.CalleeEnded):
                _feed(call, event, [CALLEE])
    assert one.state == other.state
    assert one.effects == other.effects


def test_a_program_is_stopped_before_legs_are_hung_up() -> None:
    call = Driver()
    call.feed(inputs.CallerMedia(10, "opus/48000"))
    call.route(RunProgram("echo"))
    assert call.feed(inputs.HangupRequested())[0] == StopProgram()
