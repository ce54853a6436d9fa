"""The demo IVR in Python: asks for up to four digits, reads them back, says goodbye, hangs up.

The same in YAML is dialplans/demo-ivr.yaml; tests/apps/test_demo_ivr.py holds the two together.
"""

from __future__ import annotations

from gateway.apps import App, Call

app = App()


@app.call("demo-ivr")
async def demo_ivr(call: Call) -> None:
    """Asks three times at most."""
    keys = await call.gather(
        "Please enter up to four digits. Press pound when you are done.",
        max_digits=4,
        attempts=3,
        nothing_came="Sorry, I did not get any digits.",
    )
    if keys.digits:
        await call.say("You entered:")
        await call.say(keys.digits, spoken_as="digits")
    await call.say("Thank you. Goodbye.")
    call.hangup("The demo is over")
