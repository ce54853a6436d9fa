"""Owns virtual time: an event loop that never waits, and clocks that follow it or the test."""

from __future__ import annotations

import asyncio
import functools
import inspect
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from gateway.clock import Instant

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)

P = ParamSpec("P")
T = TypeVar("T")


class ManualClock:
    """A clock that stands still until it is told to move. Seconds."""

    def __init__(self, monotonic: float = 1000.0) -> None:
        self.monotonic = monotonic

    def now(self) -> Instant:
        """The present moment."""
        return Instant(self.monotonic, EPOCH + timedelta(seconds=self.monotonic))

    def advance(self, seconds: float) -> None:
        """Moves on."""
        self.monotonic += seconds


class LoopClock:
    """The time of the running event loop."""

    def now(self) -> Instant:
        """The present moment."""
        monotonic = asyncio.get_running_loop().time()
        return Instant(monotonic, EPOCH + timedelta(seconds=monotonic))


class DeadlockError(RuntimeError):
    """Nothing is left that could happen, and the test still waits."""


class _SkippingSelector(selectors.DefaultSelector):
    """Instead of waiting, moves the clock to the moment that the loop waits for."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise DeadlockError("the event loop would wait for ever")
        self._clock.advance(timeout)
        return ready


class InlineExecutor(Executor):
    """An executor without threads: work is done when it is handed in, and takes no virtual time."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """The result, already there."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # it is the caller's, who finds it in the future
            future.set_exception(error)
        return future


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer when nothing is ready.

    For code without sockets, threads and subprocesses: those need real time.
    """

    def __init__(self) -> None:
        self.clock = ManualClock()
        super().__init__(_SkippingSelector(self.clock))

    def time(self) -> float:
        """Virtual seconds."""
        return self.clock.monotonic


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` on a VirtualLoop, as asyncio.run does."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def virtual_time(
    test: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, T]:
    """Makes an async test run in virtual time: minutes pass in milliseconds."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_virtual(test(*args, **kwargs))

    # Runners that look through wrappers would await the test themselves; fixtures need its names.
    del run.__wrapped__
    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return run
