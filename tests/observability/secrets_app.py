"""The call program of the sentinel test; this file is copied beside the gateway's configuration."""

from __future__ import annotations

import logging
from pathlib import Path

from gateway.apps import App, Call

app = App()
log = logging.getLogger("customer")


def tell(line: str) -> None:
    """For the test alone."""
    with Path(__file__).with_name("told.txt").open("a") as file:
        file.write(line + "\n")


@app.call("card")
async def card(call: Call) -> None:
    """Asks for a card's digits, and is careless with its log."""
    log.info("%s calls %s", call.caller, call.callee)
    await call.answer()
    tell("asks")
    found = await call.gather(max_digits=10, secure=True, first_timeout=20, terminators="")
    log.warning("typed %s", found.digits)
    tell(f"{call.caller} {call.callee} {found.digits}")
    await call.set(digits="")
    await call.pause(0.5)
    call.hangup("Thank you")
