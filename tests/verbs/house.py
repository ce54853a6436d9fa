"""Owns the one gateway of the verb tests, with its telephones, programs, sounds and web server."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import yaml
from aiohttp import web

from gateway.legs.webrtc.peer import ProbePeer
from tests.support.baresip import Baresip
from tests.support.gateway import Gateway, TrunkTo
from tests.support.processes import HOST, wait_until
from tests.support.tones import Audio, sine, write_wav
from tests.verbs.phone import Phone

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PHONES = ("north", "south")
BARESIP_HZ = 1700
PATIENCE = 15.0
_PROGRAMS = (
    "waits", "rings", "announces", "rejects", "hangs-up", "goes-on", "sets", "gathers",
    "asks-server", "greets",
)  # fmt: skip

Reply = Callable[[web.Request, Any], web.Response]


def write_sounds(folder: Path) -> None:
    """The audio files that tests play."""
    for hz in (440, 880, 1300, 1700):
        write_wav(folder / f"tone{hz}.wav", sine(hz, -12, 0.5, 16_000))
    write_wav(folder / "long1300.wav", sine(1300, -12, 5.0, 16_000))
    low, high = sine(440, -12, 0.6, 16_000), sine(880, -12, 0.6, 16_000)
    both = Audio(_joined(low, high), 16_000)
    write_wav(folder / "low-high.wav", both)


def _joined(*parts: Audio) -> Any:
    return np.concatenate([part.samples for part in parts])


def dialplan(trunks: Sequence[str]) -> dict[str, Any]:
    """Everybody reaches each program by its name; a key also reaches a telephone."""
    apps: list[dict[str, Any]] = [{"match": name, "app": name} for name in _PROGRAMS]
    routed = [
        {"match": "desk", "vars": {"department": "sales"}, "set": {"desk": "7"}, "app": "told"},
        {"match": "_.", "reject": {"status": 404}},
    ]
    if not trunks:
        return {"version": "1", "contexts": {"browser": apps}}
    to_trunk = {"match": "_1XX", "dial": {"trunk": "south", "number": "${callee}"}}
    return {
        "version": "1",
        # Only programs go to `routed`: a key's entry makes it known.
        "entry": {"keys": {"demo": "demo", "nobody": "routed"}},
        "contexts": {
            "browser": apps,
            **dict.fromkeys(trunks, apps),
            "routed": routed,
            "demo": [*apps, to_trunk],
        },
    }


@dataclass
class Requested:
    """What the tests' web server was asked for."""

    path: str
    headers: Mapping[str, str]
    body: str


