"""Owns what the HTTP server itself logs: a request that is none is a line, not a traceback."""

from __future__ import annotations

import logging

from aiohttp.http_exceptions import HttpProcessingError

_NAME = "gateway.http"


def server_log() -> logging.Logger:
    """The logger for the server's own failures."""
    log = logging.getLogger(_NAME)
    if not any(isinstance(each, _Malformed) for each in log.filters):
        log.addFilter(_Malformed())
    return log


class _Malformed(logging.Filter):
    """Whoever finds the port may send anything: that is no error of ours, and its bytes, which the
    exception quotes, may be somebody's credentials."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Makes the record of a malformed request a plain one."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.exc_info = record.exc_text = None
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.msg, record.args = "malformed request: %s", (type(error).__name__,)
        return True
