"""`python -m bench.calls`: what N transcoded calls cost the gateway, measured from outside.

Opus browsers over DTLS-SRTP on one side, a PCMU telephone that echoes on the other; the gateway,
the telephone and the browsers are three processes on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import uvloop
from aiortc import RTCCertificate

from bench.load import Call, Counters, Pacer, stay_on
from bench.media import BROWSER_OPUS, Programme
from bench.meter import Cost, cost, cpu_by_thread, machine_busy, machine_stolen
from tests.support.gateway import Gateway, TrunkTo
from tests.support.processes import HOST

TRUNK = "far"
# What Chromium offers as the DTLS client that it is by default; the gateway takes AES-GCM.
CHROMIUM_SRTP = (
    "SRTP_AES128_CM_SHA1_80",
    "SRTP_AEAD_AES_256_GCM",
    "SRTP_AEAD_AES_128_GCM",
)
IDLE_SECONDS = 2.0  # for a ready gateway to come to rest, and again to measure it so
BURST_SECONDS = 6.0
ECHO_WITHIN = 0.45  # s; the next burst comes after 0.5 s
PACKETS_PER_SECOND = 50
MAX_LATE_MS = 5.0  # beyond, the delays say more about this machine than about the gateway
MIN_SENT_PERCENT = 99.0
MAX_OTHERS_PERCENT = 15.0  # of one processor
MIN_TALKING = 0.3  # share of packets that carry more than silence; the speech has pauses


@dataclass(frozen=True, slots=True)
class Result:
    """What one run has shown. The first six are the bench's contract; ms, MB and percent."""

    cpu_ms_per_call_second: float
    rss_mb_per_call: float
    setup_ms: float
    round_trip_ms: float | None
    lost_percent: float
    calls: int
    bridge_hz: int
    seconds: float
    lost_up_percent: float
    lost_trunk_percent: float
    lost_down_percent: float
    missing_down_percent: float
    user_ms_per_call_second: float
    system_ms_per_call_second: float
    setup_max_ms: float
    idle_cpu_ms_per_second: float
    idle_rss_mb: float
    rss_mb: float
    threads: int
    talking_percent: float
    load_sent_percent: float
    load_late_p99_ms: float
    load_cpu_percent: float
    others_cpu_percent: float
    thread_ms_per_call_second: dict[str, float]
    failures: list[str]


class FarEnd:
    """The telephone's process."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.pid = process.pid
        self.port = port

    async def counts(self) -> dict[str, int]:
        """What it has counted so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        counts: dict[str, int] = json.loads(await self._process.stdout.readline())
        return counts


