"""Owns which trace the work at hand belongs to: the `traceparent` (W3C Trace Context 3.2) of the
request that asked for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

HEADER = "traceparent"
_FORM = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def current_traceparent() -> str | None:
    """That of the request which this task, or one that started it, works for."""
    return _current.get()


@contextmanager
def traced(traceparent: str | None) -> Iterator[None]:
    """What is begun inside belongs to the trace of `traceparent`. One that is malformed is none."""
    good = traceparent is not None and _FORM.fullmatch(traceparent) is not None
    token = _current.set(traceparent if good else None)
    try:
        yield
    finally:
        _current.reset(token)
