"""Owns reading server-sent events (WHATWG HTML 9.2, Server-sent events). Pure."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One message. id: the last that the stream told, at this message."""

    event: str
    data: str
    id: str


class SseParser:
    """Messages out of a stream's bytes, in whatever pieces they come.

    `retry` is the wait before a new connection that the server asks for, in seconds. `last_id` goes
    into Last-Event-ID.
    """

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry: float | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest = ""
        self._after_return = False
        self._event = ""
        self._data: list[str] = []
        self._id = last_id

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """The messages that `chunk` completes. What the end of a stream leaves unfinished is no
        message (9.2.6)."""
        for line in self._lines(self._decoder.decode(chunk)):
            if line:
                self._field(line)
                continue
            message = self._dispatched()
            if message is not None:
                yield message

    def _lines(self, text: str) -> Iterator[str]:
        """Whole lines; they end with CRLF, LF or CR."""
        if self._after_return and text:
            text = text.removeprefix("\n")
            self._after_return = False
        self._rest += text
        start = 0
        while True:
            ends = [at for at in (self._rest.find(end, start) for end in "\r\n") if at >= 0]
            if not ends:
                break
            end = min(ends)
            line, after = self._rest[start:end], end + 1
            if self._rest[end] == "\r":
                if after == len(self._rest):
                    self._after_return = True
                elif self._rest[after] == "\n":
                    after += 1
            start = after
            yield line
        self._rest = self._rest[start:]

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdecimal() and len(value) < 10:
                self.retry = int(value) / 1000

    def _dispatched(self) -> Message | None:
        self.last_id = self._id
        event, data = self._event or "message", self._data
        self._event, self._data = "", []
        return Message(event, "\n".join(data), self.last_id) if data else None
