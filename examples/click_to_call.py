"""Click-to-call, for a server of your own: rings a user's browser tabs, then dials a number.

    GATEWAY_KEY=gw_... python click_to_call.py http://127.0.0.1:8080 alice 3000

The gateway's dialplan decides which numbers its key may reach (docs/how-to/click-to-call.md).
"""

from __future__ import annotations

import asyncio
import os
import sys
from http import HTTPStatus
from typing import Any

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=10)
SAID = {
    "unavailable": "{user} has no tab open.",
    "forbidden": "{user} may not be called.",
    "too_many_calls": "All lines are busy. Try again in a minute.",
    "shutting_down": "The gateway is restarting. Try again in a minute.",
}
"""What to tell a user, by the problem's code."""


class CallError(Exception):
    """The gateway did not do it. `code` is for programs, `detail` for people (RFC 9457)."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        self.status, self.code, self.detail = status, code, detail
        super().__init__(f"{status} {code}: {detail}")


class Gateway:
    """The calls of a gateway's API. The session has the gateway's address as its base_url, and
    the key as a header."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def click_to_call(self, user: str, number: str) -> str:
        """Rings `user`; who answers is connected with `number`. Returns the call's id while it
        still rings. Raises CallError, and aiohttp.ClientError when the gateway is not there."""
        told = await self._post("/v1/calls", {"to": {"user": user}, "callee": number})
        return str(told["id"])

    async def hang_up(self, call: str, reason: str = "") -> None:
        """Ends a call. Raises CallError (`not_found`: it is over), aiohttp.ClientError."""
        await self._post(f"/v1/calls/{call}/verbs", {"hangup": {"reason": reason}})

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._session.post(path, json=body, timeout=TIMEOUT) as response:
            if response.status < HTTPStatus.BAD_REQUEST:
                told: dict[str, Any] = await response.json()
                return told
            if response.content_type != "application/problem+json":  # a proxy's page, say
                raise CallError(response.status, "unknown", response.reason or "")
            problem = await response.json(content_type=None)
            raise CallError(response.status, problem["code"], problem["detail"])


async def main(url: str, user: str, number: str) -> str:
    """Places one call; what to tell the user."""
    key = os.environ.get("GATEWAY_KEY")  # none in demo mode
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(url, headers=headers) as session:
        try:
            call = await Gateway(session).click_to_call(user, number)
        except CallError as problem:
            return SAID.get(problem.code, problem.detail).format(user=user)
        except aiohttp.ClientError:
            return "The gateway does not answer."
    return f"{user} rings, then {number}: call {call}"


if __name__ == "__main__":
    print(asyncio.run(main(*sys.argv[1:4])))
