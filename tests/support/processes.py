"""Foreign programs and ports of the tests: a program runs in its own directory and always stops."""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

POLL = 0.05  # seconds between two looks at a condition
STOP_GRACE = 8.0  # seconds from SIGTERM to SIGKILL
PORT_RANGE = range(10_000, 32_000)  # below the range from which Linux takes ephemeral ports
HOST = "127.0.0.1"
PR_SET_PDEATHSIG = 1  # prctl(2)

Condition = Callable[[], object | Awaitable[object]]
"""Asked again and again until it gives, or its coroutine returns, something true."""


class ProgramError(AssertionError):
    """A program did not start, or ended when it should not have."""


async def wait_until(condition: Condition, within: float, what: str) -> Any:
    """Waits until `condition` gives something true and returns it.

    Args:
        condition: asked every 50 ms.
        within: seconds.
        what: names the condition in the AssertionError raised when time is up.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while True:
        found = condition()
        value = await found if isinstance(found, Awaitable) else found
        if value:
            return value
        if loop.time() > end:
            raise AssertionError(f"not within {within:g} s: {what} (last seen: {value!r})")
        await asyncio.sleep(POLL)


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
    return True


def free_ports(count: int = 1) -> int:
    """The first of `count` neighbouring ports free for UDP and TCP on loopback; even (RTP)."""
    for _ in range(200):
        first = random.randrange(PORT_RANGE.start, PORT_RANGE.stop - count, 2)
        if all(_is_free(first + n) for n in range(count)):
            return first
    raise ProgramError(f"no block of {count} free ports on {HOST}")


_libc = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """In the child: a test run that is killed leaves no program behind."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Program:
    """One child process in its own process group, its output in a file.

    Use as an asynchronous context manager, or call `start` and `stop`.
    """

    def __init__(
        self,
        arguments: Sequence[str | os.PathLike[str]],
        directory: Path,
        name: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.arguments = [os.fspath(argument) for argument in arguments]
        self.directory = directory
        self.name = name
        self.log_path = directory / f"{name}.log"
        self._environment = dict(os.environ) | dict(environment or {})
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def log(self) -> str:
        """Everything it has written so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    async def start(self) -> None:
        """Starts it; its standard output and error go to `log_path`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as output:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self.arguments,
                    cwd=self.directory,
                    env=self._environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=_end_with_parent,
                )
            except FileNotFoundError as missing:
                raise ProgramError(f"{self.arguments[0]} is not installed") from missing

    async def ready(self, condition: Condition, within: float = 20) -> Any:
        """Waits for `condition`; fails at once, with the log, if the program ends."""

        async def alive_and_ready() -> object:
            if not self.running:
                raise ProgramError(f"{self.name} ended:\n{self.log[-4000:]}")
            found = condition()
            return await found if isinstance(found, Awaitable) else found

        return await wait_until(alive_and_ready, within, f"{self.name} ready")

    async def wait(self, within: float) -> int:
        """Waits for it to end by itself; returns its exit status."""
        assert self._process is not None
        async with asyncio.timeout(within):
            return await self._process.wait()

    async def stop(self, grace: float = STOP_GRACE) -> int | None:
        """Ends it and its children (SIGTERM, then SIGKILL); returns its exit status."""
        process = self._process
        if process is None:
            return None
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(grace):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        self._end_children(process.pid)
        return process.returncode

    def _end_children(self, group: int) -> None:
        """What is left of its process group (start_new_session made it the leader)."""
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
