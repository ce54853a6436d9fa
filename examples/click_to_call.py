"""Click-to-call, for a server of your own: rings a user's browser tabs, then dials a number.

    GATEWAY_KEY=gw_... python click_to_call.py http://127.0.0.1:8080 alice 3000

The gateway's dialplan decides which numbers its key may reach (docs/how-to/click-to-call.md).
"""

from __future__ import annotations

import asyncio
import os
import sys

from gateway.client import GatewayApiError, GatewayClient, Target

SAID = {
    "unavailable": "{user} has no tab open.",
    "forbidden": "{user} may not be called.",
    "too_many_calls": "All lines are busy. Try again in a minute.",
    "shutting_down": "The gateway is restarting. Try again in a minute.",
    "no_answer_from_gateway": "The gateway does not answer.",
    "not_a_gateway": "The gateway does not answer.",
}
"""What to tell a user, by the error's code."""


async def click_to_call(gateway: GatewayClient, user: str, number: str) -> str:
    """Rings `user`; who answers is connected with `number`. What to tell who clicked."""
    try:
        call = await gateway.calls.create(Target(user=user), callee=number)
    except GatewayApiError as error:
        return SAID.get(error.code, error.detail).format(user=user)
    return f"{user} rings, then {number}: call {call.id}"


async def main(url: str, user: str, number: str) -> str:
    """Places one call; what to tell who clicked."""
    key = os.environ.get("GATEWAY_KEY")  # none in demo mode
    async with GatewayClient(url, key) as gateway:
        return await click_to_call(gateway, user, number)


if __name__ == "__main__":
    print(asyncio.run(main(*sys.argv[1:4])))
