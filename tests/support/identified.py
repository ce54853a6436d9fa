"""A node that wants to know who calls: its files, its commands, and the running thing."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from gateway.cli.main import app
from tests.support.processes import HOST, Program, free_ports

SECRET = "a secret of the node, made by openssl rand"
PLAN = """
entry: {keys: {crm: crm}}
contexts:
  browser:
    - {match: echo, echo: }
    - {match: _., dial: {trunk: carrier, number: "${callee}"}}
  crm: [{match: echo, echo: }]
"""


def gateway(*arguments: str, secret: str = SECRET) -> Result:
    """The command, in this process."""
    return CliRunner().invoke(app, arguments, env={"TOKEN_SECRET": secret})


@contextmanager
def silent_carrier() -> Iterator[tuple[dict[str, object], socket.socket]]:
    """A trunk for `written`, `carrier`, which says nothing; and the socket that hears what it is
    sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trunk:
        trunk.bind((HOST, 0))
        trunk.setblocking(False)
        yield {"name": "carrier", "host": HOST, "port": trunk.getsockname()[1]}, trunk


def written(folder: Path, **more: Any) -> str:
    """A node's files; where its configuration is."""
    rtp = free_ports(400)
    node = {
        "http": {"address": HOST, "port": free_ports()},
        "sip": {
            "listen": [{"transport": "udp", "address": HOST, "port": free_ports()}],
            "rtp_port_min": rtp,
            "rtp_port_max": rtp + 399,
            **more,
        },
        "identity": {"secret": "${ENV:TOKEN_SECRET}"},
        "dialplan": "plan.yaml",
    }
    (folder / "plan.yaml").write_text(PLAN)
    config = folder / "node.yaml"
    config.write_text(json.dumps(node))
    return str(config)


@asynccontextmanager
async def running(config: str, folder: Path) -> AsyncIterator[tuple[str, Program]]:
    """The node with this configuration, as a process; where it listens."""
    command = [sys.executable, "-m", "gateway", "run", config]
    async with Program(command, folder, "gateway", {"TOKEN_SECRET": SECRET}) as node:
        await node.ready(lambda: "node.started" in node.log)
        yield re.findall(r"http=(http://\S+)", node.log)[0], node
