"""Programs that drive a call over HTTP and share no code with the gateway: curl, and a client that
was generated from the OpenAPI document."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Protocol


class Drives(Protocol):
    """Makes, shows, commands and ends calls."""

    async def create(self, user: str, callee: str) -> str:
        """Calls `user`, who then dials `callee`; the call's id."""
        ...

    async def show(self, call: str) -> dict[str, Any]:
        """The live call."""
        ...

    async def tone(self, call: str, digit: str, side: str) -> None:
        """Sends a digit to one side."""
        ...

    async def ids(self) -> list[str]:
        """All live calls."""
        ...

    async def hang_up(self, call: str) -> None:
        """Ends the call."""
        ...


class Curl:
    """The shell's way."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def create(self, user: str, callee: str) -> str:
        wanted = {"to": {"user": user}, "callee": callee}
        made = await self._curl("POST", "/v1/calls", wanted)
        return str(made["id"])

    async def show(self, call: str) -> dict[str, Any]:
        found: dict[str, Any] = await self._curl("GET", f"/v1/calls/{call}")
        return found

    async def tone(self, call: str, digit: str, side: str) -> None:
        step = {"send_dtmf": {"digits": digit, "leg": side}}
        done = await self._curl("POST", f"/v1/calls/{call}/verbs", step)
        assert done["state"] == "done"

    async def ids(self) -> list[str]:
        return [call["id"] for call in (await self._curl("GET", "/v1/calls"))["calls"]]

    async def hang_up(self, call: str) -> None:
        await self._curl("DELETE", f"/v1/calls/{call}")

    async def _curl(self, method: str, path: str, body: object = None) -> Any:
        command = ["curl", "--silent", "--show-error", "--fail-with-body", "-X", method]
        if body is not None:
            command += ["--json", json.dumps(body)]
        told = await _output([*command, self._url + path])
        return json.loads(told) if told else None


class Generated:
    """What openapi-python-client makes of the document of the running gateway."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder

    async def generate(self) -> None:
        """Makes the client; a warning is a failure."""
        generator = str(Path(sys.executable).with_name("openapi-python-client"))
        config = self._folder / "generator.yaml"
        # It has to be told that these are bytes.
        octets = {"audio/*": "application/octet-stream"}
        octets |= {"application/vnd.tcpdump.pcap": "application/octet-stream"}
        config.write_text(json.dumps({"content_type_overrides": octets}))
        await _output(
            [
                generator, "generate", "--url", f"{self._url}/v1/openapi.json", "--meta", "none",
                "--output-path", str(self._folder / "client"), "--fail-on-warning",
                "--config", str(config),
            ]
        )  # fmt: skip

    async def create(self, user: str, callee: str) -> str:
        return await self._run(
            "from client.api.calls import create_call\n"
            "from client.models import NewCall, Target\n"
            f"wanted = NewCall(to=Target(user={user!r}), callee={callee!r})\n"
            "print(create_call.sync(client=client, body=wanted).id)"
        )

    async def show(self, call: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            await self._run(
                "from client.api.calls import get_call\n"
                "import json\n"
                f"print(json.dumps(get_call.sync({call!r}, client=client).to_dict()))"
            )
        )
        return found

    async def tone(self, call: str, digit: str, side: str) -> None:
        state = await self._run(
            "from client.api.calls import command_call\n"
            "from client.models import SendDtmf, SendDtmfStep, Side\n"
            f"verb = SendDtmf(digits={digit!r}, leg=Side({side!r}))\n"
            "step = SendDtmfStep(send_dtmf=verb)\n"
            f"print(command_call.sync({call!r}, client=client, body=step).state)"
        )
        assert state == "done"

    async def ids(self) -> list[str]:
        told = await self._run(
            "from client.api.calls import list_calls\n"
            "print(*[call.id for call in list_calls.sync(client=client).calls])"
        )
        return told.split()

    async def hang_up(self, call: str) -> None:
        status = await self._run(
            "from client.api.calls import hang_up_call\n"
            f"print(int(hang_up_call.sync_detailed({call!r}, client=client).status_code))"
        )
        assert status == "204"

    async def _run(self, script: str) -> str:
        prologue = f"from client import Client\nclient = Client(base_url={self._url!r})\n"
        return await _output([sys.executable, "-c", prologue + script], self._folder)


async def _output(command: list[str], folder: Path | None = None) -> str:
    """What a program prints. Raises AssertionError: it failed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=os.environ | {"PATH": path},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()
    return told.decode().strip()
