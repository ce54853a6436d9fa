"""Where a leg's events leave it: in order, and kept until somebody listens."""

from __future__ import annotations

from collections import deque

from gateway.ports import LegEvent, LegSink


class Outlet:
    """The `listen` side of every leg."""

    def __init__(self) -> None:
        self._sink: LegSink | None = None
        self._waiting: deque[LegEvent] = deque()

    def listen(self, sink: LegSink) -> None:
        """Whom to tell; events that came earlier are delivered at once."""
        self._sink = sink
        while self._waiting:
            sink(self._waiting.popleft())

    def emit(self, event: LegEvent) -> None:
        """Tell it now, or as soon as somebody listens and the earlier ones are told."""
        if self._sink is None or self._waiting:
            self._waiting.append(event)
        else:
            self._sink(event)
