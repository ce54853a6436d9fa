"""Runs test files that need a process of their own: pjsua is one per process, and what other tests
leave in theirs would hide what is to be measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 300


def assert_passes_alone(file: str, *, tests: int) -> None:
    """All `tests` of `file` (not named test_*, so that nobody else collects it) pass in a fresh
    process."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert f"{tests} passed" in done.stdout
