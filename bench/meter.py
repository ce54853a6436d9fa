"""What a process costs, as the kernel counts it from outside."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """Since the process began: CPU seconds of all its threads. Now: resident MB, threads."""

    user: float
    system: float
    rss_mb: float
    threads: int

    @property
    def cpu(self) -> float:
        """User and system time together, in seconds."""
        return self.user + self.system


def cost(pid: int) -> Cost:
    """What the process has cost so far (proc(5): /proc/PID/stat and status)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return Cost(
        user=int(fields[11]) / TICKS_PER_SECOND,
        system=int(fields[12]) / TICKS_PER_SECOND,
        rss_mb=int(status["VmRSS"].split()[0]) / 1024,
        threads=int(status["Threads"]),
    )


def cpu_by_thread(pid: int) -> dict[str, float]:
    """CPU seconds of the threads now alive, by the names that the program gave them.

    By the scheduler's own count (proc(5): /proc/PID/task/TID/schedstat).
    """
    found: defaultdict[str, float] = defaultdict(float)
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it ended between the two looks
            seconds = int((task / "schedstat").read_text().split()[0]) / 1e9
            found[(task / "comm").read_text().strip()] += seconds
    return found


def machine_busy() -> float:
    """CPU seconds of all processors that went to anything, or were stolen (proc(5): /proc/stat)."""
    ticks = _machine()
    idle, waiting = ticks[3], ticks[4]
    return (sum(ticks) - idle - waiting) / TICKS_PER_SECOND


def machine_stolen() -> float:
    """CPU seconds of all processors that the hypervisor gave to other machines instead."""
    return _machine()[7] / TICKS_PER_SECOND


def _machine() -> list[int]:
    line = Path("/proc/stat").read_text().split("\n", 1)[0]
    return [int(field) for field in line.split()[1:9]]
