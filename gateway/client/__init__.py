"""A typed client of the gateway's API, for asyncio. Loads nothing that runs a gateway.

It speaks in the models that the API itself validates with and answers with (gateway.contract), and
in the verbs of gateway.verbs.
"""

from gateway.client.errors import GatewayApiError
from gateway.client.events import CallEvent
from gateway.client.gateway import GatewayClient
from gateway.verbs import (
    Answer,
    Bridge,
    Dial,
    Gather,
    Goto,
    Hangup,
    Hold,
    Http,
    Mute,
    Pause,
    Play,
    Record,
    Reject,
    Ring,
    Say,
    SendDtmf,
    Set,
    Side,
    Sides,
    Target,
    Unhold,
    Unmute,
)

__all__ = [
    "Answer",
    "Bridge",
    "CallEvent",
    "Dial",
    "GatewayApiError",
    "GatewayClient",
    "Gather",
    "Goto",
    "Hangup",
    "Hold",
    "Http",
    "Mute",
    "Pause",
    "Play",
    "Record",
    "Reject",
    "Ring",
    "Say",
    "SendDtmf",
    "Set",
    "Side",
    "Sides",
    "Target",
    "Unhold",
    "Unmute",
]
