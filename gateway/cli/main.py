"""The `gateway` command: run, check, verbs, selftest; other commands have files of their own."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated, Literal, cast, get_args

import typer
import uvloop

from gateway.api.event_reference import event_reference
from gateway.app.files import NodeFiles, read_files
from gateway.app.node import Node
from gateway.app.reload import Reloaded
from gateway.cli import dialplan, identity
from gateway.cli.calls import call, calls
from gateway.cli.cdr import cdr
from gateway.cli.selftest import show
from gateway.cli.top import top
from gateway.cli.trunks import trunks
from gateway.config.document import ConfigError
from gateway.config.model import BridgeRate
from gateway.errors import GatewayError
from gateway.observability.logs import configure_logs
from gateway.verbs.reference import reference

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Puts a phone call into any browser tab and any Python program.",
)
app.add_typer(dialplan.app, name="dialplan")
app.add_typer(identity.keys, name="keys")
app.command()(identity.token)
app.add_typer(call, name="call")
app.command()(calls)
app.command()(cdr)
app.command()(top)
app.command()(trunks)
SWITCH_SECONDS = 0.0005
"""How long a thread that computes keeps others waiting (Python's own: 5 ms). What is asked of the
database goes to its thread and back several times, beside the loop and the SIP thread."""
ConfigFile = Annotated[Path, typer.Argument(help="The node's configuration, YAML.")]


def _files(config: Path) -> NodeFiles:
    try:
        return read_files(config)
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        raise typer.Exit(1) from None


@app.command()
def run(
    config: ConfigFile = Path("config/demo.yaml"),
    log_format: Annotated[Literal["console", "json"], typer.Option()] = "console",
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error")] = "info",
) -> None:
    """Runs a node until it is told to stop (SIGINT, SIGTERM); SIGHUP reloads the dialplan."""
    files = _files(config)
    try:
        configure_logs(log_format, log_level)
        sys.setswitchinterval(SWITCH_SECONDS)
        uvloop.run(_run(files))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    except GatewayError as error:
        typer.echo(f"gateway: {error}", err=True)
        raise typer.Exit(1) from None


async def _run(files: NodeFiles) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    node = Node(
        files.config,
        files.plan,
        files.plan_file,
        files.programs,
        files.prompts,
        files.folder,
    )
    reloads: set[asyncio.Task[Reloaded]] = set()

    def reload() -> None:
        task = asyncio.create_task(node.reload_dialplan("SIGHUP"), name="dialplan reload")
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    await node.start()
    if files.config.demo:
        typer.echo(f"\n  Open {node.http_url} in a browser and call echo or ivr.")
        typer.echo("  Ctrl-C stops the gateway.\n")
    await stop.wait()
    await node.stop()


@app.command()
def check(config: ConfigFile) -> None:
    """Validates a configuration and its dialplan: file, line, what is wrong, what to do."""
    files = _files(config)
    trunks, rules = len(files.config.sip.trunks), len(files.plan.rules)
    typer.echo(f"{config}: valid, {trunks} trunks, {rules} dialplan rules")


@app.command()
def events() -> None:
    """Prints every event with its fields, as Markdown (docs/events.md)."""
    print(event_reference(), end="")


@app.command()
def verbs() -> None:
    """Prints every verb with its fields and spellings, as Markdown (docs/verbs.md)."""
    print(reference(), end="")


@app.command()
def selftest(
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    bridge: Annotated[int, typer.Option(help="Bridge rate, Hz: 8000, 16000 or 48000.")] = 16000,
) -> None:
    """Calls itself through WebRTC, dialplan and SIP; tests audio and all digits both ways."""
    if bridge not in get_args(BridgeRate):
        raise typer.BadParameter("write 8000, 16000 or 48000", param_hint="--bridge")
    configure_logs("console", "warning")
    if not show(json, cast("BridgeRate", bridge)):
        raise typer.Exit(1)
