"""Measures the dialplan with 10,000 rules: a match, a reload, and what loop and bridge feel of it.

Run as `python -m bench.dialplan [--rules N] [--matches N]`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.app.files import load_plan
from gateway.app.reload import PlanReloader
from gateway.config.model import MediaConfig, NodeConfig, SipConfig, SipListen, Trunk
from gateway.dialplan import Origin, Plan, Request, decide
from gateway.errors import NOT_FOUND, GatewayError
from gateway.legs.sip.plane import SipPlane
from gateway.media.engine import MediaEngine
from gateway.observability.logs import configure_logs
from gateway.ports import IncomingSip

TICK = 0.005  # seconds
AT = datetime(2026, 12, 24, 18, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Lateness:
    """The latest tick of the asyncio loop and of the bridge, ms."""

    loop: float
    bridge: float


def plan_text(rules: int) -> str:
    """A plan whose rules are of all sorts: most by number, some by caller, time, guard."""
    lines = [
        "version: 1",
        "zone: Europe/Berlin",
        "times: {office: {days: mon-fri, hours: 09:00-18:00}}",
        "contexts:",
        "  browser:",
        "    numbers: {country: US}",
        "    rules:",
    ]
    for number in range(rules - 1):
        to = 'dial: {trunk: out, number: "${callee}"}'
        kind = number % 20
        if kind < 12:
            rule = f'{{match: "_+1{number + 20000:05d}XXXXX", {to}}}'
        elif kind < 16:
            rule = f'{{match: "{number + 100000}", dial: {{user: u{number}}}}}'
        elif kind < 18:
            rule = f'{{callee: {{prefix: "+{number + 30000}"}}, time: office, {to}}}'
        elif kind < 19:
            rule = f"{{caller: user{number}, match: _., {to}}}"
        else:
            rule = f'{{match: "_+3{number:05d}.", when: "caller != \'x\'", {to}}}'
        lines.append(f"      - {rule}")
    lines.append("      - {match: _., reject: }")
    return "\n".join(lines) + "\n"


def requests(rules: int, count: int) -> list[Request]:
    """Calls that meet rules all over the plan, and some that meet only the last."""
    chance = random.Random(1)
    found = []
    for _ in range(count):
        number = chance.randrange(rules)
        callees = (
            f"+1{number + 20000:05d}55512",
            f"{number + 100000}",
            f"+3{number:05d}77",
            "+49301",
        )
        callee = chance.choice(callees)
        caller = chance.choice(["alice", f"user{number}"])
        found.append(Request("browser", caller, callee, Origin.BROWSER, "", AT))
    return found


def measure_matches(plan: Plan, asked: list[Request]) -> tuple[list[float], list[int]]:
    """Microseconds and rules looked at, by request."""
    times, looks = [], []
    for request in asked:
        began = time.perf_counter()
        decision = decide(plan, request)
        times.append((time.perf_counter() - began) * 1e6)
        looks.append(len(decision.looks))
    return times, looks


def _no_calls(_: IncomingSip) -> None:
    raise GatewayError(NOT_FOUND)


async def measure_stalls(file: Path) -> tuple[Lateness, Lateness]:
    """How late the asyncio loop and the media bridge's clock were: idle, and during reloads."""
    plan = load_plan(file)
    trunks = SipConfig(listen=[SipListen(port=0)], trunks=[Trunk(name="out", host="192.0.2.1")])
    reloader = PlanReloader(file, NodeConfig(dialplan="x", sip=trunks), plan, lambda _: None)
    del plan
    loop = asyncio.get_running_loop()
    media = MediaEngine()
    sip = SipPlane(trunks, MediaConfig(), media, _no_calls)
    await sip.start()
    media.start()

    async def latest(work: asyncio.Task[object]) -> Lateness:
        worst = 0.0
        media.clock()
        while not work.done():
            due = loop.time() + TICK
            await asyncio.sleep(TICK)
            worst = max(worst, loop.time() - due)
        return Lateness(worst * 1000, media.clock().max_late_ms)

    async def reloads() -> None:
        for _ in range(3):
            done = await reloader.reload("bench")
            assert done.ok, done.problems[0]

    idle = await latest(asyncio.create_task(asyncio.sleep(3)))
    busy = await latest(asyncio.create_task(reloads()))
    media.stop()
    await sip.stop()
    return idle, busy


def main() -> None:
    """Measures, and prints what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=int, default=10_000)
    parser.add_argument("--matches", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plan.yaml"
        file.write_text(plan_text(options.rules), "utf-8")
        reloads = []
        for _ in range(5):
            began, worked = time.perf_counter(), time.process_time()
            plan = load_plan(file)
            reloads.append((time.perf_counter() - began, time.process_time() - worked))
        size = file.stat().st_size
        configure_logs("console", "error")
        idle, busy = asyncio.run(measure_stalls(file))
    whole, worked = min(reloads)
    print(f"plan     {options.rules} rules, {size / 1024:.0f} KiB")
    print(f"reload   {whole:.2f} s, {worked:.2f} s of CPU (best of 5)")
    print(f"         {max(reloads)[0]:.2f} s (worst of 5)")
    print(f"loop     {busy.loop:.0f} ms late at most during reloads, {idle.loop:.0f} ms without")
    print(
        f"bridge   {busy.bridge:.1f} ms late at most during reloads, {idle.bridge:.1f} ms without"
    )
    times, looks = measure_matches(plan, requests(options.rules, options.matches))
    times.sort()
    late = times[len(times) * 99 // 100]
    print(f"match    median {statistics.median(times):.1f} us, 99% within {late:.1f} us")
    usual = statistics.median(looks)
    print(f"looked   at {usual:.0f} rules (median), {max(looks)} (most) of {options.rules}")


if __name__ == "__main__":
    main()
