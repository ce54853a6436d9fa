"""What calls and planes leave behind (nothing), and how promptly the SIP thread works."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import socket
import statistics
import threading
import time
from pathlib import Path

import pytest

from gateway.config.model import MediaConfig, SipConfig, SipListen, Trunk
from gateway.errors import NORMAL, GatewayError
from gateway.legs.sip.call import SipCall
from gateway.legs.sip.leg import SipLeg
from gateway.legs.sip.plane import SipPlane
from gateway.ports import LegAnswered, LegEnded, LegRinging, SipTarget
from tests.sip.conftest import Gateway, Heard, NotedMedia, StartGateway
from tests.sip.sipp import receive, receive_invite, reply, scenario, sipp
from tests.sip.test_loop import loop_trunk
from tests.support.processes import free_ports, wait_until

ROUNDS, CALLS = 7, 60
GROWTH = 300_000  # bytes of RSS a round: 5 kB a call; a leaked pjsua call is 60 kB and more
PING_ROUNDS, PINGS = 5, 1000
SETTLED = 1.5  # seconds: the transaction timers of `short_timers`, and some


async def call_and_end(gateway: Gateway, *, by_callee: bool) -> float:
    """One call to ourselves, answered and ended; returns the seconds from hang-up to LegEnded."""
    out = Heard(gateway.plane.dial(SipTarget("loop", "100")))
    incoming, inside = await gateway.offered()
    incoming.leg.answer()
    await out.next(LegAnswered)
    first, second = (inside, out) if by_callee else (out, inside)
    begun = time.monotonic()
    first.leg.hangup(NORMAL)
    await first.next(LegEnded)
    took = time.monotonic() - begun
    await second.next(LegEnded)
    return took


def resident() -> int:
    """Resident memory in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def thread_count() -> int:
    """How many threads this process has."""
    return len(os.listdir("/proc/self/task"))


def cpu_seconds(thread: threading.Thread) -> float:
    """What a thread has used so far."""
    return int(Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[0]) / 1e9


def objects() -> int:
    """How many legs and pjsua2 calls are alive."""
    gc.collect()
    return sum(isinstance(thing, SipCall | SipLeg) for thing in gc.get_objects())


@pytest.mark.usefixtures("short_timers")
async def test_calls_leave_nothing_behind(start_gateway: StartGateway, sip_port: int) -> None:
    gateway = await start_gateway(loop_trunk(sip_port), port=sip_port)
    took: list[float] = []
    growth: list[int] = []
    await call_and_end(gateway, by_callee=False)
    before, memory = (descriptors(), thread_count()), resident()
    for _ in range(ROUNDS):
        took += [await call_and_end(gateway, by_callee=bool(n % 2)) for n in range(CALLS)]
        await asyncio.sleep(SETTLED)  # until the last transactions have let go of their memory
        gc.collect()
        growth.append(resident() - memory)
        memory = resident()
    assert (descriptors(), thread_count()) == before
    # pjlib's pools grow with the most calls ever alive at once; a leak shows in every round.
    assert min(growth) < GROWTH, growth
    assert gateway.plane.leg_count == 0
    assert not gateway.media.open
    assert objects() == 0
    assert statistics.median(took) < 0.010, "a command is done within 10 ms"


async def test_refused_and_cancelled_calls_leave_nothing_behind(
    start_gateway: StartGateway, sip_port: int
) -> None:
    gateway = await start_gateway(loop_trunk(sip_port, "tcp"), port=sip_port)
    before = descriptors()
    for number in range(60):
        out = Heard(gateway.plane.dial(SipTarget("loop", "100")))
        incoming, inside = await gateway.offered()
        if number % 3 == 0:
            incoming.leg.hangup(NORMAL)
        elif number % 3 == 1:
            incoming.leg.ring()
            await out.next(LegRinging)
            out.leg.hangup(NORMAL)
        else:
            incoming.leg.answer()
            out.leg.hangup(NORMAL)
        await out.next(LegEnded)
        await inside.next(LegEnded)
        del out, incoming, inside
    assert gateway.plane.leg_count == 0
    assert not gateway.media.open
    await wait_until(lambda: objects() == 0, 5, "the SIP thread has let go of its calls")
    assert descriptors() <= before + 2, "at most the TCP connection to ourselves"


