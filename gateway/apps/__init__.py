"""Call programs in Python: an async function that is given a call.

from gateway.apps import App, Call

app = App()

@app.call("support")
async def support(call: Call) -> None:
    wish = await call.gather("Press one for sales, two for support.", max_digits=1)
    ...
"""

from gateway.apps.app import App
from gateway.apps.call import Call
from gateway.calls.programs import Dialled
from gateway.calls.programs.gather import Gathered, Reason
from gateway.calls.programs.performing import Fetched, Recorded
from gateway.verbs import Play, Say

__all__ = ["App", "Call", "Dialled", "Fetched", "Gathered", "Play", "Reason", "Recorded", "Say"]
