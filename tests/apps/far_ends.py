"""Owns what tests of verbs stand on: programs, phones that answer, two who talk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.apps import App, Call
from gateway.calls.programs import Program
from gateway.testing import FakeLeg, Rehearsal
from gateway.verbs import AnyVerb, verb_from


def program(function: object) -> Program:
    """A registered program."""
    app = App()
    app.call("p")(function)  # type: ignore[arg-type]
    return app.programs["p"]


async def breathe(seconds: float = 0.05) -> None:
    await asyncio.sleep(seconds)


def answering(after: float = 1.0) -> Callable[[FakeLeg], None]:
    """A phone that rings, and answers after some seconds."""

    def script(leg: FakeLeg) -> None:
        leg.rings()
        asyncio.get_running_loop().call_later(after, lambda: leg.ended or leg.answers())

    return script


async def talk(caller: Rehearsal) -> tuple[FakeLeg, set[tuple[Any, Any]]]:
    """The caller and a phone talk; the phone, and the connections both ways."""
    await breathe(2)
    [phone] = caller.phones.legs
    both = {(caller.leg.port, phone.port), (phone.port, caller.leg.port)}
    assert both <= caller.media.connections
    return phone, both


@program
async def to_a_phone(call: Call) -> None:
    await call.dial(trunk="t", number="200")


def verb(name: str, **parameters: Any) -> AnyVerb:
    """A verb as it is written."""
    return verb_from({name: parameters})