@dataclass
class House:
    """All of it, running."""

    gateway: Gateway
    folder: Path
    phones: Mapping[str, Phone]
    baresip: Baresip  # at the trunk of its name; tests that need it start it
    http: aiohttp.ClientSession
    web_url: str
    replies: dict[str, Reply] = field(default_factory=dict)
    requested: list[Requested] = field(default_factory=list)

    async def call(self, peer: ProbePeer, to: str) -> str:
        """A browser calls; the call's id."""
        async with self.http.post(
            f"{self.gateway.url}/v1/webrtc/calls",
            params={"to": to},
            data=await peer.offer(),
            headers={"Content-Type": "application/sdp"},
        ) as response:
            text = await response.text()
            assert response.status == 201, text
            location = response.headers["Location"]
        await peer.accept(text)
        return location.rpartition("/")[2]

    async def verb(
        self, call: str, verb: str, parameters: object = None, *, wait: float = 30.0
    ) -> dict[str, Any]:
        """Performs a verb by REST; the answer, which must be no problem."""
        status, answer = await self.try_verb(call, verb, parameters, wait=wait)
        assert status in (200, 202), answer
        return answer

    async def begin(self, call: str, verb: str, parameters: object = None) -> None:
        """Begins a verb, and does not wait for its end."""
        await self.verb(call, verb, parameters, wait=0.0)

    async def try_verb(
        self, call: str, verb: str, parameters: object = None, *, wait: float = 30.0
    ) -> tuple[int, dict[str, Any]]:
        """Performs a verb; status and body."""
        async with self.http.post(
            f"{self.gateway.url}/v1/calls/{call}/verbs",
            params={"wait": str(wait)},
            json={verb: parameters},
        ) as response:
            return response.status, await response.json(content_type=None)

    async def bridge(self, call: str, other: str) -> tuple[int, dict[str, Any]]:
        """POST /v1/calls/{call}/bridge."""
        async with self.http.post(
            f"{self.gateway.url}/v1/calls/{call}/bridge", json={"call": other}
        ) as response:
            return response.status, await response.json(content_type=None)

    async def create(self, **wanted: Any) -> tuple[int, dict[str, Any]]:
        """POST /v1/calls."""
        async with self.http.post(f"{self.gateway.url}/v1/calls", json=wanted) as response:
            return response.status, await response.json(content_type=None)

    def told(self, **facts: object) -> list[dict[str, Any]]:
        """What programs left for the tests, where these facts hold."""
        file = self.folder / "told.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        found = [json.loads(line) for line in lines]
        return [each for each in found if facts.items() <= each.items()]

    async def tells(self, count: int = 1, **facts: object) -> dict[str, Any]:
        """Waits for the `count`th line with these facts."""
        found = await wait_until(
            lambda: self.told(**facts)[count - 1 :], PATIENCE, f"a program tells {facts}"
        )
        told: dict[str, Any] = found[0]
        return told

    def log_of(self, call: str) -> list[str]:
        """The log's lines about a call."""
        return [line for line in self.gateway.log.splitlines() if call in line]

    async def ends(self, call: str) -> str:
        """Waits for a call's end; its line in the log."""
        ended = await wait_until(
            lambda: [line for line in self.log_of(call) if "call.ended" in line],
            PATIENCE,
            f"{call} ends",
        )
        line: str = ended[0]
        return line

    async def answer_web(self, request: web.Request) -> web.StreamResponse:
        """The web server: what a test put into `replies` for the path."""
        body = await request.text()
        self.requested.append(Requested(request.path, dict(request.headers), body))
        return self.replies[request.path](request, body)


@asynccontextmanager
async def running_house(folder: Path) -> AsyncIterator[House]:
    """Starts everything."""
    async with AsyncExitStack() as stack:
        phones = {name: Phone(name, folder / "phones") for name in PHONES}
        (folder / "phones").mkdir(parents=True)
        for phone in phones.values():
            await phone.rtp.open()
            stack.push_async_callback(phone.rtp.close)
        baresip = Baresip(folder / "baresip", tone_hz=BARESIP_HZ)
        node = folder / "node"
        trunks = [TrunkTo(p.name, p.port, calls_in=True) for p in phones.values()]
        gateway = Gateway(node, [*trunks, TrunkTo(baresip.name, baresip.port)])
        write_sounds(node)
        configure(node)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        house = House(gateway, node, phones, baresip, http, "")
        house.web_url = await _serve(house, stack)
        await gateway.start()
        stack.push_async_callback(gateway.stop)
        yield house


def configure(node: Path, trunks: Sequence[str] = PHONES) -> None:
    """Adds programs, recordings and the web to a gateway's configuration, and its dialplan."""
    shutil.copy(Path(__file__).with_name("programs.py"), node / "programs.py")
    config = yaml.safe_load((node / "gateway.yaml").read_text())
    config["apps"] = ["programs:app"]
    config["recordings"] = {"folder": "recordings"}
    config["web"] = {"allow_private": ["127.0.0.0/8"], "timeout": 2, "secret": SECRET}
    config["watch_dialplan"] = False
    (node / "gateway.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (node / "dialplan.yaml").write_text(yaml.safe_dump(dialplan(trunks), sort_keys=False))


async def _serve(house: House, stack: AsyncExitStack) -> str:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", house.answer_web)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, HOST, 0).start()
    return f"http://{HOST}:{runner.addresses[0][1]}"
