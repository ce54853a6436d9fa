"""Owns which call programs there are: a registry that decorators fill."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from gateway.apps.call import Call
from gateway.calls.programs import PROGRAMS
from gateway.calls.programs.base import Program, ProgramContext
from gateway.errors import NORMAL, Verdict

CallProgram = Callable[[Call], Awaitable[None]]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class App:
    """Call programs by name, as the dialplan's `app` step asks for them."""

    def __init__(self) -> None:
        self._programs: dict[str, Program] = {}

    @property
    def programs(self) -> Mapping[str, Program]:
        """What was registered."""
        return MappingProxyType(self._programs)

    def call(self, name: str) -> Callable[[CallProgram], CallProgram]:
        """Registers an async function as the program `name`. When it returns, the call ends;
        one that it did not answer is refused then.

        Raises ValueError: no such name may be, it is taken, or the function is not async.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"program name {name!r}: use letters, digits, - and _, at most 64")
        if name in self._programs or name in PROGRAMS:
            raise ValueError(f"a program is called {name!r} already")

        def register(function: CallProgram) -> CallProgram:
            if not inspect.iscoroutinefunction(function):
                raise ValueError(f"program {name!r} is no async function: write async def")
            self._programs[name] = _program(function)
            return function

        return register


def _program(function: CallProgram) -> Program:
    async def run(context: ProgramContext) -> Verdict:
        await function(Call(context))
        return NORMAL.because("The program ended")

    return run
