"""200 calls through a whole node, made and ended in every way, leave nothing behind.

Collected by test_churn.py in a process of its own. Most calls are a browser leg that dials `echo`
through the dialplan: two calls of the registry, three legs and a SIP loop each.

Two things are kept on purpose and have a bound; here they are made short, so that what is measured
is what is left: the event log its last events, SIP its transactions for 32 s (RFC 6026).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
from functools import partial

import aiohttp
import pytest

import gateway.app.node
from gateway.app.node import Node
from gateway.app.selftest import loop_config, loop_plan
from gateway.config.timeline import TimelineConfig
from gateway.legs.sip.binding import pj
from gateway.legs.webrtc.peer import ProbePeer
from gateway.legs.webrtc.peer_sdp import OfferShape
from gateway.storage.event_log import EventLog
from tests.support.memory import Memory, memory

WARM_UP, ROUNDS, CALLS, AT_ONCE = 300, 3, 200, 10
EVENTS_KEPT = 200
# What a round may grow by; caches that fill up and tables that are enlarged grow in one round and
# not in every one, a leak does.
HEAP_BYTES = CALLS * 250
BLOCKS = CALLS
RESIDENT_BYTES = CALLS * 2500

_pjsip = ctypes.CDLL(pj._pjsua2.__file__)


async def one_call(node: Node, http: aiohttp.ClientSession, number: int) -> None:
    """One call; how it is ended differs by number."""
    way = number % 5
    peer = ProbePeer(OfferShape(data_channel=way == 3))
    try:
        async with http.post(
            f"{node.http_url}/v1/webrtc/calls",
            params={"to": "nobody" if way == 4 else "echo"},
            data=await peer.offer(),
            headers={"Content-Type": "application/sdp"},
        ) as response:
            if way == 4:  # the dialplan refuses it
                assert response.status == 404, await response.text()
                return
            assert response.status == 201, await response.text()
            call = f"{node.http_url}{response.headers['Location']}"
            if way != 2:  # 2: hung up while the legs are being set up
                await peer.accept(await response.text())
        async with asyncio.timeout(10):
            while way != 2 and peer.stats.received < 5:  # noqa: ASYNC110 - the probe tells nobody
                await asyncio.sleep(0.01)
        if way == 3:
            await peer.send_digits("5", duration_ms=40)
        if way in (1, 2):
            async with http.delete(call) as response:
                assert response.status in (200, 204)
    finally:
        await peer.close()


async def many(node: Node, count: int) -> tuple[tuple[int, int, int], Memory]:
    """Makes `count` calls; what is held once all are over: descriptors, threads, tasks; memory."""
    async with aiohttp.ClientSession() as http:
        for first in range(0, count, AT_ONCE):
            await asyncio.gather(*(one_call(node, http, first + n) for n in range(AT_ONCE)))
    async with asyncio.timeout(20):
        await node.calls.wait_idle()
        while (  # noqa: ASYNC110 - as above
            node.sip.leg_count or node.media.port_count or _pjsip.pjsip_tsx_layer_get_tsx_count()
        ):
            await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)  # closed connections of the client leave the loop
    left = memory()
    held = len(os.listdir("/proc/self/fd")), threading.active_count(), len(asyncio.all_tasks())
    return held, left


async def test_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.app.node, "EventLog", partial(EventLog, size=EVENTS_KEPT))
    _pjsip.pjsip_tsx_set_timers(0, 0, 100, 1000)  # milliseconds; T4 and what lasts 32 s
    # What is kept of calls that are over is bounded, which tests/observability shows.
    forgetful = {"timeline": TimelineConfig(keep_minutes=0)}
    node = Node(loop_config(16000).model_copy(update=forgetful), loop_plan())
    await node.start()
    following = node.events.subscribers
    before, last = await many(node, WARM_UP)
    growth: list[Memory] = []
    for _ in range(ROUNDS):
        after, now = await many(node, CALLS)
        assert after == before
        growth.append(now - last)
        last = now
    assert min(g.heap for g in growth) < HEAP_BYTES, growth
    assert min(g.blocks for g in growth) < BLOCKS, growth
    assert min(g.resident for g in growth) < RESIDENT_BYTES, growth
    assert not node.calls.calls
    assert node.events.subscribers == following
    await node.stop()
