"""The call program of the sentinel test; this file is copied beside the gateway's configuration."""

from __future__ import annotations

import logging
from pathlib import Path

from gateway.apps import App, Call

app = App()
log = logging.getLogger("customer")


@app.call("card")
async def card(call: Call) -> None:
    """Asks for a card's digits, and is careless with its log."""
    log.info("%s calls %s", call.caller, call.callee)
    await call.answer()
    found = await call.gather(max_digits=10, secure=True, first_timeout=20, terminators="")
    log.warning("typed %s", found.digits)
    with Path(__file__).with_name("told.txt").open("a") as file:
        file.write(f"{call.caller} {call.callee} {found.digits}\n")
    await call.set(digits="")
    await call.pause(0.5)
    call.hangup("Thank you")