async def test_a_plane_can_be_started_again_and_leaves_no_thread_and_no_descriptor(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway(loop_trunk(5060))
    await gateway.plane.stop()
    before = descriptors(), thread_count()
    for _ in range(3):
        again = await start_gateway(loop_trunk(5060))
        await again.plane.stop()
    async with asyncio.timeout(2):
        # The kernel may list a thread for a moment after it was joined, now and when `before` was
        # taken: fewer are no leak.
        while descriptors() != before[0] or thread_count() > before[1]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_an_address_in_use_is_said_and_the_next_start_works(sip_port: int) -> None:
    sip = SipConfig(listen=[SipListen(port=sip_port)])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", sip_port))
        plane = SipPlane(sip, MediaConfig(), NotedMedia(), lambda _: None, null_device=True)
        with pytest.raises(GatewayError, match=rf"cannot listen on udp 127\.0\.0\.1:{sip_port}"):
            await plane.start()
    plane = SipPlane(sip, MediaConfig(), NotedMedia(), lambda _: None, null_device=True)
    await plane.start()
    assert plane.listening == [("udp", "127.0.0.1", sip_port)]
    await plane.stop()
    await plane.stop()


async def test_a_trunk_without_a_transport_is_said(sip_port: int) -> None:
    trunk = Trunk(name="far", host="127.0.0.1", transport="tcp")
    sip = SipConfig(listen=[SipListen(port=sip_port)], trunks=[trunk])
    plane = SipPlane(sip, MediaConfig(), NotedMedia(), lambda _: None, null_device=True)
    with pytest.raises(GatewayError, match="add one with transport: tcp"):
        await plane.start()


async def test_an_idle_plane_costs_next_to_nothing(start_gateway: StartGateway) -> None:
    await start_gateway(loop_trunk(5060))

    (sip,) = [thread for thread in threading.enumerate() if thread.name == "sip"]
    before, began = cpu_seconds(sip), time.monotonic()
    await asyncio.sleep(2.0)  # what is measured
    share = (cpu_seconds(sip) - before) / (time.monotonic() - began)
    assert share < 0.01


async def test_commands_for_a_call_that_is_over_do_nothing(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    refuses = scenario(receive_invite(), reply("404 Not Found"), receive("ACK"))
    async with sipp(tmp_path, refuses) as peer:
        trunk = Trunk(name="t", host="127.0.0.1", port=peer.port)
        gateway = await start_gateway(trunk)
        heard = Heard(gateway.plane.dial(SipTarget("t", "100")))
        await heard.next(LegEnded)
        heard.leg.hangup(NORMAL)
        await peer.done()
    await gateway.plane.stop()
    heard.leg.hangup(NORMAL)
    assert heard.kinds == ["LegEnded"]


async def test_without_a_free_rtp_port_only_that_call_fails(
    start_gateway: StartGateway, sip_port: int
) -> None:
    first = free_ports(202)
    taken: list[socket.socket] = []
    try:
        for port in range(first, first + 202):
            taken.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            taken[-1].bind(("127.0.0.1", port))
        gateway = await start_gateway(
            loop_trunk(sip_port), port=sip_port, rtp_ports=(first, first + 200)
        )
        ended = await Heard(gateway.plane.dial(SipTarget("loop", "100"))).next(LegEnded)
        assert ended.verdict.code == "media_failed"
        assert "RTP port" in ended.verdict.text
    finally:
        for held in taken:
            held.close()
    await call_and_end(gateway, by_callee=False)


@pytest.mark.usefixtures("short_timers")
async def test_asking_for_days_takes_no_memory(start_gateway: StartGateway, sip_port: int) -> None:
    gateway = await start_gateway(loop_trunk(sip_port, "tcp"), port=sip_port)
    growth: list[int] = []
    before = native_bytes()
    for _ in range(PING_ROUNDS):
        for _ in range(PINGS):
            assert (await gateway.plane.options("loop")).lives
        await asyncio.sleep(SETTLED)  # until the last transactions have let go of their memory
        growth.append(native_bytes() - before)
        before += growth[-1]
    # pjlib's pools grow with the most transactions ever alive at once; a leak is in every round.
    assert min(growth) < PINGS * 16, growth  # not even the smallest block for each


class MallocInfo(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
            "fordblks", "keepcost",
        )
    ]  # fmt: skip


def native_bytes() -> int:
    """What malloc has given out."""
    gc.collect()
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = MallocInfo
    info = mallinfo()
    return int(info.uordblks + info.hblkhd)
