"""TURN credentials, as a real server (coturn) sees them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aioice.stun import TransactionFailed
from aioice.turn import create_turn_endpoint
from pydantic import SecretStr

from gateway.config.identity import TurnConfig
from gateway.identity.turn import TurnCredentials, turn_credentials
from tests.support.processes import HOST, Program, free_ports

SECRET = "shared with the server"


@pytest.fixture
async def turn(tmp_path: Path) -> AsyncIterator[TurnConfig]:
    """A TURN server, configured as docs/identity.md says."""
    port, relay = free_ports(2), free_ports(10)
    arguments = ["turnserver", "-n", "--no-cli", "--no-tls", "--no-dtls", "--use-auth-secret"]
    arguments += [f"--static-auth-secret={SECRET}", "--realm=example.org"]
    arguments += ["--allow-loopback-peers", "--fingerprint", "--log-file=stdout", "--simple-log"]
    arguments += [f"--listening-ip={HOST}", f"--relay-ip={HOST}", f"--listening-port={port}"]
    arguments += [f"--min-port={relay}", f"--max-port={relay + 9}"]
    arguments += [f"--pidfile={tmp_path / 'turn.pid'}", f"--userdb={tmp_path / 'turn.db'}"]
    async with Program(arguments, tmp_path, "turnserver") as server:
        await server.ready(lambda: "SQLite DB connection success" in server.log)
        yield TurnConfig(urls=[f"turn:{HOST}:{port}"], secret=SecretStr(SECRET), ttl=600)


async def allocates(found: TurnCredentials) -> bool:
    """Whether the server gives an allocation for these credentials (RFC 8656 7)."""
    port = int(found.urls[0].rpartition(":")[2])
    try:
        transport, _ = await create_turn_endpoint(
            asyncio.DatagramProtocol,
            server_addr=(HOST, port),
            username=found.username,
            password=found.credential,
        )
    except TransactionFailed as refused:
        if refused.response.attributes["ERROR-CODE"][0] != 401:
            raise
        return False
    transport.close()
    return True


async def test_the_server_takes_credentials_while_they_are_good(turn: TurnConfig) -> None:
    now = datetime.now(UTC)
    assert await allocates(turn_credentials(turn, "sales/alice", now))
    assert await allocates(turn_credentials(turn, "", now))
    assert not await allocates(turn_credentials(turn, "alice", now - timedelta(seconds=700)))
    good = turn_credentials(turn, "alice", now)
    later = TurnCredentials(good.urls, good.username.replace("alice", "mallory"), good.credential)
    assert not await allocates(later)
    wrong = turn.model_copy(update={"secret": SecretStr("another")})
    assert not await allocates(turn_credentials(wrong, "alice", now))
