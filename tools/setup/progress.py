"""What a person sees while the set-up runs: steps with elapsed time, heartbeats, and failures."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TextIO

HEARTBEAT_SECONDS = 10.0
TAIL_LINES = 25


class SetupError(Exception):
    """A set-up step that cannot go on: `what` is missing or wrong, `remedy` puts it right."""

    def __init__(self, what: str, remedy: str, log: Path | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.log = log


class Progress:
    """Prints one line per step, with the seconds since the start; safe from several threads."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._start = time.monotonic()
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """Print `text` with the seconds since this object was made."""
        with self._lock:
            seconds = time.monotonic() - self._start
            print(f"[{seconds:6.1f} s] {text}", file=self._stream, flush=True)


def run(
    command: Sequence[str | Path],
    *,
    log: Path,
    progress: Progress,
    doing: str,
    remedy: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    counts: Callable[[str], bool] = lambda line: False,
    unit: str = "files",
) -> None:
    """Run `command`, its output appended to `log`; show every ten seconds how far it is.

    `counts` tells the output lines of which each stands for one `unit` done. A non-zero exit
    status raises `SetupError` with the end of the log; so does a program that is not there.
    """
    words = [str(word) for word in command]
    environment = {**os.environ, **(env or {})}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8", errors="replace") as sink:
        sink.write(f"\n=== {doing}\n$ {' '.join(words)}\n")
        sink.flush()
        try:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except FileNotFoundError as error:
            raise SetupError(f"{doing}: the program {words[0]} is not there", remedy) from error
        status = _follow(process, sink, progress, doing, counts, unit)
    if status != 0:
        raise SetupError(f"{doing}: {Path(words[0]).name} exited with {status}", remedy, log)


def _follow(
    process: subprocess.Popen[str],
    sink: TextIO,
    progress: Progress,
    doing: str,
    counts: Callable[[str], bool],
    unit: str,
) -> int:
    """Copy the output of `process` to `sink` until it ends; return its exit status."""
    counted = 0
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            progress.say(f"  ... {doing}{f': {counted} {unit}' if counted else ''}")

    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                sink.write(line)
                counted += counts(line)
        return process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            process.terminate()
        process.wait()
        raise
    finally:
        ended.set()
        heart.join()


def fail(error: SetupError, stream: TextIO = sys.stderr) -> NoReturn:
    """Print what is missing, the end of the log and the remedy; leave with status 1."""
    if error.log is not None and error.log.exists():
        lines = error.log.read_text(encoding="utf-8", errors="replace").splitlines()
        print(f"--- the last lines of {error.log}", file=stream)
        for line in lines[-TAIL_LINES:]:
            print(f"    {line}", file=stream)
    print(f"\nset-up failed: {error.what}", file=stream)
    print(f"what to do:    {error.remedy}\n", file=stream, flush=True)
    raise SystemExit(1)


def guarded(main: Callable[[], None]) -> None:
    """Run `main`; a `SetupError` becomes its message, an interrupt a short one, no traceback."""
    try:
        main()
    except SetupError as error:
        fail(error)
    except KeyboardInterrupt:
        print("\nset-up interrupted; run the same command again to go on", file=sys.stderr)
        raise SystemExit(130) from None
