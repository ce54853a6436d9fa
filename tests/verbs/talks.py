"""Owns calls that are joined already: a browser's leg and a telephone, each with its tone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from gateway.legs.webrtc.peer import ProbePeer
from tests.sip.sipp import Sipp
from tests.support.processes import wait_until
from tests.verbs.hearing import PATIENCE, hears
from tests.verbs.house import House
from tests.verbs.phone import Phone

BROWSER_HZ, PHONE_HZ = 600, 2100


@dataclass
class Talk:
    """Who talks. `call`: the call's id; `sip`: the telephone's side of it."""

    call: str
    peer: ProbePeer
    phone: Phone
    sip: Sipp


@asynccontextmanager
async def talking(house: House, peer: ProbePeer, phone: Phone) -> AsyncIterator[Talk]:
    """A browser's call that a program took and that then dialled a telephone; both send their tone
    and hear the other's. The gateway ends it."""
    async with phone.follows(phone.answers()) as sip:
        call = await house.call(peer, "waits")
        await house.begin(call, "dial", {"trunk": phone.name, "number": "100"})
        peer.start_tone(BROWSER_HZ)
        phone.rtp.start_tone(PHONE_HZ)
        await hears(phone.rtp, BROWSER_HZ)
        await hears(peer, PHONE_HZ)
        yield Talk(call, peer, phone, sip)
        await house.verb(call, "hangup")
        await sip.done()


@dataclass
class Tab:
    """A browser's tab of a signed-in user: its WebSocket, and the leg that it answers with."""

    socket: aiohttp.ClientWebSocketResponse
    peer: ProbePeer
    messages: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, kind: str, **fields: Any) -> None:
        """One message of the signalling protocol."""
        await self.socket.send_str(json.dumps({"v": 1, "type": kind, **fields}))

    async def next(self, kind: str) -> dict[str, Any]:
        """Waits for the first message of a type."""
        found = await wait_until(
            lambda: [each for each in self.messages if each["type"] == kind], PATIENCE, kind
        )
        message: dict[str, Any] = found[0]
        return message

    async def answer(self) -> None:
        """Takes the call that rings."""
        call = await self.next("call")
        await self.send("answer", call=call["call"], sdp=await self.peer.offer())
        answer = await self.next("answer")
        await self.peer.accept(answer["sdp"])

    async def read(self) -> None:
        """Keeps what comes, until the socket closes."""
        async for message in self.socket:
            self.messages.append(json.loads(message.data))


@asynccontextmanager
async def signed_in(house: House, user: str, peer: ProbePeer) -> AsyncIterator[Tab]:
    """A user's tab, which rings when the user is called."""
    async with house.http.ws_connect(f"{house.gateway.url}/v1/signal") as socket:
        tab = Tab(socket, peer)
        reading = asyncio.create_task(tab.read(), name="tab")
        try:
            await tab.send("hello", user=user)
            await tab.next("hello")
            yield tab
        finally:
            await socket.close()
            await reading
