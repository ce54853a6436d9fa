"""Owns performing what the dialplan decided: a dial, a program, a refusal, a script of verbs."""

from __future__ import annotations

from typing import assert_never

from gateway.calls import inputs
from gateway.calls.programs.base import Dialled, Program, ProgramContext
from gateway.calls.programs.performing import perform
from gateway.dialplan import Action, DialOut, Refuse, RunProgram, RunScript, Script
from gateway.dialplan.script import GotoStep, SetStep
from gateway.errors import LOOP_DETECTED, NORMAL, GatewayError, Verdict
from gateway.events import VerbStarted

MAX_VERBS = 1000
"""That the scripts of one call may perform: more than any call needs."""


def follow(action: Action) -> Program:
    """The program that does what an action says."""

    async def run(context: ProgramContext) -> Verdict:
        return await _follow(context, action)

    return run


async def run_script(context: ProgramContext, script: Script) -> Verdict:
    """Performs the steps, and those of every script that a `goto` leads to.

    Returns the verdict of the last dial, where it is the last step. Raises GatewayError: a value
    does not fit (BAD_REQUEST), or the script is without end (LOOP_DETECTED); and what verbs raise.
    """
    return await _follow(context, RunScript(script))


async def _follow(context: ProgramContext, action: Action) -> Verdict:
    left = MAX_VERBS
    while isinstance(action, RunScript):
        left -= len(action.script.steps)
        if left < 0:
            raise GatewayError(LOOP_DETECTED)
        done = await _perform(context, action.script)
        if isinstance(done, Verdict):
            return done
        action = done
    match action:
        case DialOut():
            return (await context.control.dial(action)).verdict
        case RunProgram(name):
            return await context.control.programs[name](context)
        case Refuse(verdict):
            return verdict
        case _:
            assert_never(action)


async def _perform(context: ProgramContext, script: Script) -> Verdict | Action:
    """How the call ended, or what its last step leads to."""
    outcome: object = None
    for step in script.steps:
        values = script.values(context.variables)
        match step:
            case SetStep():
                _tell(context, "set")
                context.variables.update(step.filled(values))
            case GotoStep(target, callee):
                _tell(context, "goto")
                number = None if callee is None else callee.fill(values)
                return context.routing.goto(target, number, context.variables)
            case RunProgram():
                return step
            case _:
                outcome = await perform(context, step.filled(values))
    return outcome.verdict if isinstance(outcome, Dialled) else NORMAL.because("The script ended")


def _tell(context: ProgramContext, verb: str) -> None:
    context.control.request(inputs.Observed(VerbStarted(verb)))
