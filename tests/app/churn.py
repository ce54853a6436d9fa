"""200 calls through a whole node, made and ended in every way, leave nothing behind.

Collected by test_churn.py in a process of its own. Each call is a browser leg that dials `echo`
through the dialplan, so it is two calls of the registry, three legs and a SIP loop. Memory is
judged where it can be seen, plane by plane: SIP keeps transactions for 32 s (RFC 6026), the event
log its last events. See tests/webrtc/churn.py, tests/sip/life.py and tests/media.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading

import aiohttp

from gateway.app.node import Node
from gateway.app.selftest import loop_config, loop_plan
from gateway.legs.webrtc.peer import ProbePeer

WARM_UP, MEASURED, AT_ONCE = 20, 200, 5


async def one_call(node: Node, http: aiohttp.ClientSession, number: int) -> None:
    """One call; who ends it differs by number."""
    peer = ProbePeer()
    try:
        async with http.post(
            f"{node.http_url}/v1/webrtc/calls",
            params={"to": "echo"},
            data=await peer.offer(),
            headers={"Content-Type": "application/sdp"},
        ) as response:
            assert response.status == 201, await response.text()
            await peer.accept(await response.text())
            call = f"{node.http_url}{response.headers['Location']}"
        async with asyncio.timeout(10):
            while peer.stats.received < 5:  # noqa: ASYNC110 - the probe tells nobody
                await asyncio.sleep(0.01)
        if number % 2:
            async with http.delete(call) as response:
                assert response.status in (200, 204)
    finally:
        await peer.close()


async def many(node: Node, count: int) -> tuple[int, int, int]:
    """Makes `count` calls; what is held once all are over: descriptors, threads, tasks."""
    async with aiohttp.ClientSession() as http:
        for first in range(0, count, AT_ONCE):
            await asyncio.gather(*(one_call(node, http, first + n) for n in range(AT_ONCE)))
    async with asyncio.timeout(20):
        await node.calls.wait_idle()
        while node.sip.leg_count or node.media.port_count:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)  # closed connections of the client leave the loop
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count(), len(asyncio.all_tasks())


async def test_in_a_process_of_its_own() -> None:
    node = Node(loop_config(16000), loop_plan())
    await node.start()
    before = await many(node, WARM_UP)
    after = await many(node, MEASURED)
    assert after == before
    assert not node.calls.calls
    await node.stop()
