"""Owns the client's methods for captures of calls."""

from __future__ import annotations

from collections.abc import AsyncIterator

from gateway.client.operation import operation
from gateway.client.transport import CHUNK, Asking, Transport, place
from gateway.contract.captures import CaptureView, NewCapture


class Captures:
    """Captures, of a call at a time. Every method raises GatewayApiError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @operation("captureCall")
    async def begin(
        self,
        call: str,
        *,
        seconds: int = 60,
        sip: bool = True,
        rtp: bool = True,
        digits: bool = False,
        idempotency_key: str | None = None,
    ) -> CaptureView:
        """Captures the call's packets for so long at most. digits: whether it may be seen which
        are pressed."""
        body = NewCapture(seconds=seconds, sip=sip, rtp=rtp, digits=digits)
        asking = Asking("POST", place("calls", call, "capture"), body=body, again=idempotency_key)
        return await self._transport.ask(asking, CaptureView)

    @operation("getCapture")
    async def get(self, call: str) -> CaptureView:
        """The newest of the call, running or done."""
        path = place("calls", call, "capture", "status")
        return await self._transport.ask(Asking("GET", path), CaptureView)

    @operation("downloadCapture")
    async def download(self, call: str) -> AsyncIterator[bytes]:
        """The pcap file of a capture that is done, piece by piece."""
        asking = Asking("GET", place("calls", call, "capture"))
        async with self._transport.streamed(asking) as response:
            async for chunk in response.content.iter_chunked(CHUNK):
                yield chunk

    @operation("endCapture")
    async def end(self, call: str) -> None:
        """Ends it before its time."""
        await self._transport.tell(Asking("DELETE", place("calls", call, "capture")))
