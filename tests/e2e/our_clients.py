"""Our own client and command line, as tests/e2e/clients.py has those of others."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from gateway.client import GatewayClient, SendDtmf, Side, Target


class OurClient:
    """gateway.client."""

    def __init__(self, gateway: GatewayClient) -> None:
        self._gateway = gateway

    async def create(self, user: str, callee: str) -> str:
        return (await self._gateway.calls.create(Target(user=user), callee=callee)).id

    async def show(self, call: str) -> dict[str, Any]:
        return (await self._gateway.calls.get(call)).model_dump(mode="json")

    async def tone(self, call: str, digit: str, side: str) -> None:
        await self._gateway.calls.perform(call, SendDtmf(digits=digit, leg=Side(side)))

    async def ids(self) -> list[str]:
        return [call.id async for call in self._gateway.calls.list()]

    async def hang_up(self, call: str) -> None:
        await self._gateway.calls.hang_up(call)


class CommandLine:
    """`gateway call` and `gateway calls`."""

    def __init__(self, url: str) -> None:
        self._environment = os.environ | {"GATEWAY_URL": url}

    async def create(self, user: str, callee: str) -> str:
        return (await self.told("call", "make", "--user", user, "--callee", callee)).strip()

    async def show(self, call: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.told("call", "show", call, "--json"))
        return found

    async def tone(self, call: str, digit: str, side: str) -> None:
        step = f"send_dtmf: {{digits: '{digit}', leg: {side}}}"
        assert await self.told("call", "verb", call, step) == ""

    async def ids(self) -> list[str]:
        lines = (await self.told("calls", "--json")).splitlines()
        return [json.loads(line)["id"] for line in lines]

    async def hang_up(self, call: str) -> None:
        await self.told("call", "hangup", call)

    async def told(self, *words: str) -> str:
        """What a command prints that ends well."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", *words,
            env=self._environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert (process.returncode, err) == (0, b""), err.decode()
        return out.decode()
