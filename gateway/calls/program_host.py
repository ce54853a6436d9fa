"""Owns what runs on one call: its program, and commands from outside; their keys and their end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from gateway.calls import inputs
from gateway.calls.programs import Key, Program, ProgramContext
from gateway.calls.programs.performing import GoElsewhere, HangUp
from gateway.calls.programs.script import follow
from gateway.errors import CANCELLED, INTERNAL, GatewayError, Verdict
from gateway.events import DigitReceived, DigitStarted, Event
from gateway.ids import LegId
from gateway.ports import DTMF_DIGITS
from gateway.verbs import Side

T = TypeVar("T")
SideOf = Callable[[LegId], Side | None]


class ProgramHost:
    """Runs one program at a time, and commands beside it; `post` takes how the program ended."""

    def __init__(self, side_of: SideOf, post: Callable[[inputs.Input], None], log: Any) -> None:
        """side_of: which side of the call a leg is; None: none of the two that talk."""
        self._side_of = side_of
        self._post = post
        self._log = log
        self._program: asyncio.Task[None] | None = None
        self._running: dict[asyncio.Task[Any], ProgramContext] = {}

    def start(
        self, group: asyncio.TaskGroup, name: str, program: Program, context: ProgramContext
    ) -> None:
        """Starts `program` as a task of `group`."""
        self._program = group.create_task(self._run(program, context), name=f"program {name}")
        self._keep(self._program, context)

    def stop(self) -> None:
        """Gives back what the program opened, now, and cancels it. Nothing runs: does nothing."""
        if self._program is not None:
            task, self._program = self._program, None
            self._cancel(task)

    def command(
        self,
        group: asyncio.TaskGroup,
        verb: str,
        perform: Callable[[ProgramContext], Coroutine[Any, Any, T]],
        context: ProgramContext,
    ) -> asyncio.Future[T | None]:
        """Performs a verb beside whatever runs. Its GatewayError is the future's."""
        done: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        task = group.create_task(
            self._command(verb, partial(perform, context), done), name=f"verb {verb}"
        )
        self._keep(task, context)
        done.add_done_callback(partial(self._given_up, task))
        return done

    def _given_up(self, task: asyncio.Task[Any], future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            self._cancel(task)

    def stop_all(self) -> None:
        """Ends the program and every command."""
        self._program = None
        for task in tuple(self._running):
            self._cancel(task)

    def offer(self, event: Event) -> None:
        """Gives whoever runs the keys of its side; other telephone-events (flash) are none."""
        if not self._running or not isinstance(event, DigitStarted | DigitReceived):
            return
        side = self._side_of(event.leg)
        if side is None or event.digit not in DTMF_DIGITS:
            return
        duration_ms = event.duration_ms if isinstance(event, DigitReceived) else None
        for context in self._running.values():
            context.keys[side].put_nowait(Key(event.digit, duration_ms))

    def _keep(self, task: asyncio.Task[Any], context: ProgramContext) -> None:
        self._running[task] = context
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        context = self._running.pop(task, None)
        if context is not None:
            context.close()

    def _cancel(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        self._forget(task)

    async def _run(self, program: Program, context: ProgramContext) -> None:
        try:
            self._post(inputs.ProgramDone(await _to_its_end(program, context)))
        except GatewayError as error:
            self._log.warning(
                "program.failure",
                code=error.verdict.code,
                text=error.verdict.text,
                exc_info=True,
            )
            self._post(inputs.Failed(error.verdict))
        except Exception:  # the boundary of the program's task: a bug in it ends this call only
            self._log.exception("program.bug")
            self._post(inputs.Failed(INTERNAL))

    async def _command(
        self,
        verb: str,
        perform: Callable[[], Coroutine[Any, Any, T]],
        done: asyncio.Future[T | None],
    ) -> None:
        try:
            outcome = await perform()
        except HangUp as end:
            self._post(inputs.HangupRequested(end.verdict))
            _settle(done, None)
        except GoElsewhere as elsewhere:
            self._post(inputs.Taken(elsewhere.action))
            _settle(done, None)
        except GatewayError as error:
            if not done.done():
                done.set_exception(error)
        except Exception:  # the boundary of the command's task: a bug in it costs nothing else
            self._log.exception("verb.bug", verb=verb)
            if not done.done():
                done.set_exception(GatewayError(INTERNAL))
        else:
            _settle(done, outcome)
        finally:
            if not done.done():
                done.set_exception(GatewayError(CANCELLED, "The call ended"))


def _settle(done: asyncio.Future[T | None], outcome: T | None) -> None:
    if not done.done():
        done.set_result(outcome)


async def _to_its_end(program: Program, context: ProgramContext) -> Verdict:
    """Runs a program, and whatever its `goto` leads to."""
    while True:
        try:
            return await program(context)
        except HangUp as end:
            return end.verdict
        except GoElsewhere as elsewhere:
            program = follow(elsewhere.action)
