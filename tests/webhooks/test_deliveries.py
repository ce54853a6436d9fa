"""Deliveries of events to receivers that fail, are slow, or gone; on both databases."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.config.model import WebConfig
from gateway.ids import CallId
from gateway.storage.queries import delete_call
from gateway.terms import DeliveryState
from gateway.web.client import HttpClient
from gateway.webhooks import BackOff
from gateway.webhooks import lane as lanes
from tests.storage.calls import answer, begin, end, whole
from tests.support.processes import wait_until
from tests.webhooks.conftest import Notice, Receiver, part

Entries = list[MutableMapping[str, Any]]
PENDING, DELIVERED, DEAD = DeliveryState.PENDING, DeliveryState.DELIVERED, DeliveryState.DEAD


def in_order(notices: list[Notice]) -> dict[str, list[int]]:
    """What was taken of each call, each event at its first time; in the order of arrival."""
    found: dict[str, list[int]] = {}
    for notice in notices:
        of_call = found.setdefault(notice.call, [])
        if notice.sequence not in of_call:
            of_call.append(notice.sequence)
    return found


def never_overtaking(notices: list[Notice]) -> bool:
    """Whether no attempt of any kind was made while an earlier event of its call was not taken."""
    taken: dict[str, int] = {}
    for notice in notices:
        if notice.sequence < taken.get(notice.call, 0):
            return False
        if notice.taken:
            taken[notice.call] = notice.sequence
    return True


@pytest.mark.slow
async def test_a_thousand_events_arrive_at_a_receiver_that_fails_half_the_time(
    url: str, tmp_path: Path, receiver: Receiver
) -> None:
    luck = random.Random(1)
    failures = (500, 503, 404, 302, 429, 200)

    def answer_badly(_: dict[str, Any]) -> web.Response:
        return web.Response(status=200 if luck.random() < 0.5 else luck.choice(failures[:5]))

    receiver.answer = answer_badly
    async with part(url, tmp_path) as node:
        await node.hook(receiver)
        sent: dict[str, list[int]] = {}
        for number in range(24):
            whole(node.log, f"c-{number}")
            await asyncio.sleep(0)
        for item in node.log.replay(0):
            sent.setdefault(item.call, []).append(item.sequence)
        assert sum(map(len, sent.values())) == 24 * 43 > 1_000
        await wait_until(lambda: len({n.id for n in receiver.taken}) == 24 * 43, 120, "all")
        await wait_until(lambda: _states(node, {DELIVERED: 24 * 43}), 5, "all noted")
    assert in_order(receiver.taken) == sent
    assert never_overtaking(receiver.seen)
    assert len(receiver.seen) > 1.5 * 24 * 43
    ids = {(notice.call, notice.sequence): notice.id for notice in receiver.seen}
    assert all(ids[notice.call, notice.sequence] == notice.id for notice in receiver.seen)


async def _states(node: Any, expected: dict[DeliveryState, int]) -> bool:
    return await node.states() == expected


async def test_a_crash_between_commit_and_delivery_loses_nothing(
    url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """The outbox is in the database when the events are; the next process delivers it."""
    receiver.answer = lambda _: web.Response(status=500)
    async with part(url, tmp_path) as node:
        await node.hook(receiver)
        whole(node.log, "c-1")
        await wait_until(lambda: receiver.seen, 5, "an attempt")
        first = receiver.seen[0]
    receiver.answer = lambda _: web.Response()
    async with part(url, tmp_path) as node:
        await wait_until(lambda: len(receiver.taken) == 43, 10, "all")
        assert receiver.taken[0].id == first.id
        assert in_order(receiver.taken) == {"c-1": list(range(1, 44))}


CHILD = """
import asyncio, sys
from pathlib import Path
from tests.storage.calls import begin, end
from tests.webhooks.conftest import Receiver, part

async def main():
    url, folder, receiver, secret = sys.argv[1:]
    async with part(url, Path(folder)) as node:
        await node.hook(Receiver(receiver, secret))
        number = 0
        while True:
            begin(node.log, f"c-{number}")
            end(node.log, f"c-{number}")
            number += 1
            print(node.log.last_sequence, flush=True)
            await asyncio.sleep(0.01)