@contextlib.asynccontextmanager
async def far_end() -> AsyncIterator[FarEnd]:
    """Starts the telephone, and ends it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.far_end",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield FarEnd(process, json.loads(await process.stdout.readline())["sip"])
    finally:
        process.stdin.close()
        await process.wait()


@dataclass(frozen=True, slots=True)
class Moment:
    """All counters at one time."""

    at: float
    gateway: Cost
    threads: dict[str, float]
    own_cpu: float
    far_cpu: float
    machine: float
    stolen: float
    far: dict[str, int]
    load: Counters

    @property
    def others(self) -> float:
        """CPU seconds of this machine that none of our three processes has used."""
        return self.machine - self.gateway.cpu - self.own_cpu - self.far_cpu

    @staticmethod
    async def take(gateway: Gateway, far: FarEnd, calls: Sequence[Call]) -> Moment:
        """Reads them."""
        total = Counters(
            *(
                sum(column)
                for column in zip(*(asdict(c.counters).values() for c in calls), strict=True)
            )
        )
        return Moment(
            time.monotonic(),
            cost(gateway.pid),
            cpu_by_thread(gateway.pid),
            time.process_time(),
            cost(far.pid).cpu,
            machine_busy(),
            machine_stolen(),
            await far.counts(),
            total,
        )


async def run(options: argparse.Namespace) -> Result:
    """One run: start, place the calls, warm up, measure, time the round trip, hang up."""
    stay_on(HOST)
    programmes = {rate: Programme(rate) for rate in BROWSER_OPUS}
    certificate = RTCCertificate.generateCertificate()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with (
            far_end() as far,
            Gateway(
                Path(folder), [TrunkTo(TRUNK, far.port)], media={"bridge_rate": options.bridge}
            ) as gateway,
            aiohttp.ClientSession(gateway.url) as http,
        ):
            idle = await _idle(gateway)
            calls: list[Call] = []
            failures: list[str] = []
            pacer = Pacer(calls)
            pacing = asyncio.create_task(pacer.run())
            try:
                for number in range(options.calls):
                    call = Call(certificate, options.srtp)
                    calls.append(call)
                    try:
                        await call.dial(http, TRUNK, programmes)
                    except (RuntimeError, TimeoutError, aiohttp.ClientError) as error:
                        failures.append(f"call {number}: {type(error).__name__}: {error}")
                        calls.remove(call)
                        await call.hang_up(http)
                if not calls:
                    raise SystemExit(f"no call came about: {failures[0]}\n{gateway.log[-3000:]}")
                return await _measure(options, gateway, far, pacer, idle, failures)
            finally:
                pacing.cancel()
                await asyncio.gather(pacing, return_exceptions=True)
                await asyncio.gather(*(call.hang_up(http) for call in calls))
                if options.keep_log:
                    options.keep_log.write_text(gateway.log)


async def _idle(gateway: Gateway) -> tuple[Cost, float]:
    """What the gateway holds and uses without calls: its cost, CPU ms per second."""
    await asyncio.sleep(IDLE_SECONDS)
    before = cost(gateway.pid)
    await asyncio.sleep(IDLE_SECONDS)
    after = cost(gateway.pid)
    return after, (after.cpu - before.cpu) * 1000 / IDLE_SECONDS


async def _measure(
    options: argparse.Namespace,
    gateway: Gateway,
    far: FarEnd,
    pacer: Pacer,
    idle: tuple[Cost, float],
    failures: list[str],
) -> Result:
    calls = pacer.calls
    await asyncio.sleep(options.warm_up)
    pacer.late_ms.clear()
    first = await Moment.take(gateway, far, calls)
    await asyncio.sleep(options.seconds)
    last = await Moment.take(gateway, far, calls)
    late = sorted(pacer.late_ms)
    round_trip = await _round_trip(calls[0])
    wall, count = last.at - first.at, len(calls)
    per_call = 1000 / wall / count
    sent, received = last.load.sent - first.load.sent, last.load.received - first.load.received
    up = _percent(last.load.holes_up - first.load.holes_up, sent)
    down = _percent(last.load.holes_down - first.load.holes_down, received)
    far_packets = last.far["packets"] - first.far["packets"]
    trunk = _percent(last.far["holes"] - first.far["holes"], far_packets)
    talking = _percent(
        last.load.talking - first.load.talking, last.load.checked - first.load.checked
    )
    if talking < 100 * MIN_TALKING:
        failures.append(f"only {talking:.0f}% of what came back carried sound")
    setups = [call.times.first_rtp for call in calls]
    return Result(
        cpu_ms_per_call_second=(last.gateway.cpu - first.gateway.cpu) * per_call,
        rss_mb_per_call=(last.gateway.rss_mb - idle[0].rss_mb) / count,
        setup_ms=statistics.median(setups),
        round_trip_ms=round_trip,
        lost_percent=max(up, trunk, down),
        calls=count,
        bridge_hz=options.bridge,
        seconds=wall,
        lost_up_percent=up,
        lost_trunk_percent=trunk,
        lost_down_percent=down,
        missing_down_percent=_percent(sent - received, sent),
        user_ms_per_call_second=(last.gateway.user - first.gateway.user) * per_call,
        system_ms_per_call_second=(last.gateway.system - first.gateway.system) * per_call,
        setup_max_ms=max(setups),
        idle_cpu_ms_per_second=idle[1],
        idle_rss_mb=idle[0].rss_mb,
        rss_mb=last.gateway.rss_mb,
        threads=last.gateway.threads,
        talking_percent=talking,
        load_sent_percent=_percent(sent, wall * count * PACKETS_PER_SECOND),
        load_late_p99_ms=late[int(0.99 * len(late))],
        load_cpu_percent=(last.own_cpu - first.own_cpu) / wall * 100,
        others_cpu_percent=_percent(last.others - first.others, wall),
        thread_ms_per_call_second={
            name: (seconds - first.threads.get(name, 0.0)) * per_call
            for name, seconds in sorted(last.threads.items())
        },
        failures=failures,
    )


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0


async def _round_trip(call: Call) -> float | None:
    """Median ms from a tone sent to its echo, our own codec's delay taken off; None: no echo."""
    call.play_bursts(True)
    await asyncio.sleep(BURST_SECONDS)
    delays = []
    for sent in call.played[2:]:  # the first meet speech that is still in the buffers
        after = [heard - sent for heard in call.heard if 0 <= heard - sent < ECHO_WITHIN]
        delays.extend(after[:1])
    call.play_bursts(False)
    return statistics.median(delays) * 1000 if delays else None


