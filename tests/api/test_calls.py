"""Browser calls over the real registry, in virtual time: refusals, states, digits and tones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.api.ports import CallState, CallUpdate, DigitHeard, StateChanged, Tones
from gateway.errors import BUSY, NORMAL, GatewayError, from_sip_status
from gateway.ids import CallId
from gateway.testing import FakeLeg, virtual_time
from tests.api.registry import Node


@asynccontextmanager
async def node() -> AsyncIterator[Node]:
    """A node that is closed at the end, with nothing left over."""
    made = Node()
    yield made
    await made.close()
    assert not made.registry.calls
    assert not made.media.subscribed


async def settle() -> None:
    """Lets everything happen that can happen now."""
    await asyncio.sleep(0.001)


def states(updates: list[CallUpdate]) -> list[str]:
    """The states told, in order."""
    return [update.state.value for update in updates if isinstance(update, StateChanged)]


async def place(made: Node, to: str) -> tuple[CallId, list[CallUpdate]]:
    """Places a call; its id, and what is told of it from now on."""
    updates: list[CallUpdate] = []
    call = await made.place(to)
    made.calls.subscribe(call, updates.append)
    return call, updates


@virtual_time
async def test_an_echo_call_from_start_to_end() -> None:
    async with node() as made:
        call, updates = await place(made, "echo")
        made.leg.media()
        await settle()
        made.calls.hangup(call)
        await settle()
        assert states(updates)[0] == "answered"
        assert states(updates)[-1] == "ended"
        last = updates[-1]
        assert isinstance(last, StateChanged)
        assert last.reason == NORMAL
        paths = {update.media for update in updates if isinstance(update, StateChanged)}
        assert any("opus/48000" in path for path in paths)


@pytest.mark.parametrize(
    ("to", "code"),
    [("nowhere", "not_found"), ("alice", "unavailable"), ("3000", "peer_unreachable")],
)
def test_what_cannot_be_called_is_refused_at_once(to: str, code: str) -> None:
    @virtual_time
    async def run() -> None:
        async with node() as made:
            made.sip.unreachable.add("carrier")
            with pytest.raises(GatewayError) as refused:
                await made.place(to)
            assert refused.value.verdict.code == code
            await settle()
            assert made.leg.ended
            assert not made.registry.calls

    run()


@virtual_time
async def test_a_draining_node_refuses() -> None:
    async with node() as made:
        made.registry.drain()
        with pytest.raises(GatewayError) as refused:
            await made.place("echo")
        assert refused.value.verdict.code == "shutting_down"
        await settle()


@virtual_time
async def test_a_phone_call_tells_every_state() -> None:
    async with node() as made:
        _, updates = await place(made, "3000")
        made.leg.media()
        [phone] = made.sip.legs
        phone.rings()
        await settle()
        phone.media(early=True)
        await settle()
        phone.answers()
        await settle()
        phone.holds()
        await settle()
        phone.holds(False)
        await settle()
        phone.ends(NORMAL)
        await settle()
        told = states(updates)
        once = [state for i, state in enumerate(told) if i == 0 or told[i - 1] != state]
        assert once == ["ringing", "early", "answered", "held", "answered", "ended"]


@virtual_time
async def test_the_sip_reason_reaches_the_caller() -> None:
    async with node() as made:
        _, updates = await place(made, "3000")
        [phone] = made.sip.legs
        phone.ends(from_sip_status(503, "Service Unavailable"))
        await settle()
        last = updates[-1]
        assert isinstance(last, StateChanged)
        assert last.reason is not None
        assert (last.reason.code, last.reason.text) == (
            "peer_unreachable",
            "503 Service Unavailable",
        )


@virtual_time
async def test_phone_digits_are_told_as_they_begin_and_end() -> None:
    async with node() as made:
        _, updates = await place(made, "3000")
        made.leg.media()
        [phone] = made.sip.legs
        port = phone.answers()
        await settle()
        started = asyncio.get_running_loop().time()
        number = made.media.key_down(port, "7")
        await settle()
        assert updates[-1] == DigitHeard(phone.id, "7", number)
        assert asyncio.get_running_loop().time() - started < 0.05  # reference S2
        made.media.key_up(port, "7", number, 120)
        await settle()
        assert updates[-1] == DigitHeard(phone.id, "7", number, 120)


@virtual_time
async def test_a_cancelled_request_leaves_no_call() -> None:
    async with node() as made:
        task = asyncio.create_task(made.place("echo", user=""))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await settle()
        assert not made.registry.calls
        assert made.leg.ended


@virtual_time
async def test_subscribing_late_tells_what_happened() -> None:
    async with node() as made:
        call, _ = await place(made, "3000")
        [phone] = made.sip.legs
        phone.rings()
        phone.ends(BUSY)
        await settle()
        late: list[CallUpdate] = []
        made.calls.subscribe(call, late.append)
        await settle()
        assert states(late) == ["ringing", "ended"]
        made.calls.hangup(call)  # over already


@virtual_time
async def test_unsubscribing_stops_at_once() -> None:
    async with node() as made:
        call, _ = await place(made, "3000")
        updates: list[CallUpdate] = []
        unsubscribe = made.calls.subscribe(call, updates.append)
        made.sip.legs[0].rings()
        unsubscribe()
        await settle()
        assert updates == []
        assert made.log.subscribers == 1


@virtual_time
async def test_a_broken_listener_harms_nobody() -> None:
    def broken(_: CallUpdate) -> None:
        raise RuntimeError("a bug")

    async with node() as made:
        call, updates = await place(made, "3000")
        made.calls.subscribe(call, broken)
        made.sip.legs[0].rings()
        await settle()
        made.sip.legs[0].answers()
        await settle()
        assert CallState.RINGING.value in states(updates)
        assert call in made.registry.calls


# ---- tones by signalling --------------------------------------------------------------------


async def talking(made: Node) -> tuple[CallId, FakeLeg]:
    call, _ = await place(made, "3000")
    made.leg.media()
    [phone] = made.sip.legs
    phone.answers()
    await settle()
    return call, phone


@virtual_time
async def test_tones_reach_the_far_end_in_their_time() -> None:
    async with node() as made:
        call, phone = await talking(made)
        made.calls.send_tones(call, made.leg.id, Tones("1,2", 100, 50))
        made.calls.send_tones(call, made.leg.id, Tones("3", 200, 70))
        sent: list[tuple[str, int]] = []

        def news() -> list[tuple[str, int]]:
            fresh = [(each.digit, each.duration_ms) for each in made.media.sent][len(sent) :]
            sent.extend(fresh)
            return fresh

        assert news() == [("1", 100)]
        await asyncio.sleep(2.14)  # 100 + 50 ms, then 2 s
        assert news() == []
        await asyncio.sleep(0.02)
        assert news() == [("2", 100)]
        await asyncio.sleep(0.16)
        assert news() == [("3", 200)]
        assert {each.port for each in made.media.sent} == {phone.port}


@virtual_time
async def test_tones_without_an_audio_path_are_an_error() -> None:
    async with node() as made:
        call, _ = await place(made, "3000")
        for _ in range(2):
            with pytest.raises(GatewayError) as refused:
                made.calls.send_tones(call, made.leg.id, Tones("1", 100, 70))
            assert refused.value.verdict.code == "bad_request"


@virtual_time
async def test_too_many_waiting_tones_are_an_error() -> None:
    async with node() as made:
        call, _ = await talking(made)
        for _ in range(4):
            made.calls.send_tones(call, made.leg.id, Tones("1" * 64, 100, 70))
        with pytest.raises(GatewayError):
            made.calls.send_tones(call, made.leg.id, Tones("1" * 64, 100, 70))


@virtual_time
async def test_tones_stop_when_the_call_ends() -> None:
    async with node() as made:
        call, phone = await talking(made)
        made.calls.send_tones(call, made.leg.id, Tones("12", 100, 70))
        phone.ends(NORMAL)
        await asyncio.sleep(1)
        assert [each.digit for each in made.media.sent] == ["1"]
        with pytest.raises(GatewayError):
            made.calls.send_tones(call, made.leg.id, Tones("1", 100, 70))
