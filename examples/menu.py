"""Call programs, each an async function: a menu, and a code that is read out to the caller.

config:    apps: ["menu:app"]      (this file beside the configuration)
dialplan:  - match: "100"
             app: menu
"""

from __future__ import annotations

from gateway.apps import App, Call

app = App()

CODES = {"alice": "4711", "bob": "1234"}


@app.call("menu")
async def menu(call: Call) -> None:
    """One for opening hours, two to hear keys again; anything else asks again."""
    choice = await call.gather(
        "Press one for our opening hours, two to test your keys.",
        max_digits=1,
        patterns=("1", "2"),
        attempts=3,
        nothing_came=("Are you still there?",),
        not_good=("Sorry, that is not on the menu.",),
    )
    if not choice.good:
        await call.say("Please call again.")
    elif choice.digits == "1":
        await call.say("We are open from nine to five.")
    else:
        keys = await call.gather("Press some keys, and pound at the end.", inter_digit_timeout=6)
        await call.say("This is what you pressed.")
        await call.send_dtmf(keys.digits)


@app.call("code")
async def code(call: Call) -> None:
    """Two-factor log-in: reads the caller's code out, twice."""
    digits = CODES.get(call.caller)
    if digits is None:
        call.hangup("Unknown caller")
    for _ in range(2):
        await call.say("Your code is:")
        await call.say(digits, spoken_as="digits")
        await call.pause(1.0)
    await call.say("Goodbye.")