ROWS = (
    ("CPU ms per call-second", "cpu_ms_per_call_second", "{:.2f}"),
    ("  user", "user_ms_per_call_second", "{:.2f}"),
    ("  system", "system_ms_per_call_second", "{:.2f}"),
    ("RSS MB per call", "rss_mb_per_call", "{:.2f}"),
    ("RSS MB idle / now", "idle_rss_mb", "{:.1f} / {other:.1f}"),
    ("threads", "threads", "{:d}"),
    ("idle CPU ms per second", "idle_cpu_ms_per_second", "{:.1f}"),
    ("set-up ms, median", "setup_ms", "{:.0f}"),
    ("set-up ms, longest", "setup_max_ms", "{:.0f}"),
    ("round trip ms", "round_trip_ms", "{:.1f}"),
    ("lost %, browser to gateway", "lost_up_percent", "{:.3f}"),
    ("lost %, gateway to telephone", "lost_trunk_percent", "{:.3f}"),
    ("lost %, gateway to browser", "lost_down_percent", "{:.3f}"),
    ("sent but not back %", "missing_down_percent", "{:.3f}"),
    ("sound in what came back %", "talking_percent", "{:.0f}"),
    ("load: sent % of what was due", "load_sent_percent", "{:.1f}"),
    ("load: late ms, p99", "load_late_p99_ms", "{:.2f}"),
    ("load: CPU %", "load_cpu_percent", "{:.0f}"),
    ("other programs: CPU %", "others_cpu_percent", "{:.0f}"),
)


def table(result: Result) -> str:
    """The result for people."""
    lines = [f"{result.calls} calls, bridge {result.bridge_hz} Hz, {result.seconds:.0f} s"]
    for title, key, form in ROWS:
        value = getattr(result, key)
        shown = "-" if value is None else form.format(value, other=result.rss_mb)
        lines.append(f"  {title:<30} {shown:>14}")
    lines.append("  CPU ms per call-second by thread")
    lines += [
        f"    {name:<28} {value:>14.2f}"
        for name, value in result.thread_ms_per_call_second.items()
        if value >= 0.005
    ]
    if result.load_late_p99_ms > MAX_LATE_MS:
        lines.append("  the load itself was late: read the delays as upper bounds")
    if result.others_cpu_percent > MAX_OTHERS_PERCENT:
        lines.append("  other programs kept this machine busy: measure again when it is quiet")
    if result.load_sent_percent < MIN_SENT_PERCENT:
        lines.append("  the load fell behind: read the CPU figures as lower bounds")
    lines += [f"  FAILED {failure}" for failure in result.failures]
    return "\n".join(lines)


def main() -> int:
    """Runs the bench; 1 where a call failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--bridge", type=int, default=16_000, choices=(8_000, 16_000, 48_000))
    parser.add_argument("--seconds", type=float, default=20.0, help="of measuring")
    parser.add_argument("--warm-up", type=float, default=4.0, help="seconds before measuring")
    parser.add_argument("--srtp", nargs="+", default=CHROMIUM_SRTP, help="profiles to offer")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--keep-log", type=Path, help="where to keep the gateway's log")
    options = parser.parse_args()
    result = uvloop.run(run(options))
    print(json.dumps(asdict(result), indent=1) if options.json else table(result))
    return 1 if result.failures else 0


if __name__ == "__main__":
    sys.exit(main())
