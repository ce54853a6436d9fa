"""The demo IVR: asks for digits, reads them back digit by digit, says goodbye and hangs up."""

from __future__ import annotations

from gateway.calls.programs.base import ProgramContext
from gateway.calls.programs.performing import perform
from gateway.errors import NORMAL, Verdict
from gateway.speech.values import Kind
from gateway.verbs import Gather, Say

ASK = "Please enter up to four digits. Press pound when you are done."
NOTHING_CAME = "Sorry, I did not get any digits."
READ_BACK = "You entered:"
GOODBYE = "Thank you. Goodbye."
TEXTS = (ASK, NOTHING_CAME, READ_BACK, GOODBYE)
"""What the gateway renders before the first call."""

QUESTION = Gather(question=(ASK,), max_digits=4, attempts=3, nothing_came=(NOTHING_CAME,))


async def ivr(context: ProgramContext) -> Verdict:
    """Answers, and runs to its end, or until the caller hangs up."""
    gathered = await perform(context, QUESTION)
    if gathered.digits:
        await perform(context, Say(text=READ_BACK))
        await perform(context, Say(text=gathered.digits, spoken_as=Kind.DIGITS))
    await perform(context, Say(text=GOODBYE))
    return NORMAL.because("The program ended")
