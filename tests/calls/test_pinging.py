"""When trunks are asked by OPTIONS, and what answers and silence make of them: in virtual time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.calls import pinging
from gateway.calls.pinging import ANSWER_WITHIN, JITTER, MISSES, SPREAD, Pinging, Reach
from gateway.calls.pings import TrunkPings
from gateway.clock import Instant
from gateway.errors import INTERNAL, GatewayError
from gateway.ports import OptionsReply
from gateway.testing import LoopClock, virtual_time
from gateway.testing.clock import ManualClock

OK = OptionsReply(200, "OK", 0.010)
NOT_ALLOWED = OptionsReply(405, "Method Not Allowed", 0.010)
OVERLOADED = OptionsReply(503, "Service Unavailable", 0.010)
REFUSED = OptionsReply(503, "Connection refused")
INTERVAL = 30.0


class Peer:
    """What trunks answer: `reply` after `delay` seconds, None: nothing for 32 s. A double of
    gateway.ports.SipOptions."""

    def __init__(self, reply: OptionsReply | None = OK, delay: float = 0.010) -> None:
        self.reply = reply
        self.delay = delay
        self.delays: deque[float] = deque()  # of the next pings
        self.asked: list[float] = []
        self.most = 0  # that waited at once
        self._waiting = 0
        self.broken: Exception | None = None

    async def options(self, trunk: str) -> OptionsReply:
        """See gateway.ports.SipOptions."""
        assert trunk == "out"
        self.asked.append(asyncio.get_running_loop().time())
        if self.broken is not None:
            raise self.broken
        self._waiting += 1
        self.most = max(self.most, self._waiting)
        try:
            delay = self.delays.popleft() if self.delays else self.delay
            if self.reply is None:
                await asyncio.sleep(32)
                return OptionsReply(408, "Request Timeout")
            await asyncio.sleep(delay)
            return self.reply
        finally:
            self._waiting -= 1


@asynccontextmanager
async def asking(
    peer: Peer, interval: float = INTERVAL, chance: Callable[[], float] = lambda: 0.5
) -> AsyncIterator[Callable[[], Pinging]]:
    """Pings of the trunk `out`; gives what is known of it."""
    pings = TrunkPings({"out": interval, "never": 0.0}, peer, LoopClock(), chance)
    pings.start()

    def known() -> Pinging:
        found = pings.of("out")
        assert found is not None
        return found

    assert pings.of("never") is None
    yield known
    await pings.stop()


@virtual_time
async def test_it_is_asked_in_its_rhythm() -> None:
    peer = Peer()
    began = asyncio.get_running_loop().time()
    async with asking(peer) as known:
        assert known().reach is Reach.UNKNOWN
        await asyncio.sleep(100)
        assert known().reach is Reach.UP
        assert (known().rtt, known().misses) == (0.010, 0)
        answered = known().answered
        assert answered is not None
        assert answered.monotonic == pytest.approx(peer.asked[-1] + 0.010)
    assert [moment - began for moment in peer.asked] == pytest.approx([1, 31, 61, 91])


@virtual_time
async def test_jitter_keeps_trunks_apart() -> None:
    chances = iter([0.0, 0.5, 1.0, 0.0, 1.0] * 1000)
    peer = Peer()
    async with asking(peer, chance=lambda: next(chances)):
        await asyncio.sleep(3000)
    gaps = [later - earlier for earlier, later in pairwise(peer.asked)]
    assert min(gaps) == pytest.approx(INTERVAL * (1 - JITTER))
    assert max(gaps) == pytest.approx(INTERVAL * (1 + JITTER))


@pytest.mark.parametrize("silence", [None, OVERLOADED, REFUSED])
def test_misses_make_it_down_and_one_answer_up(silence: OptionsReply | None) -> None:
    @virtual_time
    async def course() -> None:
        peer = Peer()
        async with asking(peer) as known:
            await asyncio.sleep(6)  # the next pings leave in 25, 55 and 85 s
            assert known().reach is Reach.UP
            peer.reply = silence
            with capture_logs() as logs:
                for misses in range(1, MISSES + 1):
                    assert known().reach is Reach.UP
                    await asyncio.sleep(INTERVAL)
                    assert known().misses == misses
                assert known().reach is Reach.DOWN
                last = known().last
                assert last is not None
                assert last.status == (408 if silence is None else 503)
                await asyncio.sleep(300)
                assert known().misses > MISSES
                peer.reply = NOT_ALLOWED
                await asyncio.sleep(INTERVAL + ANSWER_WITHIN)
                assert (known().reach, known().misses) == (Reach.UP, 0)
            told = [(line["event"], line["log_level"], line["status"]) for line in logs]
            assert told == [
                ("trunk.down", "warning", 408 if silence is None else 503),
                ("trunk.up", "info", 405),
            ]

    course()


@virtual_time
async def test_one_that_never_answers_is_down_after_a_few_misses() -> None:
    async with asking(Peer(None), interval=5) as known:
        await asyncio.sleep(1 + 2 * 5 + ANSWER_WITHIN - 0.1)
        assert known().reach is Reach.UNKNOWN
        await asyncio.sleep(0.2)
        assert known().reach is Reach.DOWN
        assert known().answered is None


@virtual_time
async def test_a_late_answer_proves_life_all_the_same() -> None:
    peer = Peer(delay=20.0)
    async with asking(peer) as known:
        await asyncio.sleep(1 + ANSWER_WITHIN + 0.1)
        assert (known().reach, known().misses) == (Reach.UNKNOWN, 1)
        await asyncio.sleep(20 - ANSWER_WITHIN)
        assert (known().reach, known().misses, known().rtt) == (Reach.UP, 0, 0.010)


@virtual_time
async def test_an_answer_to_the_ping_before_does_not_answer_the_pending_one() -> None:
    """The second ping is in flight when the first one's answer comes: its own is still awaited."""
    peer = Peer()
    peer.delays.extend([5.5, 30.0])
    async with asking(peer, interval=5) as known:
        await asyncio.sleep(1 + 5 + 1)  # the first was answered late, the second has been sent
        assert (known().reach, known().misses, known().pending) == (Reach.UP, 0, True)
        await asyncio.sleep(ANSWER_WITHIN)
        assert (known().misses, known().pending) == (1, False)


