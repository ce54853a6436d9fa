"""`gateway top` in a terminal, and outside of one."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.config.identity import Scope
from tests.api.steps import until
from tests.cli.conftest import Commands

ALTERNATE, NORMAL = b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """A terminal in which a command runs."""

    def __init__(self, process: asyncio.subprocess.Process, shown: asyncio.StreamReader) -> None:
        self.process = process
        self._reader = shown
        self.shown = b""

    async def shows(self, text: bytes) -> None:
        """Waits for a text that was not shown until now."""
        start = len(self.shown)
        async with asyncio.timeout(30):  # only ever reached by a failing test
            while text not in self.shown[start:]:
                self.shown += await self._reader.read(4096)

    async def interrupted(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            return await self.process.wait()


@asynccontextmanager
async def terminal(commands: Commands, *words: str) -> AsyncIterator[Terminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", 0)
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *words,
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env=os.environ | commands.environment | {"TERM": "xterm-256color"},
    )  # fmt: skip
    try:
        yield Terminal(process, reader)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        transport.close()
        os.close(theirs)  # not before: without it there is nothing more to read


async def test_it_follows_the_calls_until_ctrl_c(commands: Commands) -> None:
    leg, first = commands.clients.phone()
    await until(lambda: leg.port)
    async with terminal(commands, "top", "--every", "0.2") as watched:
        await watched.shows(first.id.encode())
        assert ALTERNATE in watched.shown
        other, second = commands.clients.phone()
        await until(lambda: other.port)
        await watched.shows(second.id.encode())
        first.hangup()
        await watched.shows(b"1 calls: 1 program")
        assert NORMAL not in watched.shown
        assert await watched.interrupted() == 0
        await watched.shows(NORMAL)  # the terminal is as it was
    assert b"Traceback" not in watched.shown
    assert b"Aborted" not in watched.shown


async def test_it_prints_once_where_nobody_watches(commands: Commands) -> None:
    leg, call = commands.clients.phone()
    await until(lambda: leg.port)
    told = await commands.good("top")
    assert " ports | " in told
    reader = await commands.clients.token(Scope.CALLS_READ)
    assert "no scope node:read" in await commands.good("top", GATEWAY_KEY=reader)
    assert commands.environment["GATEWAY_URL"] in told
    assert "1 calls: 1 program" in told
    assert call.id in told
