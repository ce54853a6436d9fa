"""The pure C under AddressSanitizer and UndefinedBehaviorSanitizer: not one report."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.native.captures import NAMES, row
from tests.native.library import HERE, compile_c, pure_sources
from tests.native.network import Arrivals, at_random, duplicate, reorder
from tests.native.receiver import pack
from tests.native.trains import KEYS, Shape

SANITIZERS = (
    "-O1",
    "-g",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
)
PACKETS = 2_000_000  # to each target
SEED = 4733
TIMEOUT_S = 120


def run(command: Sequence[str | Path]) -> str:
    """Standard output of a program that must neither fail nor say anything on standard error."""
    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    return result.stdout


@pytest.mark.parametrize("target", ["fuzz_rtp", "fuzz_dtmf"])
def test_random_input(tmp_path: Path, target: str) -> None:
    driver = tmp_path / target
    sources = [HERE / "fuzz_driver.c", HERE / f"{target}.c", *pure_sources()]
    compile_c(driver, sources, *SANITIZERS)
    words = run([driver, str(PACKETS), str(SEED)]).split()
    assert int(words[words.index("packets") + 1]) >= PACKETS


@pytest.fixture(scope="module")
def trace_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver of recorded packets."""
    driver = tmp_path_factory.mktemp("sanitizers") / "trace"
    sources = [HERE / "trace_driver.c", HERE / "harness.c", *pure_sources()]
    compile_c(driver, sources, *SANITIZERS)
    return driver


def digits(driver: Path, trace: Path, arrivals: Arrivals, clock_rate: int) -> list[list[int]]:
    """[event, duration in milliseconds] of each digit heard in these packets."""
    trace.write_bytes(pack(arrivals))
    lines = run([driver, str(clock_rate), trace]).splitlines()
    return [[int(word) for word in line.split()] for line in lines]


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("clock_rate", [8000, 48000])
def test_senders(tmp_path: Path, trace_driver: Path, shape: Shape, clock_rate: int) -> None:
    """All digits of a sender, in a good network and in a bad one."""
    train = shape.build(KEYS, 2000, 40, clock_rate)
    good = reorder(train.packets, set(), 0)
    heard = digits(trace_driver, tmp_path / "good", good, clock_rate)
    assert heard == [[event, round(train.durations_ms[0])] for event in range(16)]
    bad = duplicate(reorder(train.packets, at_random(10, 1)(train.packets), 2))
    heard = digits(trace_driver, tmp_path / "bad", bad, clock_rate)
    assert [event for event, _ in heard] == list(range(16))


def test_sipp_captures(tmp_path: Path, trace_driver: Path) -> None:
    heard = digits(trace_driver, tmp_path / "sipp", row(list(NAMES)), 8000)
    assert [event for event, _ in heard] == [KEYS.index(key) for key in NAMES.values()]
