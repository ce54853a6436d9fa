"""Owns following what the dialplan decided, from within a program."""

from __future__ import annotations

from gateway.calls.programs.base import Program, ProgramContext
from gateway.dialplan import Action, DialOut, Refuse, RunProgram
from gateway.errors import Verdict


def follow(action: Action) -> Program:
    """The program that does what an action says."""

    async def run(context: ProgramContext) -> Verdict:
        match action:
            case DialOut():
                return (await context.control.dial(action)).verdict
            case RunProgram(name):
                return await context.control.programs[name](context)
            case Refuse(verdict):
                return verdict

    return run