@virtual_time
async def test_a_slow_peer_is_asked_no_more_often() -> None:
    peer = Peer(delay=3.9)
    async with asking(peer, interval=5) as known:
        await asyncio.sleep(100)
        assert (known().reach, known().misses) == (Reach.UP, 0)
    assert peer.most == 1
    assert len(peer.asked) == 20


@pytest.mark.parametrize(
    ("trouble", "level"), [(GatewayError(INTERNAL), "debug"), (ZeroDivisionError(), "error")]
)
def test_what_is_no_fault_of_the_trunk_says_nothing(trouble: Exception, level: str) -> None:
    @virtual_time
    async def course() -> None:
        peer = Peer()
        async with asking(peer) as known:
            await asyncio.sleep(5)
            peer.broken = trouble
            with capture_logs() as logs:
                await asyncio.sleep(300)
            assert (known().reach, known().misses) == (Reach.UP, 0)
            assert {line["log_level"] for line in logs} == {level}
            assert len(peer.asked) == 11, "it is asked all the same"

    course()


@virtual_time
async def test_it_stops_in_the_middle_of_a_ping() -> None:
    peer = Peer(None)
    async with asking(peer):
        await asyncio.sleep(2)
        assert (len(peer.asked), peer._waiting) == (1, 1)
    assert peer._waiting == 0
    await asyncio.sleep(300)
    assert len(peer.asked) == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


def at(moment: float) -> Instant:
    return ManualClock(moment).now()


steps = st.lists(
    st.tuples(
        st.floats(0, 40),
        st.sampled_from([None, OK, OVERLOADED, REFUSED]),
        st.integers(0, 3),  # how many pings ago the one was sent that is answered
    ),
    max_size=60,
)


@given(interval=st.floats(1, 3600), chance=st.floats(0, 1), course=steps)
def test_whatever_happens(
    interval: float,
    chance: float,
    course: list[tuple[float, OptionsReply | None, int]],
) -> None:
    """One ping is pending at most; it is missed before the next leaves; the state follows."""
    now = 1000.0
    pings = pinging.begin(interval, now, chance)
    sent: list[float] = []
    assert now <= pings.next_at <= now + SPREAD
    for wait, reply, age in course:
        now += min(wait, max(pings.due - now, 0.0)) if wait < 20 else wait
        before = pings
        pings, sends = pinging.tick(pings, at(now), chance)
        if sends:
            assert not before.pending or now >= before.deadline
            sent.append(now)
        assert pings.due > now or not sends
        if reply is not None and pings.number > age:
            known = pings
            pings = pinging.replied(pings, pings.number - age, reply, at(now))
            if reply.lives:
                assert (pings.reach, pings.misses) == (Reach.UP, 0)
            elif age or not known.pending:
                assert pings == known
        assert pings.misses < MISSES or pings.reach is Reach.DOWN
        assert not pings.pending or pings.deadline < pings.next_at
    for earlier, later in pairwise(sent):
        assert later - earlier >= interval * (1 - JITTER) - 1e-6
