"""The `gateway` command: the list of its commands, each of which is loaded when it is called.

What one command needs is no business of the others: in an outage, `gateway calls` does not wait
until a whole gateway is loaded.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command is, as module:attribute (a function, or a Typer of several), and what
    `gateway --help` says of it: the first paragraph of its own."""

    place: str
    about: str

    def load(self) -> Any:
        """The command itself, for typer."""
        module, _, name = self.place.partition(":")
        found = getattr(importlib.import_module(module), name)
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(add_completion=False)
            found.command()(function)
        return typer.main.get_command(found)


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "run": Command(
            "gateway.cli.node:run",
            "Runs a node until it is told to stop (SIGINT, SIGTERM); SIGHUP reloads the dialplan.",
        ),
        "check": Command(
            "gateway.cli.node:check",
            "Validates a configuration and its dialplan: file, line, what is wrong, what to do.",
        ),
        "selftest": Command(
            "gateway.cli.selftest:selftest",
            "Calls itself through WebRTC, dialplan and SIP; tests audio and all digits both ways.",
        ),
        "calls": Command("gateway.cli.calls:calls", "Lists live calls, newest first."),
        "call": Command("gateway.cli.calls:call", "Makes, shows, commands and ends live calls."),
        "trunks": Command(
            "gateway.cli.trunks:trunks",
            "Lists trunks: how they do by the calls of the last 5 minutes, what they "
            "answer when they are asked by OPTIONS, and what failed last.",
        ),
        "cdr": Command(
            "gateway.cli.cdr:cdr",
            "Prints call records, newest first: of the gateway at --url, or out of the database.",
        ),
        "top": Command(
            "gateway.cli.top:top",
            "Shows live calls and the node as they change, until Ctrl-C; once, if this is no "
            "terminal.",
        ),
        "dialplan": Command("gateway.cli.dialplan:app", "Explains and tests dialplans."),
        "keys": Command("gateway.cli.identity:keys", "Makes, lists and revokes API keys."),
        "token": Command(
            "gateway.cli.identity:token",
            "Mints a token for a browser. The page takes it as /#token=TOKEN.",
        ),
        "events": Command(
            "gateway.cli.reference:events",
            "Prints every event with its fields, as Markdown (docs/events.md).",
        ),
        "verbs": Command(
            "gateway.cli.reference:verbs",
            "Prints every verb with its fields and spellings, as Markdown (docs/verbs.md).",
        ),
    }
)


class _Commands(TyperGroup):
    """All commands, to be listed; the one that is called is loaded."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, command in COMMANDS.items():
            self.add_command(TyperCommand(name, help=command.about))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        return name, None if name is None else COMMANDS[name].load(), rest


app = typer.Typer(
    cls=_Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        print(f"gateway {importlib.metadata.version('gateway')}")
        raise typer.Exit


@app.callback()
def gateway(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Puts a phone call into any browser tab and any Python program."""
