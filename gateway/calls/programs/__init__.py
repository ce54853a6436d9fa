"""Built-in programs: what a call speaks with when the dialplan says `echo` or `ivr`."""

from gateway.calls.programs.base import (
    Asks,
    CallFacts,
    Control,
    Dialled,
    Key,
    NoServer,
    Program,
    ProgramContext,
    Sounds,
)
from gateway.calls.programs.echo import echo
from gateway.calls.programs.ivr import ivr
from gateway.calls.programs.routing import Routing

PROGRAMS: dict[str, Program] = {"echo": echo, "ivr": ivr}

__all__ = [
    "PROGRAMS",
    "Asks",
    "CallFacts",
    "Control",
    "Dialled",
    "Key",
    "NoServer",
    "Program",
    "ProgramContext",
    "Routing",
    "Sounds",
]
