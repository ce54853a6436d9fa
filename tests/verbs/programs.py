"""The call programs of the tests; this file is copied beside the gateway's configuration."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from gateway.apps import App, Call

app = App()
HERE = Path(__file__).parent


def tell(call: Call, **facts: object) -> None:
    """Leaves a line for the test."""
    with (HERE / "told.jsonl").open("a") as file:
        file.write(json.dumps({"call": call.id, "callee": call.callee, **facts}) + "\n")


@app.call("waits")
async def waits(call: Call) -> None:
    """Takes the call, and leaves it to commands."""
    await call.answer()
    tell(call)
    await call.pause(120)


@app.call("rings")
async def rings(call: Call) -> None:
    """Does not even answer."""
    tell(call)
    await call.pause(120)


@app.call("announces")
async def announces(call: Call) -> None:
    """180, then early media until #, then the answer."""
    await call.ring()
    await asyncio.sleep(0.5)
    await call.ring(early_media=True)
    await call.play("tone440.wav", loop=0, stop_on="#")
    await call.answer()
    await call.pause(120)


@app.call("rejects")
async def rejects(call: Call) -> None:
    """Busy."""
    await call.reject(486, "Try the other one")


@app.call("hangs-up")
async def hangs_up(call: Call) -> None:
    """Answers, and ends it."""
    await call.answer()
    await call.pause(0.5)
    call.hangup("Closed on Sundays")


@app.call("goes-on")
async def goes_on(call: Call) -> None:
    """Dials, and says what came of it; after the talk it goes on."""
    await call.answer()
    dialled = await call.dial(trunk="north", number="100", after_talk="go_on", max_duration=1.5)
    tell(call, status=dialled.status, talk_ms=dialled.talk_ms)
    await call.play("tone440.wav", loop=0)


@app.call("sets")
async def sets(call: Call) -> None:
    """Sets variables, and goes where the dialplan sends such callers."""
    await call.set(department="sales", tries="2")
    await call.goto("routed", "desk")


@app.call("told")
async def told(call: Call) -> None:
    """Says how it was reached."""
    tell(call, variables=dict(call.variables))
    await call.answer()
    await call.play("tone880.wav", loop=0)


@app.call("gathers")
async def gathers(call: Call) -> None:
    """Asks twice, with a pattern."""
    found = await call.gather(
        "Please press your favourite number, and take all the time that you want for it.",
        min_digits=2,
        patterns=("_4X",),
        attempts=2,
        not_good=("No.",),
        first_timeout=15,
    )
    tell(call, digits=found.digits, good=found.good)
    call.hangup("gathered")


@app.call("asks-server")
async def asks_server(call: Call) -> None:
    """Does what a server says; its address is a variable of the call."""
    await call.http(call.variables["url"])


@app.call("greets")
async def greets(call: Call) -> None:
    """Speaks, and asks for a key."""
    await call.say("Hello. This is the gateway that is calling you.")
    keys = await call.gather(max_digits=1)
    tell(call, digits=keys.digits, variables=dict(call.variables))
    call.hangup("Thank you")
