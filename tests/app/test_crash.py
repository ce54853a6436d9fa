"""kill -9 of a node that carries calls: what its log and its records say after the next start."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.support.gateway import Gateway, TrunkTo
from tests.support.processes import free_ports, wait_until
from tests.support.sipp import Calling, Sipp

CALLS = 20
PLAN = """
version: "1"
contexts:
  browser: []
  carrier:
    - {match: service, steps: [answer: , {say: {text: "Press a key."}}, {pause: 60}]}
"""


async def read(url: str, after: int, seen: dict[int, str]) -> None:
    """Everything that the stream tells, until it breaks off."""
    number = ""
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        try:
            async with http.get(f"{url}/v1/events?since={after}") as stream:
                async for line in stream.content:
                    if line.startswith(b"id: "):
                        number = line[4:].decode().strip()
                    elif line.startswith(b"data: "):
                        seen[int(number)] = line[6:].decode().strip()
        except aiohttp.ClientError:
            return


async def pages(url: str, path: str, what: str) -> list[dict[str, Any]]:
    """All of a list."""
    found: list[dict[str, Any]] = []
    cursor = ""
    async with aiohttp.ClientSession() as http:
        while True:
            async with http.get(f"{url}{path}?limit=7{cursor}") as answer:
                assert answer.status == 200, await answer.text()
                page = await answer.json()
            found += page[what]
            if page["cursor"] is None:
                return found
            cursor = f"&cursor={page['cursor']}"


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    """A gateway with records in a file, which a carrier calls."""
    gateway = Gateway(tmp_path, [TrunkTo("carrier", free_ports(), calls_in=True)])
    config = yaml.safe_load((tmp_path / "gateway.yaml").read_text())
    config["records"] = {"url": "sqlite:///records.sqlite3"}
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "dialplan.yaml").write_text(PLAN)
    return gateway


@pytest.mark.sip
@pytest.mark.slow
async def test_kill_9_during_twenty_calls_loses_no_event_and_no_record(
    gateway: Gateway, tmp_path: Path
) -> None:
    told: dict[int, str] = {}
    before = await crash(gateway, tmp_path, told)
    await gateway.start()
    try:
        again: dict[int, str] = {}
        reading = asyncio.create_task(read(gateway.url, 0, again))
        await wait_until(lambda: len(ended(again)) >= before, 10, "every call's end")
        records = await pages(gateway.url, "/v1/cdrs", "calls")
        events = {
            call: await pages(gateway.url, f"/v1/calls/{call}/events", "events")
            for call in ended(again)
        }
    finally:
        await gateway.stop()
    await reading
    gateway.assert_clean()
    # Whatever a program was told is what the log says; and it has no hole.
    assert told.items() <= again.items()
    assert list(again) == list(range(1, len(again) + 1))
    check(events, records)
    assert sorted(again) == sorted(
        event["sequence"] for found in events.values() for event in found
    )


async def crash(gateway: Gateway, tmp_path: Path, told: dict[int, str]) -> int:
    """Carries calls, some of which end, and dies in the midst of them. How many there were."""
    await gateway.start()
    reading = asyncio.create_task(read(gateway.url, 0, told))
    short = Sipp(
        tmp_path / "short", Calling(talk_ms=300).scenario(), remote_port=gateway.sip_port,
        calls=5, echo=False,
    )  # fmt: skip
    many = Sipp(
        tmp_path / "many", Calling(talk_ms=60_000).scenario(), remote_port=gateway.sip_port,
        calls=CALLS, echo=False,
    )  # fmt: skip
    for sipp in (short, many):
        sipp.arguments += ["-r", "10", "-l", str(CALLS)]
    async with short, many:
        await wait_until(lambda: len(ended(told)) == 5, 20, "the short calls' ends")
        await wait_until(
            lambda: sum('"call.answered"' in text for text in told.values()) == CALLS + 5,
            20,
            "all calls' answers",
        )
        os.kill(gateway.pid, signal.SIGKILL)
        await gateway.wait(5)
    await reading
    assert len(ended(told)) == 5
    return CALLS + 5


def ended(events: dict[int, str]) -> list[str]:
    """The calls that are over."""
    found = [json.loads(text) for text in events.values() if '"call.ended"' in text]
    return [event["call"] for event in found]


def check(events: dict[str, list[dict[str, Any]]], records: list[dict[str, Any]]) -> None:
    """Every call has a beginning, an end, and the record that follows from its events."""
    assert {record["id"] for record in records} == set(events)
    interrupted = 0
    for record in records:
        first, *_, final = events[record["id"]]
        assert (first["type"], final["type"]) == ("call.created", "call.ended")
        assert record["code"] == final["verdict"]["code"]
        assert record["ended_at"] is not None
        assert record["answered_at"] is not None
        assert record["duration_ms"] == final["duration_ms"] > 0
        assert not record["incomplete"]
        assert [leg["ended_at"] is not None for leg in record["legs"]] == [True]
        if record["state"] == "interrupted":
            interrupted += 1
            assert (final["verdict"]["code"], final["hung_up_by"]) == ("interrupted", None)
    assert interrupted == CALLS
