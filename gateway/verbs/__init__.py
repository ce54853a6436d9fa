"""The one vocabulary: what a call can be asked to do, one pydantic model for each verb. Pure.

YAML dialplans, Python programs, REST and webhooks build these models; gateway.calls performs them.
"""

from gateway.verbs.audio import (
    Gather,
    Hold,
    Mute,
    Play,
    Record,
    Say,
    SendDtmf,
    Unhold,
    Unmute,
)
from gateway.verbs.dialling import AfterTalk, Dial, Strategy, Target
from gateway.verbs.fields import MAX_TEXT, Side, Sides, Verb
from gateway.verbs.signalling import Answer, Bridge, Goto, Hangup, Pause, Reject, Ring, Set
from gateway.verbs.step import (
    MAX_STEPS,
    MODELS,
    AnyVerb,
    Http,
    step_from,
    verb_from,
    verbs_from,
)

__all__ = [
    "MAX_STEPS",
    "MAX_TEXT",
    "MODELS",
    "AfterTalk",
    "Answer",
    "AnyVerb",
    "Bridge",
    "Dial",
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
    "Strategy",
    "Target",
    "Unhold",
    "Unmute",
    "Verb",
    "step_from",
    "verb_from",
    "verbs_from",
]
