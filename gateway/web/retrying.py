"""Owns trying again: which failures, how often, how long to wait between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from gateway.web.values import TransientError

FIRST_WAIT = 0.25
LONGEST_WAIT = 4.0
JITTER = 0.25
"""Seconds. Without it, all calls that one failure hit would come back at the same moment."""

_back_off = wait_exponential_jitter(multiplier=FIRST_WAIT, max=LONGEST_WAIT, jitter=JITTER)
_log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often, and for how many seconds each."""

    attempts: int
    seconds: float

    @property
    def budget(self) -> float:
        """Seconds in all, waits included."""
        return self.attempts * self.seconds


async def persistently(attempt: Callable[[], Awaitable[T]], patience: Patience, where: str) -> T:
    """What `attempt` returns, which is made again after a TransientError.

    The wait doubles, with jitter, and is at least what the server asked for (Retry-After). Raises
    the last error when there are no more attempts, or no time for the wait that is due. where: what
    errors call the server.
    """
    deadline = asyncio.get_running_loop().time() + patience.budget
    enough = stop_after_attempt(patience.attempts)

    def stop(state: RetryCallState) -> bool:
        return enough(state) or asyncio.get_running_loop().time() + state.upcoming_sleep > deadline

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(TransientError),
        wait=_wait,
        stop=stop,
        sleep=asyncio.sleep,
        before_sleep=_tell,
        reraise=True,
    )
    try:
        async with asyncio.timeout_at(deadline):
            result: T = await retrying(attempt)
            return result
    except TimeoutError:
        raise TransientError(f"{where} took too long") from None


def _wait(state: RetryCallState) -> float:
    error = _error(state)
    asked = error.retry_after if isinstance(error, TransientError) else None
    return max(_back_off(state), asked or 0.0)


def _tell(state: RetryCallState) -> None:
    _log.info(
        "web.again",
        reason=str(_error(state)),
        attempt=state.attempt_number,
        wait=round(state.upcoming_sleep, 2),
    )


def _error(state: RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()
