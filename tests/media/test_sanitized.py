"""The media plane's own tests once more, with its C under AddressSanitizer and UBSan."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g"


def _library(name: str) -> str:
    found = subprocess.run(
        ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def test_no_memory_error_and_no_undefined_behaviour(tmp_path: Path) -> None:
    for part in ("gateway", "tests/media", "tests/native", "tests/__init__.py", "pyproject.toml"):
        source, target = ROOT / part, tmp_path / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(
                source, target, ignore=shutil.ignore_patterns("_native.c*", "*.o", "__pycache__")
            )
        else:
            shutil.copy(source, target)
    build = subprocess.run(
        [sys.executable, "gateway/media/native/build.py"],
        cwd=tmp_path,
        env=os.environ | {"CC": f"gcc {SANITIZE}", "LDSHARED": f"gcc -shared {SANITIZE}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert build.returncode == 0, build.stderr
    reports = tmp_path / "report"
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-s",
            "-p",
            "no:cacheprovider",
            "tests/media/test_ports.py",
            "tests/media/test_direct.py",
            "tests/media/test_packets.py",
            "tests/media/test_sip_trace.py",
            "tests/media/stress.py",
        ],
        cwd=tmp_path,
        env=os.environ
        | {
            # Python itself is not instrumented, so the run-time libraries come first by hand.
            "LD_PRELOAD": " ".join(map(_library, ("libasan.so", "libubsan.so", "libstdc++.so"))),
            "ASAN_OPTIONS": f"detect_leaks=0:log_path={reports}",
            "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={reports}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    found = "\n".join(path.read_text() for path in tmp_path.glob("report*"))
    assert not found, found
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    assert " passed" in run.stdout
