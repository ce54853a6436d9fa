"""The `gateway run` and `gateway check` commands: a node, and its configuration."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
import uvloop

from gateway.app.files import NodeFiles, read_files
from gateway.app.node import Node
from gateway.app.reload import Reloaded
from gateway.config.document import ConfigError
from gateway.errors import GatewayError
from gateway.observability.logs import configure_logs

SWITCH_SECONDS = 0.0005
"""How long a thread that computes keeps others waiting (Python's own: 5 ms): asyncio's, the SIP
thread, and those that make records of rows."""
ConfigFile = Annotated[Path, typer.Argument(help="The node's configuration, YAML.")]


def _files(config: Path) -> NodeFiles:
    try:
        return read_files(config)
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        raise typer.Exit(1) from None


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
    # What is there now stays: a collection that looks through all of it takes 0.15 s of everybody.
    gc.collect()
    gc.freeze()
    if files.config.demo:
        typer.echo(f"\n  Open {node.http_url} in a browser and call echo or ivr.")
        typer.echo("  Ctrl-C stops the gateway.\n")
    await stop.wait()
    await node.stop()


def check(config: ConfigFile) -> None:
    """Validates a configuration and its dialplan: file, line, what is wrong, what to do."""
    files = _files(config)
    trunks, rules = len(files.config.sip.trunks), len(files.plan.rules)
    typer.echo(f"{config}: valid, {trunks} trunks, {rules} dialplan rules")
