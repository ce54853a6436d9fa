"""`python -m bench.api`: how fast the API answers while N calls talk, and what that costs them.

A node with API keys, records in SQLite and a telephone that echoes, as bench.calls has it; the
questions come from one more process, one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import uvloop
import yaml
from aiortc import RTCCertificate

from bench.calls import CHROMIUM_SRTP, TRUNK, Moment, far_end
from bench.load import Call, Pacer, stay_on
from bench.media import BROWSER_OPUS, Programme
from tests.support.gateway import Gateway, TrunkTo
from tests.support.processes import HOST

BRIDGE_HZ = 16_000
WARM_UP = 4.0


@dataclass(frozen=True, slots=True)
class Window:
    """What the calls were like for some seconds."""

    lost_percent: float
    cpu_percent: float
    late_p99_ms: float
    stolen_percent: float

    @classmethod
    def between(cls, first: Moment, last: Moment, late_ms: Sequence[float]) -> Window:
        """Between two moments."""
        sent = last.load.sent - first.load.sent
        received = last.load.received - first.load.received
        up = (last.load.holes_up - first.load.holes_up) / max(1, sent)
        down = (last.load.holes_down - first.load.holes_down) / max(1, received)
        wall, late = last.at - first.at, sorted(late_ms)
        cpu = (last.gateway.cpu - first.gateway.cpu) / wall
        stolen = (last.stolen - first.stolen) / wall
        return cls(100 * max(up, down), 100 * cpu, late[int(0.99 * len(late))], 100 * stolen)


async def run(options: argparse.Namespace) -> bool:
    """One run; whether all calls and answers came about."""
    stay_on(HOST)
    programmes = {rate: Programme(rate) for rate in BROWSER_OPUS}
    certificate = RTCCertificate.generateCertificate()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with far_end() as far:
            gateway = Gateway(
                Path(folder), [TrunkTo(TRUNK, far.port)], media={"bridge_rate": BRIDGE_HZ}
            )
            key = await asyncio.to_thread(_known, Path(folder) / "gateway.yaml")
            headers = {"Authorization": f"Bearer {key}"}
            async with gateway, aiohttp.ClientSession(gateway.url, headers=headers) as http:
                calls: list[Call] = []
                pacer = Pacer(calls)
                pacing = asyncio.create_task(pacer.run())
                try:
                    for _ in range(options.calls):
                        call = Call(certificate, CHROMIUM_SRTP)
                        await call.dial(http, TRUNK, programmes)
                        calls.append(call)
                    await asyncio.sleep(WARM_UP)
                    windows, took = [], {}
                    for asked in (False, True):
                        pacer.late_ms.clear()
                        first = await Moment.take(gateway, far, calls)
                        if asked:
                            took = await _ask(gateway.url, key, options.seconds)
                        else:
                            await asyncio.sleep(options.seconds)
                        last = await Moment.take(gateway, far, calls)
                        windows.append(Window.between(first, last, pacer.late_ms))
                    print(_table(options, windows, took))
                    return True
                finally:
                    pacing.cancel()
                    await asyncio.gather(pacing, return_exceptions=True)
                    await asyncio.gather(*(call.hang_up(http) for call in calls))


def _known(config: Path) -> str:
    """Makes a node that knows API keys of the one that the tests have; a key of it."""
    node = yaml.safe_load(config.read_text())
    node |= {"demo": False, "records": {"url": "sqlite:///records.sqlite3"}}
    config.write_text(yaml.safe_dump(node))
    gateway = Path(sys.executable).with_name("gateway")
    wanted = (gateway, "keys", "create", config, "--name", "demo", "--scope", "admin")
    made = subprocess.run(wanted, capture_output=True, text=True, check=True)
    [key] = re.findall(r"gw_[0-9a-f]{12}_[\w-]+", made.stdout)
    return str(key)


async def _ask(url: str, key: str, seconds: float) -> dict[str, list[float]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.asker", url, "--seconds", str(seconds),
        env=os.environ | {"BENCH_KEY": key}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, _ = await process.communicate()
    if process.returncode:
        raise SystemExit("a question failed")
    took: dict[str, list[float]] = json.loads(told)
    return took


def _table(
    options: argparse.Namespace, windows: Sequence[Window], took: dict[str, list[float]]
) -> str:
    lines = [f"{options.calls} calls, {options.seconds:.0f} s each", "  answers, ms"]
    lines.append(f"    {'':<20}{'count':>8}{'median':>9}{'p95':>9}{'p99':>9}{'most':>9}")
    everything = [each for times in took.values() for each in times]
    for name, times in [*took.items(), ("all", everything)]:
        cuts = statistics.quantiles(times, n=100, method="inclusive")
        figures = (statistics.median(times), cuts[94], cuts[98], max(times))
        lines.append(
            f"    {name:<20}{len(times):>8}" + "".join(f"{each:>9.1f}" for each in figures)
        )
    lines.append(f"  {'the calls':<22}{'nobody asks':>14}{'asked':>14}")
    for title, field in (
        ("lost %", "lost_percent"),
        ("gateway's CPU %", "cpu_percent"),
        ("load late ms, p99", "late_p99_ms"),
        ("stolen CPU %", "stolen_percent"),
    ):
        before, asked = (getattr(window, field) for window in windows)
        lines.append(f"    {title:<20}{before:>14.2f}{asked:>14.2f}")
    return "\n".join(lines)


def main() -> int:
    """Runs the bench; 1 where a call or an answer failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0, help="of measuring, twice")
    return 0 if uvloop.run(run(parser.parse_args())) else 1


if __name__ == "__main__":
    sys.exit(main())
