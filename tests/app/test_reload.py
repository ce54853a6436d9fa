"""Hot reload: all good or nothing changes; what changed is told; live calls keep their plan."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.app.files import load_plan
from gateway.app.node import Node
from gateway.app.reload import PlanReloader
from gateway.app.selftest import loop_config, loop_plan
from gateway.config.model import NodeConfig
from gateway.dialplan import NoRoute, Plan, Request
from gateway.errors import GatewayError

ROOT = Path(__file__).resolve().parents[2]
OLD = 'contexts:\n  browser:\n    - {match: "1", echo: }\n    - {match: "2", echo: }\n'
NEW = 'contexts:\n  browser:\n    - {match: "1", ivr: }\n    - {match: "3", echo: }\n'
BROKEN = 'contexts:\n  browser:\n    - {match: "3", echo: }\n    - {match: "4", ecco: }\n'


class Stand:
    """A plan file with its reloader, and the plan in use."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.write_text(OLD)
        self.plan = load_plan(file)
        self.uses = 0
        self.reloader = PlanReloader(file, NodeConfig(dialplan="x"), self.plan, self._use)

    def _use(self, plan: Plan) -> None:
        self.plan = plan
        self.uses += 1

    def routes(self, callee: str) -> bool:
        return not isinstance(self.plan.route(Request("browser", "", callee)), NoRoute)


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path / "plan.yaml")


@pytest.fixture
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


async def test_a_good_file_is_used_and_what_changed_is_told(
    stand: Stand, logs: list[MutableMapping[str, Any]]
) -> None:
    stand.file.write_text(NEW)
    done = await stand.reloader.reload("asked")
    assert done.ok
    assert done.changes is not None
    assert done.changes.lines() == ["+ browser: 3", "- browser: 2", "~ browser: 1"]
    assert stand.routes("3")
    assert not stand.routes("2")
    (entry,) = [entry for entry in logs if entry["event"] == "dialplan.reloaded"]
    assert entry["reason"] == "asked"
    assert entry["diff"] == done.changes.lines()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BROKEN, "plan.yaml:4:20: unknown key 'ecco' (did you mean 'echo'?)"),
        ("contexts: [", "plan.yaml:"),
        ("contexts: {browser: [{match: '3', dial: {trunk: t, number: 3}}]}", "no trunk 't'"),
        (None, "plan.yaml: no such file (check the path)"),
    ],
)
async def test_a_broken_file_changes_nothing_and_is_told_with_its_place(
    stand: Stand, logs: list[MutableMapping[str, Any]], text: str | None, message: str
) -> None:
    if text is None:
        stand.file.unlink()
    else:
        stand.file.write_text(text)
    done = await stand.reloader.reload("asked")
    assert not done.ok
    assert message in str(done.problems[0])
    assert stand.uses == 0
    assert stand.routes("2")
    assert not stand.routes("3")
    (entry,) = [entry for entry in logs if entry["event"] == "dialplan.refused"]
    assert entry["log_level"] == "error"
    assert message in entry["problems"][0]
    stand.file.write_text(NEW)
    assert (await stand.reloader.reload("asked")).ok  # and a good one helps afterwards
    assert stand.routes("3")


async def test_reloads_at_once_take_turns_and_the_last_file_wins(stand: Stand) -> None:
    stand.file.write_text(NEW)
    done = await asyncio.gather(*(stand.reloader.reload("asked") for _ in range(3)))
    assert [bool(one.changes) for one in done] == [True, False, False]


class Changes:
    """Stands for the file system: says that something in the directory changed."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[object] = asyncio.Queue()

    async def __aiter__(self) -> AsyncIterator[object]:
        while True:
            yield await self._queue.get()
            self._queue.task_done()

    async def happen(self) -> None:
        """Something happens; returns when it has been looked at."""
        self._queue.put_nowait(None)
        await self._queue.join()


async def test_watching_reloads_when_the_content_is_another(stand: Stand) -> None:
    changes = Changes()
    watching = asyncio.create_task(stand.reloader.watch(aiter(changes)))
    await changes.happen()  # another file of the directory
    assert stand.uses == 0
    stand.file.write_text(NEW)
    await changes.happen()
    assert (stand.uses, stand.routes("3")) == (1, True)
    await changes.happen()
    assert stand.uses == 1
    stand.file.write_text(BROKEN)
    await changes.happen()
    assert (stand.uses, stand.routes("3")) == (1, True)
    stand.file.unlink()  # an editor is about to put the new one in its place
    await changes.happen()
    stand.file.write_text(OLD)
    await changes.happen()
    assert (stand.uses, stand.routes("2")) == (2, True)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_a_file_put_in_place_is_seen_for_real(stand: Stand) -> None:
    used = asyncio.Event()
    stand.reloader._use = lambda plan: used.set()
    watching = asyncio.create_task(stand.reloader.watch())

    async def write() -> None:
        """Again and again: the watch says nothing when it is ready to see."""
        for number in itertools.count():
            spare = stand.file.with_name("spare")
            spare.write_text(f"{NEW}# {number}\n")
            spare.replace(stand.file)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(used.wait(), 0.5)
                return

    writing = asyncio.create_task(write())
    async with asyncio.timeout(20):
        await used.wait()
    for task in (writing, watching):
        task.cancel()
    await asyncio.gather(writing, watching, return_exceptions=True)


async def test_a_node_whose_plan_came_from_no_file_has_none_to_reload() -> None:
    node = Node(loop_config(16000), loop_plan())
    with pytest.raises(GatewayError) as refused:
        await node.reload_dialplan("asked")
    assert refused.value.verdict.http_status == 400


def test_a_running_gateway_reloads_on_sighup(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(OLD)
    config = tmp_path / "node.yaml"
    config.write_text(
        "demo: true\ndialplan: plan.yaml\nwatch_dialplan: false\nhttp: {port: 0}\n"
        "sip: {listen: [{transport: udp, port: 0}]}\n"
    )
    command = [sys.executable, "-m", "gateway", "run", str(config), "--log-format", "json"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as node:
        assert node.stdout is not None
        lines = iter(node.stdout)
        try:
            assert any("node.started" in line for line in lines)
            plan.write_text(BROKEN)
            node.send_signal(signal.SIGHUP)
            refused = next(line for line in lines if "dialplan." in line)
            assert "dialplan.refused" in refused
            assert f"{plan}:4:20: unknown key 'ecco'" in refused
            plan.write_text(NEW)
            node.send_signal(signal.SIGHUP)
            reloaded = next(line for line in lines if "dialplan." in line)
            assert "dialplan.reloaded" in reloaded
            assert "+ browser: 3" in reloaded
        finally:
            node.terminate()
            node.communicate(timeout=20)
    assert node.returncode == 0
