"""200 legs made and ended, in every way, leave nothing behind.

Collected by test_churn.py in a process of its own: what other tests have left in theirs would drown
ten kilobytes a leg.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path

from gateway.errors import NORMAL
from gateway.legs.webrtc.plane import WebRtcPlane
from tests.webrtc.conftest import Rig, until

WARM_UP, MEASURED, AT_ONCE = 60, 200, 10
GROWTH_KB = 2048  # of which the allocator's noise is the larger part: 10 kB a leg would show


def resident_kb() -> int:
    """Memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def sockets() -> int:
    """UDP ports that this process holds."""
    held = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            held.append(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:
            continue  # the listing's own descriptor
    return sum(name.startswith("socket:") for name in held)


async def _one(rig: Rig, plane: WebRtcPlane, number: int) -> None:
    """One leg; who ends it and when differs by number."""
    if number % 5 == 4:  # never connects
        peer = rig.peer()
        leg, _ = await plane.answer_offer(await peer.offer())
        leg.hangup(NORMAL)
    else:
        setup = ("active", "passive")[number % 2]
        leg, peer, events = await rig.call(plane, data_channel=number % 3 == 0, setup=setup)
        await until(lambda: peer.stats.received > 1)
        if number % 5 == 0:
            await peer.close()
        else:
            leg.hangup(NORMAL)
        await until(lambda: len(events) == 2)
    await leg.wait_closed()
    await peer.close()
    rig.peers.remove(peer)


async def _many(rig: Rig, plane: WebRtcPlane, count: int) -> tuple[int, int, int, int, int]:
    for first in range(0, count, AT_ONCE):
        await asyncio.gather(*(_one(rig, plane, first + n) for n in range(AT_ONCE)))
        gc.collect()
    descriptors = len(os.listdir("/proc/self/fd"))
    return (
        descriptors,
        sockets(),
        threading.active_count(),
        len(asyncio.all_tasks()),
        resident_kb(),
    )


async def test_200_legs_leave_nothing(rig: Rig) -> None:
    plane = rig.plane()
    before = await _many(rig, plane, WARM_UP)
    objects = len(gc.get_objects())
    after = await _many(rig, plane, MEASURED)
    assert after[:4] == before[:4]
    assert after[4] - before[4] < GROWTH_KB
    assert len(gc.get_objects()) - objects < MEASURED  # less than one object a leg
    assert not plane.legs
    assert not rig.media.ports
