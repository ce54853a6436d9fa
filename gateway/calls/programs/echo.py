"""The echo program: the caller hears itself, and every digit comes back with its duration."""

from __future__ import annotations

from gateway.calls.programs.base import Key, ProgramContext
from gateway.errors import Verdict

SHORTEST_MS, LONGEST_MS = 20, 60_000  # what the media plane sends


async def echo(context: ProgramContext) -> Verdict:
    """Runs until the caller hangs up."""
    context.loop_back()
    while True:
        key = await context.keys.get()
        if isinstance(key, Key) and key.duration_ms is not None:
            duration = min(max(key.duration_ms, SHORTEST_MS), LONGEST_MS)
            context.send_digit(key.digit, duration)
