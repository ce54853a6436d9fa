"""The data channel that the browser opens under the label `gateway`: text both ways."""

from __future__ import annotations

import logging
from collections.abc import Callable

from aiortc import RTCDataChannel

logger = logging.getLogger(__name__)

LABEL = "gateway"
_BACKLOG = 65536  # bytes; a tab that reads nothing gets nothing more

MessageSink = Callable[[str], None]


class GatewayChannel:
    """Finds the one channel we speak on; others are closed."""

    def __init__(self, max_message_size: int) -> None:
        self._channel: RTCDataChannel | None = None
        self._limit = max_message_size  # bytes; 0: none (RFC 8841 6.1)
        self.on_message: MessageSink | None = None

    def opened(self, channel: RTCDataChannel) -> None:
        """The peer opened `channel`."""
        if channel.label != LABEL or self._channel is not None:
            logger.info("A data channel that is not ours is closed")
            channel.close()
            return
        self._channel = channel
        channel.on("message", self._received)
        channel.on("close", self._forget)

    def _received(self, message: str | bytes) -> None:
        if isinstance(message, str) and self.on_message is not None:
            self.on_message(message)

    def _forget(self) -> None:
        self._channel = None

    def send(self, text: str) -> bool:
        """Sends `text`; False when there is no open channel, or it is full."""
        channel = self._channel
        if channel is None or channel.readyState != "open" or channel.bufferedAmount > _BACKLOG:
            return False
        if self._limit and len(text.encode()) > self._limit:
            return False
        channel.send(text)
        return True
