"""Owns captures of calls over HTTP: begin one, ask how it is, download its file."""

from __future__ import annotations

from aiohttp import hdrs, web

from gateway.api.operations import Asked, Operation
from gateway.calls.captures import CAPTURING, CallCaptures, Capture, Wish
from gateway.config.identity import Scope
from gateway.contract.captures import CaptureView, NewCapture
from gateway.ids import CallId

PATH = "/v1/calls/{call}/capture"
TAG = "calls"
PCAP = "application/vnd.tcpdump.pcap"


class CaptureEndpoint:
    """The operations. An identity sees the calls of its project, and no others."""

    def __init__(self, captures: CallCaptures) -> None:
        self._captures = captures

    def operations(self) -> list[Operation]:
        """All of them."""
        scope = Scope.CALLS_CAPTURE
        return [
            Operation(
                "POST", PATH, "captureCall", "Capture a call's packets", TAG, scope, self.begin,
                body=NewCapture, answer=CaptureView, status=202, problems=(CAPTURING,),
            ),
            Operation(
                "GET", PATH + "/status", "getCapture", "How a capture is", TAG, scope, self.show,
                answer=CaptureView,
            ),
            Operation(
                "GET", PATH, "downloadCapture", "A capture's file", TAG, scope, self.download,
                media=PCAP, problems=(CAPTURING,),
            ),
            Operation("DELETE", PATH, "endCapture", "End a capture", TAG, scope, self.end),
        ]  # fmt: skip

    async def begin(self, asked: Asked) -> CaptureView:
        """RTP is captured as plain RTP in both directions, also where it is encrypted on the wire.
        It ends by itself; then its file can be downloaded for a while."""
        wanted: NewCapture = asked.body
        wish = Wish(wanted.seconds, wanted.sip, wanted.rtp, wanted.digits)
        return _view(self._captures.begin(_call(asked), asked.project, wish))

    async def show(self, asked: Asked) -> CaptureView:
        """The newest capture of the call, running or done."""
        return _view(self._captures.of(_call(asked), asked.project))

    async def download(self, asked: Asked) -> web.StreamResponse:
        """A pcap file, for Wireshark; 409 while the capture runs."""
        path = self._captures.file(_call(asked), asked.project)
        return web.FileResponse(
            path,
            headers={
                hdrs.CONTENT_TYPE: PCAP,
                hdrs.CONTENT_DISPOSITION: f'attachment; filename="{path.name}"',
                hdrs.CACHE_CONTROL: "no-store",
            },
        )

    async def end(self, asked: Asked) -> None:
        """Now, and not when its time is over. Its file can be downloaded a moment later."""
        self._captures.end(_call(asked), asked.project)


def _view(capture: Capture) -> CaptureView:
    wish, done = capture.wish, capture.done
    return CaptureView(
        call=capture.call,
        state="running" if done is None else "done",
        began_at=capture.begun.wall,
        ends_at=capture.ends_at,
        sip=wish.sip,
        rtp=wish.rtp,
        digits=wish.digits,
        reason=None if done is None else done.reason,
        packets=None if done is None else done.packets,
        lost=None if done is None else done.lost,
    )


def _call(asked: Asked) -> CallId:
    return CallId(asked.path["call"])
