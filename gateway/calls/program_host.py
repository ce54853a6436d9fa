"""Owns the program of one call while it runs: its task, its keys, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.calls import inputs
from gateway.calls.programs import Key, Program, ProgramContext
from gateway.errors import INTERNAL, GatewayError
from gateway.events import DigitReceived, DigitStarted, Event
from gateway.ids import LegId
from gateway.ports import DTMF_DIGITS


class ProgramHost:
    """Runs one program at a time; `post` takes how it ended."""

    def __init__(self, caller: LegId, post: Callable[[inputs.Input], None], log: Any) -> None:
        self._caller = caller
        self._post = post
        self._log = log
        self._running: tuple[ProgramContext, asyncio.Task[None]] | None = None

    def start(
        self, group: asyncio.TaskGroup, name: str, program: Program, context: ProgramContext
    ) -> None:
        """Starts `program` as a task of `group`."""
        task = group.create_task(self._run(program, context), name=f"program {name}")
        self._running = (context, task)

    def stop(self) -> None:
        """Gives back what the program opened, now, and cancels it. Nothing runs: does nothing."""
        if self._running is not None:
            (context, task), self._running = self._running, None
            task.cancel()
            context.close()

    def offer(self, event: Event) -> None:
        """Gives the program the caller's keys; other telephone-events (flash) are none."""
        if self._running is None or not isinstance(event, DigitStarted | DigitReceived):
            return
        if event.leg != self._caller or event.digit not in DTMF_DIGITS:
            return
        duration_ms = event.duration_ms if isinstance(event, DigitReceived) else None
        self._running[0].keys.put_nowait(Key(event.digit, duration_ms))

    async def _run(self, program: Program, context: ProgramContext) -> None:
        try:
            self._post(inputs.ProgramDone(await program(context)))
        except GatewayError as error:
            self._log.warning("program.failure", code=error.verdict.code, text=error.verdict.text)
            self._post(inputs.Failed(error.verdict))
        except Exception:  # the boundary of the program's task: a bug in it ends this call only
            self._log.exception("program.bug")
            self._post(inputs.Failed(INTERNAL))
