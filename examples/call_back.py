"""Call-back: nobody is free, so the caller asks to be called back, hangs up, and the phone rings.

config:    apps: ["call_back:app"]      (this file beside the configuration)
dialplan:  - match: _.
             app: support
"""

from __future__ import annotations

from gateway.apps import App, Call

app = App()

TRUNK = "provider"
AGENT = "support"  # the browser user who answers
SECONDS_UNTIL_CALL_BACK = 60.0


@app.call("support")
async def support(call: Call) -> None:
    """Rings the agent; offers a call-back when that brings nobody."""
    await call.dial(user=AGENT, ring_timeout=20)  # a conversation would end the call, too
    wish = await call.gather(
        "Nobody is free. Press one, and we call you back.",
        max_digits=1,
        patterns="1",
        attempts=2,
        not_good="That is no choice.",
    )
    if not wish.good:
        await call.say("Goodbye.")
        call.hangup("No call-back wanted")
    if not call.caller:
        await call.say("We do not see your number. Please call again.")
        call.hangup("No number to call back")
    call.call_out(
        "call-back",
        after=SECONDS_UNTIL_CALL_BACK,
        trunk=TRUNK,
        number=call.caller,
        variables={"asked_in": call.id},
    )
    await call.say("We call you in a minute. Goodbye.")
    call.hangup("Will be called back")


@app.call("call-back")
async def call_back(call: Call) -> None:
    """Speaks with who answered the call-back, and connects."""
    await call.say("You asked us to call you back. We connect you.")
    await call.dial(user=AGENT, ring_timeout=30)
    await call.say("Still nobody is free. We are sorry. Goodbye.")
