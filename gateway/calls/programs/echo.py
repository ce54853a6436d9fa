"""The echo program: the caller hears itself, and every digit comes back with its duration."""

from __future__ import annotations

from gateway.calls.programs.base import Key, ProgramContext
from gateway.errors import Verdict
from gateway.verbs import Side

SHORTEST_MS, LONGEST_MS = 20, 60_000  # what the media plane sends


async def echo(context: ProgramContext) -> Verdict:
    """Answers, and runs until the caller hangs up."""
    port = await context.control.port(Side.CALLER)
    context.loop_back(port)
    while True:
        key = await context.keys[Side.CALLER].get()
        if isinstance(key, Key) and key.duration_ms is not None:
            duration = min(max(key.duration_ms, SHORTEST_MS), LONGEST_MS)
            context.send_digit(Side.CALLER, port, key.digit, duration)
