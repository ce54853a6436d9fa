"""Call records from real calls on doubles, in virtual time: every ending; and from any events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import events as e
from gateway.calls import Call
from gateway.clock import Instant
from gateway.errors import BUSY, CANCELLED, DECLINED, NORMAL, Blame, Verdict, from_sip_status
from gateway.ids import CallId, LegId
from gateway.ports import LegKind, PortStats
from gateway.storage.cdr import DROP, MASK, Cdr, Numbers, fold, masked
from gateway.storage.event_log import Envelope
from gateway.terms import CdrState, Party
from gateway.testing import virtual_time
from gateway.testing.clock import EPOCH
from tests.calls.conftest import Stand, breathe, ended, logs, make_stand, stand

__all__ = ["logs", "make_stand", "stand"]  # fixtures

PLAN = """
contexts:
  browser:
    - {match: phone, name: out, dial: {trunk: trunk, number: "200"}}
    - {match: alice, dial: {user: alice}}
    - {match: echo, echo: }
    - {match: no, reject: {status: 486, reason: Not today}}
    - match: either
      steps:
        - dial: {targets: [{trunk: one, number: "201"}, {trunk: two, number: "202"}]}
  trunk:
    - {match: alice, dial: {user: alice}}
"""
DIGITS = "4711"


async def record_of(stand: Stand, call: Call, numbers: Numbers | None = None) -> Cdr:
    """The record of a call, once it is over."""
    await ended(call)
    history = stand.log.replay(0, call.id)
    return fold(history) if numbers is None else fold(history, numbers)


def said_in(cdr: Cdr) -> str:
    """Everything in the record; how it prints hides some of it."""
    return repr([*map(tuple, cdr.legs), *cdr[:-1]])


def stats(packets: int, lost: int, jitter: float, rtt: float) -> PortStats:
    return PortStats(packets, lost, packets, 0, 0, 0, jitter, rtt, 3, 0, 0)


@virtual_time
async def test_an_answered_call(stand: Stand) -> None:
    caller, callee, call = await stand.talking()
    assert caller.port is not None
    assert callee.port is not None
    stand.media.counters[caller.port] = stats(500, 0, 2.0, 30.0)
    stand.media.counters[callee.port] = stats(450, 50, 20.0, 200.0)
    stand.media.press(caller.port, DIGITS)
    stand.media.press(callee.port, "8")
    await breathe(9.99)
    callee.ends(NORMAL)
    cdr = await record_of(stand, call)
    assert (cdr.state, cdr.code, cdr.sip_status, cdr.q850) == (CdrState.ENDED, "normal", 200, 16)
    assert (cdr.hung_up_by, cdr.blame) == (Party.CALLEE, Blame.NOBODY)
    assert (cdr.context, cdr.callee, cdr.trunk) == ("browser", "phone", None)
    assert cdr.duration_ms == pytest.approx(10_010, abs=15)
    assert cdr.talk_ms == 10_000
    assert (cdr.dtmf_received, cdr.recorded, cdr.incomplete) == (5, False, False)
    assert cdr.answered_at is not None
    assert cdr.ended_at == cdr.answered_at + timedelta(seconds=10)
    first, second = cdr.legs
    assert (first.role, first.kind, first.trunk) == (e.Role.CALLER, LegKind.WEBRTC, None)
    assert (second.role, second.trunk, second.number) == (e.Role.CALLEE, "trunk", "200")
    assert (second.by_peer, first.by_peer) == (True, False)
    assert (first.talk_ms, second.talk_ms) == (10_000, 10_000)
    assert (first.dtmf_received, second.dtmf_received) == (4, 1)
    assert first.quality is not None
    assert second.quality is not None
    assert (first.quality.codec, second.quality.codec) == ("opus/48000", "pcmu/8000")
    assert (second.quality.rx_packets, second.quality.rx_lost) == (450, 50)
    assert first.quality.mos is not None
    assert second.quality.mos is not None
    assert first.quality.mos > 4.3
    assert second.quality.mos < 3.5


@virtual_time
async def test_the_caller_hangs_up(stand: Stand) -> None:
    caller, _, call = await stand.talking()
    caller.ends(NORMAL)
    assert (await record_of(stand, call)).hung_up_by is Party.CALLER


@virtual_time
async def test_a_browser_hangs_up_by_signalling_and_a_program_by_itself(stand: Stand) -> None:
    caller, _, call = await stand.talking()
    call.hangup(by=caller.id)
    assert (await record_of(stand, call)).hung_up_by is Party.CALLER
    _, callee, call = await stand.talking()
    call.hangup(by=callee.id)
    assert (await record_of(stand, call)).hung_up_by is Party.CALLEE
    _, _, call = await stand.talking()
    call.hangup()
    assert (await record_of(stand, call)).hung_up_by is Party.GATEWAY


@virtual_time
async def test_busy(stand: Stand) -> None:
    caller, call = stand.browser_calls("phone")
    caller.media(early=True)
    await breathe()
    stand.sip.legs[-1].rings()
    await breathe(3)
    stand.sip.legs[-1].ends(from_sip_status(486, "Busy Here"))
    cdr = await record_of(stand, call)
    assert (cdr.code, cdr.sip_status, cdr.q850, cdr.blame) == ("busy", 486, 17, Blame.CALLEE)
    assert (cdr.hung_up_by, cdr.answered_at, cdr.talk_ms) == (Party.CALLEE, None, 0)
    assert cdr.duration_ms == pytest.approx(3010, abs=15)
    phone = cdr.legs[1]
    assert phone.ringing_at is not None
    assert (phone.code, phone.answered_at, phone.quality) == ("busy", None, None)


@virtual_time
async def test_the_caller_gives_up(stand: Stand) -> None:
    caller, call = stand.browser_calls("phone")
    await breathe(2)
    caller.ends(NORMAL)
    cdr = await record_of(stand, call)
    assert (cdr.code, cdr.sip_status, cdr.hung_up_by) == ("cancelled", 487, Party.CALLER)
    assert (cdr.blame, cdr.legs[1].by_peer) == (CANCELLED.blame, False)


@virtual_time
async def test_the_plan_refuses_and_knows_no_route(stand: Stand) -> None:
    _, call = stand.browser_calls("no")
    cdr = await record_of(stand, call)
    assert (cdr.sip_status, cdr.hung_up_by, len(cdr.legs)) == (486, Party.GATEWAY, 1)
    _, call = stand.browser_calls("nowhere")
    cdr = await record_of(stand, call)
    assert (cdr.code, cdr.rule, cdr.blame) == ("not_found", None, Blame.CALLER)


@virtual_time
async def test_two_tabs_ring_and_one_answers(stand: Stand) -> None:
    stand.browsers.sessions["alice"] = 2
    _, call = stand.phone_calls("alice", caller="+14155550100")
    await breathe()
    one, two = stand.browsers.legs
    one.rings()
    two.rings()
    await breathe(1)
    two.answers()
    await breathe(5)
    two.ends(NORMAL)
    cdr = await record_of(stand, call)
    assert (cdr.trunk, cdr.caller, cdr.hung_up_by) == ("trunk", "+14155550100", Party.CALLEE)
    phone, first, second = cdr.legs
    assert (phone.trunk, phone.number) == ("trunk", "+14155550100")
    assert (first.number, first.trunk, first.answered_at) == ("alice", None, None)
    assert (first.by_peer, first.talk_ms) == (False, 0)
    assert second.talk_ms == 5000
    assert first.duration_ms < second.duration_ms


@virtual_time
async def test_a_program(stand: Stand) -> None:
    caller, call = stand.browser_calls("echo")
    caller.media()
    await breathe(2)
    assert caller.port is not None
    stand.media.press(caller.port, DIGITS)
    caller.ends(NORMAL)
    cdr = await record_of(stand, call)
    assert (cdr.program, cdr.code, cdr.hung_up_by) == ("echo", "normal", Party.CALLER)
    assert cdr.talk_ms > 0
    assert (cdr.legs[0].talk_ms, cdr.dtmf_received) == (cdr.talk_ms, 4)


@virtual_time
async def test_the_second_trunk_takes_what_the_first_does_not(
    make_stand: Callable[..., Stand],
) -> None:
    stand = make_stand(plan=PLAN)
    caller, call = stand.browser_calls("either")
    caller.media(early=True)
    await breathe(1)
    stand.sip.legs[0].ends(from_sip_status(503, "Down"))
    await breathe(1)
    stand.sip.legs[1].answers()
    await breathe(4)
    caller.ends(NORMAL)
    cdr = await record_of(stand, call)
    assert [leg.trunk for leg in cdr.legs] == [None, "one", "two"]
    assert [leg.sip_status for leg in cdr.legs[1:]] == [503, 200]
    assert [leg.talk_ms for leg in cdr.legs] == [4000, 0, 4000]
    assert (cdr.code, cdr.hung_up_by) == ("normal", Party.CALLER)


@virtual_time
async def test_nobody_answers(stand: Stand) -> None:
    _, call = stand.browser_calls("phone")
    cdr = await record_of(stand, call)
    assert (cdr.code, cdr.q850, cdr.hung_up_by) == ("no_answer", 19, Party.GATEWAY)
    assert cdr.duration_ms == pytest.approx(60_000, abs=100)


@virtual_time
async def test_a_record_before_the_end_is_open(stand: Stand) -> None:
    _, _, call = await stand.talking()
    cdr = fold(stand.log.replay(0, call.id))
    assert (cdr.state, cdr.ended_at, cdr.code, cdr.hung_up_by) == (CdrState.LIVE, None, None, None)
    assert cdr.answered_at is not None
    await stand.registry.close_all()


@virtual_time
async def test_how_a_record_prints_has_no_numbers(stand: Stand) -> None:
    number = "+14155550100"
    refused = BUSY.because(f"486 {number} is busy")
    _, call = stand.phone_calls("alice", caller=number)
    await breathe()
    stand.browsers.legs[-1].ends(refused)
    cdr = await record_of(stand, call)
    assert number in said_in(cdr)
    assert number not in f"{cdr} {cdr!r} {cdr.legs} {cdr.legs[0]!r}"


@virtual_time
async def test_masked_and_dropped_numbers(stand: Stand) -> None:
    number = "+14155550100"
    refused = BUSY.because(f"486 {number} is busy")
    for numbers, shown in ((MASK, "+1415555xxxx"), (DROP, None)):
        _, call = stand.phone_calls("alice", caller=number)
        await breathe()
        stand.browsers.legs[-1].ends(refused)
        cdr = await record_of(stand, call, numbers)
        assert (cdr.caller, cdr.legs[0].number) == (shown, shown)
        assert number not in said_in(cdr)
        assert "alice" not in (cdr.callee, cdr.legs[1].number)
        assert cdr.text is None


@given(st.text())
def test_a_mask_hides_half_or_the_last_four(number: str) -> None:
    shown = masked(number)
    assert len(shown) == len(number)
    hidden = shown[len(shown) - min(4, -(-len(number) // 2)) :]
    assert set(hidden) <= {"x"}


# ---- whatever happens -----------------------------------------------------------------------

LEGS = st.sampled_from([LegId("l-1"), LegId("l-2"), LegId("l-3")])
VERDICTS = st.sampled_from([NORMAL, BUSY, DECLINED, CANCELLED])
SECRET = "\N{BULLSEYE}"  # in the place of digits: nothing else has it
ROLES = st.sampled_from(e.Role)
COUNTS = st.integers(-5, 10**12)


def any_event() -> st.SearchStrategy[e.Event]:
    return st.one_of(
        st.builds(e.CallCreated, st.just("browser"), st.just("1"), st.just("2"), st.none()),
        st.builds(e.CallRouted, st.none(), st.just(())),
        st.builds(e.LegAdded, LEGS, ROLES, st.sampled_from(LegKind), st.none(), st.just("3")),
        st.builds(e.LegGone, LEGS, VERDICTS, st.booleans()),
        st.builds(
            e.LegQuality, LEGS, st.just("pcmu/8000"), COUNTS, COUNTS, COUNTS, COUNTS,
            st.floats(0, 1e6), st.floats(0, 1e6),
        ),
        st.builds(e.CallRinging, LEGS),
        st.builds(e.CallAnswered, st.none() | LEGS),
        st.builds(e.DigitStarted, LEGS, st.just(SECRET), st.integers()),
        st.builds(e.DigitReceived, LEGS, st.just(SECRET), COUNTS, st.integers()),
        st.builds(e.DigitSent, LEGS, st.just(SECRET), COUNTS, st.integers()),
        st.builds(e.DigitDropped, LEGS, st.just(SECRET), st.just("late")),
        st.builds(e.CallEnded, VERDICTS, st.booleans(), COUNTS, COUNTS, st.none() | ROLES),
    )  # fmt: skip


STEPS = st.lists(st.tuples(any_event(), st.floats(-5, 100)), min_size=1, max_size=30)


@given(STEPS)
def test_any_order_of_events_gives_a_record_without_digits(
    steps: list[tuple[e.Event, float]],
) -> None:
    """Clocks that go back among them."""
    now, history = 1000.0, []
    for number, (event, seconds) in enumerate(steps):
        now += seconds
        at = Instant(now, EPOCH + timedelta(seconds=number))
        history.append(Envelope(number + 1, CallId("c-1"), at, event))
    cdr = fold(history)
    assert SECRET not in said_in(cdr)
    assert min(cdr.duration_ms, cdr.talk_ms) >= 0
    assert all(min(leg.duration_ms, leg.talk_ms) >= 0 for leg in cdr.legs)
    assert (cdr.state is CdrState.ENDED) == any(isinstance(s, e.CallEnded) for s, _ in steps)
    assert cdr.incomplete == (not isinstance(steps[0][0], e.CallCreated))
    for leg in cdr.legs:
        assert leg.quality is None or leg.quality.mos is None or 1 <= leg.quality.mos <= 4.5


def test_no_events_are_no_record() -> None:
    with pytest.raises(ValueError, match="no events"):
        fold([])


def test_a_verdict_is_copied_whole() -> None:
    verdict = Verdict("busy", 600, 409, 17, Blame.PEER, "600 Busy Everywhere")
    at = Instant(1.0, EPOCH)
    call = CallId("c-1")
    cdr = fold(
        [
            Envelope(1, call, at, e.CallCreated("browser", "", "1")),
            Envelope(2, call, at, e.CallEnded(verdict, False, 0, 0, e.Role.CALLEE)),
        ]
    )
    assert (cdr.sip_status, cdr.blame, cdr.text) == (600, Blame.PEER, "600 Busy Everywhere")
