"""Owns what logs must not show: one structlog processor that masks it, wherever it stands.

Credentials are masked at every level; digits, phone numbers and SIP user parts above debug.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

MASK = "***"
_DEEPEST = 8

CREDENTIAL_KEYS = frozenset(
    {
        "authorization",
        "credential",
        "credentials",
        "ice_pwd",
        "password",
        "proxy_authorization",
        "secret",
        "srtp_key",
        "token",
    }
)
PRIVATE_KEYS = frozenset(
    {
        "callee",
        "caller",
        "caller_name",
        "destination",
        "dialled",
        "digit",
        "digits",
        "from",
        "from_uri",
        "number",
        "numbers",
        "to",
        "to_uri",
    }
)
PLAIN_KEYS = frozenset(
    {"call", "call_id", "leg", "leg_id", "level", "logger", "timestamp", "sequence", "lineno"}
)
"""Values that the gateway made up itself: they may look like numbers, and never are."""

_PARTIES: ContextVar[set[str] | None] = ContextVar("parties", default=None)
"""Numbers of the call that this task works for: short ones look like any other word."""

_CREDENTIALS = (
    re.compile(r"(?i)((?:proxy-)?authorization:\s*).+"),
    re.compile(r"(?i)\b((?:password|credential|secret|token|nonce|response)\s*[=:]\s*)[^\s,;&]+"),
    re.compile(r"(?i)(a=ice-pwd:|inline:)\S+"),
    re.compile(r"\b(gw_[0-9a-f]{12}_)[\w-]+"),  # API keys: the id may be told
    re.compile(r"()\beyJ[\w-]+\.[\w-]+\.[\w-]*"),  # JSON Web Tokens: their first part begins so
)
_PRIVATE = (
    # What pydantic quotes of a value that it refuses.
    re.compile(r"(?s)(\binput_value=).+?(?=, input_type=)"),
    # The user part of a SIP URI, or of a tel URI (RFC 3261 19.1, RFC 3966).
    re.compile(r"(?i)\b(sips?:)[^@\s<>;]+(?=@)"),
    re.compile(r"(?i)\b(tel:)[^\s<>;,]+"),
    # Destinations in a request line: `?to=...`.
    re.compile(r"(?i)([?&](?:to|from|number|digits?)=)[^&\s\"']+"),
    # E.164 and what people make of it: 7 digits or more, alone or with separators between them.
    # Dots are no separator: an address or a version would be one.
    re.compile(r"()(?<!\w)(?<!\d\.)\+?\(?\d(?:[ ()-]{0,2}\d){6,}(?!\w|\.\d)"),
    re.compile(r"(?i)(%2B)\d{2,}"),  # a plus in a URL
    re.compile(r"()\+\d{2,}"),
)


def begin_private(*parties: str) -> None:
    """These numbers, and no longer those of whoever started this task, are hidden wherever it or a
    task that it starts logs text above debug."""
    _PARTIES.set(set(parties))


def keep_private(party: str) -> None:
    """One number more, in a task that has called `begin_private`."""
    parties = _PARTIES.get()
    if parties is not None:
        parties.add(party)


def redact(
    logger: object, method: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor; the entry's own `level` counts before the method's name.

    Put it last before the renderer, after tracebacks have become text.
    """
    level = str(entry.get("level", method)).lower()
    private = level != "debug"
    for key, value in entry.items():
        entry[key] = _masked(key, value, private, 0)
    return entry


def _masked(key: str, value: Any, private: bool, depth: int) -> Any:
    name = key.lower().replace("-", "_")
    if name in CREDENTIAL_KEYS or (private and name in PRIVATE_KEYS):
        return value if value is None or value == "" else MASK
    if name in PLAIN_KEYS or value is None or isinstance(value, bool | int | float):
        return value
    if depth >= _DEEPEST:
        return MASK
    if isinstance(value, Mapping):
        return {str(k): _masked(str(k), item, private, depth + 1) for k, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked("", item, private, depth + 1) for item in value]
    # Anything else would be rendered by str or repr: do it here, where it can be seen.
    return masked_text(value if isinstance(value, str) else repr(value), private=private)


def masked_text(text: str, *, private: bool = True) -> str:
    """`text` without credentials and, if `private`, without what looks like a number."""
    for pattern in _CREDENTIALS:
        text = pattern.sub(rf"\g<1>{MASK}", text)
    if private:
        for pattern in _PRIVATE:
            text = pattern.sub(rf"\g<1>{MASK}", text)
        for party in filter(_tells, _PARTIES.get() or ()):
            text = _alone(party).sub(MASK, text)
    return text


@lru_cache(maxsize=4096)
def _alone(party: str) -> re.Pattern[str]:
    """A number where it stands alone, or behind an escape of a URL: 600 is no part of 16000."""
    before = r"(?:(?<!\w)|(?<=%[0-9A-Fa-f]{2}))" if party[0].isalnum() else ""
    after = r"(?!\w)" if party[-1].isalnum() else ""
    return re.compile(before + re.escape(party) + after)


def _tells(party: str) -> bool:
    """Whether it is to be hidden: a name without digits may be any word of a line, and so may one
    digit alone."""
    return len(party) > 1 and any(character.isdigit() for character in party)
