"""Keys and tokens as an operator makes them, and a node that knows them."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.support.identified import gateway, running, silent_carrier, written


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    config = written(tmp_path)
    made = gateway(
        "keys",
        "create",
        config,
        "--name",
        "crm",
        "--scope",
        "calls:write",
        "--to",
        "_+1212.",
    )
    key = made.stdout.strip()
    assert re.fullmatch(r"gw_[0-9a-f]{12}_[\w-]{43}", key), made.stderr
    id_, hidden = key.split("_", 2)[1:]
    database = b"".join(path.read_bytes() for path in tmp_path.glob("gateway.sqlite3*"))
    assert id_.encode() in database
    assert hidden.encode() not in database
    listed = gateway("keys", "list", config).stdout
    assert id_ in listed
    assert "good" in listed
    assert hidden not in listed
    assert gateway("keys", "revoke", config, id_).exit_code == 0
    assert "revoked" in gateway("keys", "list", config).stdout
    again = gateway("keys", "revoke", config, id_)
    assert (again.exit_code, again.stdout) == (1, "")


def test_mistakes_are_told_in_words(tmp_path: Path) -> None:
    config = written(tmp_path)
    create = ("keys", "create", config, "--name", "crm", "--scope", "calls:write")
    for arguments, word in [
        (("token", config, "--user", "a/b"), "a user is"),
        (("token", config, "--user", "a", "--seconds", "999999"), "86400"),
        (("token", config, "--user", "a", "--to", "_["), "set"),
        ((*create, "--country", "ZZ"), "no such country: ZZ"),
        ((*create, "--project", "a/b"), "is no name"),
    ]:
        done = gateway(*arguments)
        assert done.exit_code == 1
        assert word in done.stderr
        assert "Traceback" not in done.stderr
    short = gateway("token", config, "--user", "a", secret="short")
    assert "openssl rand" in short.stderr
    (tmp_path / "bare.yaml").write_text("dialplan: plan.yaml\n")
    bare = gateway("token", str(tmp_path / "bare.yaml"), "--user", "a")
    assert (bare.exit_code, "identity.secret is missing" in bare.stderr) == (1, True)


@dataclass
class Keyed:
    """A configuration with a key and a token, and the address of its trunk."""

    config: str
    key: str
    token: str
    trunk: socket.socket


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Keyed]:
    with silent_carrier() as (carrier, trunk):
        config = written(tmp_path, trunks=[carrier])
        create = ("keys", "create", config, "--name", "crm", "--scope", "admin", "--to", "_+1212.")
        key = gateway(*create).stdout.strip()
        token = gateway("token", config, "--user", "alice").stdout.strip()
        yield Keyed(config, key, token, trunk)


def upgrade(token: str) -> dict[str, str]:
    """The headers with which a browser opens the WebSocket."""
    return {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol": f"gateway, token.{token}",
    }


def received(trunk: socket.socket) -> Iterator[str]:
    """The lines of all packets that came."""
    while True:
        try:
            yield from trunk.recv(65535).decode().splitlines()
        except BlockingIOError:
            return


async def test_a_node_lets_in_who_has_a_key_and_only_allowed_numbers_leave(
    keyed: Keyed, tmp_path: Path
) -> None:
    headers = {"Authorization": f"Bearer {keyed.key}"}

    async with running(keyed.config, tmp_path) as (url, node):
        async with aiohttp.ClientSession(url) as client:

            async def calls(number: str, headers: dict[str, str]) -> int:
                body = {"to": {"trunk": "carrier", "number": number}, "program": "echo"}
                async with client.post("/v1/calls", json=body, headers=headers) as response:
                    return response.status

            assert await calls("+12125550100", {}) == 401
            assert await calls("+442079460000", headers) == 403
            assert await calls("+12125550100", headers) == 201
            wish = {"user": "alice", "destinations": ["+12125550100"]}
            async with client.post("/v1/tokens", json=wish, headers=headers) as response:
                minted = (await response.json())["token"]
            for token, status in ((minted, 101), (keyed.token, 101), (minted + "x", 401)):
                async with client.get("/v1/signal", headers=upgrade(token)) as response:
                    assert response.status == status
        assert minted not in node.log
        assert keyed.key not in node.log
    invites = {line for line in received(keyed.trunk) if line.startswith("INVITE sip:")}
    assert len(invites) == 1
    assert "+12125550100@" in invites.pop()
