"""Owns a SIP peer that answers OPTIONS as a test says, over UDP or TCP; it can fall silent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.support.processes import HOST, free_ports

_COPIED = ("via", "from", "to", "call-id", "cseq")
_LENGTH = re.compile(rb"^Content-Length: *(\d+)", re.IGNORECASE | re.MULTILINE)  # RFC 3261 18.3


class OptionsPeer:
    """One SIP peer. `status`: of its answers, None: it says nothing; read anew for each request."""

    def __init__(self, port: int, status: str | None = "200 OK") -> None:
        self.port = port
        self.status = status
        self.requests: list[str] = []
        self.came = asyncio.Event()

    def response(self, data: bytes) -> bytes | None:
        """The answer to a request."""
        text = data.decode()
        self.requests.append(text)
        self.came.set()
        if self.status is None:
            return None
        lines = text.split("\r\n\r\n")[0].split("\r\n")[1:]
        copied = [line for line in lines if line.partition(":")[0].lower() in _COPIED]
        tagged = [f"{line};tag=peer" if line.lower().startswith("to:") else line for line in copied]
        return "\r\n".join(
            [f"SIP/2.0 {self.status}", *tagged, "Content-Length: 0", "", ""]
        ).encode()

    async def asked(self, count: int = 1, within: float = 8.0) -> str:
        """Waits for the `count`th request; the request."""
        async with asyncio.timeout(within):
            while len(self.requests) < count:
                self.came.clear()
                await self.came.wait()
        return self.requests[count - 1]

    @asynccontextmanager
    async def up(self, transport: str = "udp") -> AsyncIterator[None]:
        """Listens; nobody is there before and after."""
        if transport == "tcp":
            server = await asyncio.start_server(self._serve, HOST, self.port)
            async with server:
                yield
            return
        loop = asyncio.get_running_loop()
        datagrams, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self.response), local_addr=(HOST, self.port)
        )
        try:
            yield
        finally:
            datagrams.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                answer = self.response(head + body)
                if answer is not None:
                    writer.write(answer)
        except asyncio.IncompleteReadError:  # the gateway has hung up
            pass
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, response: Callable[[bytes], bytes | None]) -> None:
        self._response = response
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """It listens."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A request."""
        answer = self._response(data)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


def options_peer(status: str | None = "200 OK") -> OptionsPeer:
    """A peer on a free port, which does not listen yet."""
    return OptionsPeer(free_ports(), status)
