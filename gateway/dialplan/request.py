"""Owns what a dialplan is asked, and what its conditions see. Plain values."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from gateway.ids import DEFAULT_PROJECT

BROWSER_CONTEXT = "browser"
"""Context of calls from browsers, unless the plan says otherwise; calls from a trunk use the
trunk's name."""

MAX_DESTINATION = 64
MAX_VALUE = 1024  # of a header or a caller's identity
_DESTINATION = re.compile(r"[A-Za-z0-9+*#_.~-]+")
"""What may be dialled and put into a SIP URI: nothing here can end or extend one (RFC 3261 19.1),
so `1;transport=tcp` or `1@elsewhere` cannot change where a call goes."""

_NOTHING: Mapping[str, str] = {}


class Origin(enum.StrEnum):
    """Who calls."""

    BROWSER = "browser"
    TRUNK = "trunk"
    KEY = "key"  # an API key starts the call


class Allowing(Protocol):
    """What whoever calls may do by itself, besides what a context's policies say."""

    def refusal(self, number: str, country: str) -> str | None:
        """Why a trunk may not be asked for `number`, without quoting it; None: it may.

        `country`: whose number plan it is in, if it has no `+`.
        """
        ...

    def shown(self, caller: str) -> str:
        """The identity to show where `caller` is asked for; empty: the trunk's own."""
        ...


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a call is. `account`: of the identity that calls ("": nobody's). `allowing` None: it
    may call wherever the plan leads."""

    project: str = DEFAULT_PROJECT
    account: str = field(default="", repr=False)
    allowing: Allowing | None = field(default=None, repr=False)


NOBODY = Owner()


@dataclass(frozen=True, slots=True)
class Request:
    """A call that wants a route. `source`: name of the trunk or API key that it comes from.

    `at` is any aware time; None: rules with times do not match. Header names count without case.
    """

    context: str
    caller: str = field(repr=False)
    callee: str = field(repr=False)  # what was dialled
    origin: Origin = Origin.BROWSER
    source: str = ""
    at: datetime | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    owner: Owner = NOBODY


@dataclass(frozen=True, slots=True)
class Facts:
    """What conditions see: the request with its numbers normalised, where the call is now."""

    request: Request
    context: str
    callee: str = field(repr=False)
    caller: str = field(repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # names in lower case


def dialable(text: str) -> bool:
    """Whether `text` may be a destination."""
    return len(text) <= MAX_DESTINATION and _DESTINATION.fullmatch(text) is not None


def sound(text: str) -> bool:
    """Whether conditions may look at `text`: not endless, and text that can be written as UTF-8."""
    return len(text) <= MAX_VALUE and (text.isascii() or text.isprintable())


def clean_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Headers as conditions see them: names in lower case, unsound values left out."""
    if not headers:
        return _NOTHING
    return {name.lower(): value for name, value in headers.items() if sound(value)}