asyncio.run(main())
"""


async def test_kill_9_in_the_midst_of_delivering_loses_nothing(
    url: str, tmp_path: Path, receiver: Receiver
) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, url, str(tmp_path), receiver.url, receiver.secret,
        stdout=asyncio.subprocess.PIPE, cwd=Path.cwd(),
    )  # fmt: skip
    assert child.stdout is not None
    await wait_until(lambda: len(receiver.seen) > 100, 30, "deliveries")
    child.kill()
    appended = int((await child.stdout.read()).split()[-1])
    await child.wait()
    assert len(in_order(receiver.taken)) < appended / 10, "all was delivered: nothing was tested"
    async with part(url, tmp_path) as node:
        last = node.log.last_sequence
        assert last >= appended
        await wait_until(lambda: len({n.id for n in receiver.taken}) == last, 60, "all")
        for number in range(last // 10):
            history = await node.records.feed.of_call("default", f"c-{number}")
            assert in_order(receiver.taken)[f"c-{number}"] == [one.sequence for one in history]


async def test_one_call_that_fails_holds_up_no_other(
    url: str, tmp_path: Path, receiver: Receiver
) -> None:
    def refuses_one(told: dict[str, Any]) -> web.Response:
        bad = told["data"]["call"] == "c-bad" and told["type"] == "call.routed"
        return web.Response(status=500 if bad else 200)

    receiver.answer = refuses_one
    async with part(url, tmp_path) as node:
        await node.hook(receiver)
        for call in ("c-bad", "c-1", "c-2"):
            whole(node.log, call)
        await wait_until(lambda: len(receiver.taken) == 2 * 43 + 2, 10, "the other calls")
        receiver.answer = lambda _: web.Response()
        await wait_until(lambda: len(receiver.taken) == 3 * 43, 10, "the bad one")
    assert never_overtaking(receiver.seen)


async def test_what_is_exhausted_is_a_dead_letter_that_can_be_replayed(
    url: str, tmp_path: Path, receiver: Receiver, lines: Entries
) -> None:
    def refuses_one(told: dict[str, Any]) -> web.Response:
        return web.Response(status=500 if told["type"] == "call.routed" else 200)

    receiver.answer = refuses_one
    short = BackOff(first=0.01, longest=0.2, patience=2.0)
    async with part(url, tmp_path, short) as node:
        hook = await node.hook(receiver)
        begin(node.log, "c-1")
        await wait_until(lambda: _states(node, {DELIVERED: 4, DEAD: 1}), 10, "a dead letter")
        [dead] = await node.deliveries(state=DEAD)
        assert (dead.type, dead.status, dead.call) == ("call.routed", 500, "c-1")
        assert dead.attempts > 2
        assert dead.error is not None
        assert "answered 500" in dead.error
        assert await node.deliveries(failed=True) == [dead]
        assert any(line["event"] == "webhook.dead_letter" for line in lines)
        attempts = [notice.id for notice in receiver.seen].count(dead.id)
        assert attempts == dead.attempts
        receiver.answer = lambda _: web.Response()
        await node.store.replay(hook, dead.id, node.records._clock.now().wall)
        node.deliverer.begin_anew(hook)
        await wait_until(lambda: _states(node, {DELIVERED: 5}), 5, "the replayed one")
        assert receiver.taken[-1].id == dead.id


async def test_410_disables_and_what_waits_comes_when_it_is_enabled_again(
    url: str, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _: web.Response(status=410)
    async with part(url, tmp_path) as node:
        hook = await node.hook(receiver)
        begin(node.log, "c-1")

        async def disabled() -> bool:
            return not (await node.store.get("default", hook)).enabled

        await wait_until(disabled, 5, "it is disabled")
        assert "410" in str((await node.store.get("default", hook)).reason)
        attempts = len(receiver.seen)
        whole(node.log, "c-2")
        assert node.records.events is not None
        await node.records.events.flush()
        node.deliverer.look()
        await asyncio.sleep(0.2)  # for what must not happen
        assert len(receiver.seen) == attempts
        assert await node.states() == {PENDING: 5}
        receiver.answer = lambda _: web.Response()
        await node.store.enable("default", hook, node.records._clock.now().wall)
        node.deliverer.begin_anew(hook)
        await wait_until(lambda: len(receiver.taken) == 5, 5, "what waited")
        end(node.log, "c-1")
        await wait_until(lambda: len(receiver.taken) == 10, 5, "what happens then")
        assert in_order(receiver.taken).keys() == {"c-1"}


async def test_a_receiver_that_asks_for_time_gets_it_for_everything(
    url: str, tmp_path: Path, receiver: Receiver
) -> None:
    def busy_at_first(_: dict[str, Any]) -> web.Response:
        busy = not receiver.seen
        return web.Response(status=429, headers={"Retry-After": "1"}) if busy else web.Response()

    receiver.answer = busy_at_first
    async with part(url, tmp_path) as node:
        await node.hook(receiver)
        begin(node.log, "c-1")
        await wait_until(lambda: receiver.seen, 5, "an attempt")
        begin(node.log, "c-2")
        await wait_until(lambda: len(receiver.taken) == 10, 10, "all")
    busy, *later = receiver.seen
    assert min(notice.at for notice in later) - busy.at > 0.95


async def test_only_what_is_wanted_of_ones_own_project(
    url: str, tmp_path: Path, receiver: Receiver
) -> None:
    async with part(url, tmp_path) as node:
        await node.hook(receiver, "wh_other", project="other")
        await node.hook(receiver, types="leg. call.ended")
        begin(node.log, "c-1")
        answer(node.log, "c-1", "1")
        end(node.log, "c-1")
        await wait_until(lambda: len(receiver.taken) == 7, 5, "all")
        await wait_until(lambda: _states(node, {DELIVERED: 7}), 5, "noted")
        assert await node.deliveries("wh_other") == []
    assert [notice.type for notice in receiver.seen] == [
        *("leg.added", "leg.added"),
        *("leg.quality", "leg.gone") * 2,
        "call.ended",
    ]


async def test_private_addresses_are_refused(url: str, tmp_path: Path, receiver: Receiver) -> None:
    client = HttpClient(WebConfig())
    async with part(url, tmp_path, client=client) as node:
        await node.hook(receiver)
        begin(node.log, "c-1")
        await wait_until(lambda: node.deliveries(failed=True), 5, "a failure")
        [failure] = await node.deliveries(failed=True)
    assert "not on the public internet" in str(failure.error)
    assert receiver.seen == []


async def test_many_calls_are_delivered_though_few_are_known_at_once(
    url: str, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "HEADS", 10)
    async with part(url, tmp_path) as node:
        await node.hook(receiver, types="call.created call.ended")
        for number in range(60):
            begin(node.log, f"c-{number}")
        for number in range(60):
            end(node.log, f"c-{number}")
        await wait_until(lambda: len(receiver.taken) == 120, 20, "all")
    assert never_overtaking(receiver.seen)


async def test_a_call_that_is_deleted_is_delivered_no_more(
    url: str, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _: web.Response(status=500)
    async with part(url, tmp_path) as node:
        await node.hook(receiver)
        whole(node.log, "c-1")
        await wait_until(lambda: receiver.seen, 5, "an attempt")
        assert node.records._writer is not None
        await node.records._writer.flush()
        await delete_call(node.records.database, "c-1")
        assert await node.deliveries() == []
        receiver.answer = lambda _: web.Response()
        seen = len(receiver.seen)
        begin(node.log, "c-2")
        await wait_until(lambda: len(receiver.taken) >= 5, 5, "another call")
    assert all(notice.call == "c-2" for notice in receiver.seen[seen + 1 :])


async def test_a_receiver_that_does_not_answer_holds_up_no_node(
    url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """Neither events, nor other webhooks, nor the node's end."""
    held, over = asyncio.Event(), asyncio.Event()
    hanging = Receiver(secret=receiver.secret)

    async def hang(_: web.Request) -> web.Response:
        held.set()
        await over.wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", hang)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.2", 0).start()
    hanging.url = f"http://127.0.0.2:{runner.addresses[0][1]}/hook"
    async with asyncio.timeout(15):
        async with part(url, tmp_path) as node:
            await node.hook(hanging, "wh_slow")
            await node.hook(receiver)
            for number in range(20):
                begin(node.log, f"c-{number}")
            await held.wait()
            await wait_until(lambda: len(receiver.taken) == 100, 8, "the other webhook's")
            assert node.log.append(CallId("c-x"), node.log.replay(0)[0].event)
    over.set()
    await runner.cleanup()
