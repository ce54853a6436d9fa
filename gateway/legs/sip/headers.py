"""SIP header values: what may go into one, and reading the few that pjsua2 does not hand out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from gateway.errors import BAD_REQUEST, GatewayError, Verdict

MAX_USER_LENGTH: Final = 128
MAX_REASON_LENGTH: Final = 200

# RFC 3261 25.1: unreserved and user-unreserved, without ";" and "?", which careless peers misread.
_USER_SAFE: Final = "-_.!~*'()&=+$,/"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")
_NAME_ADDR: Final = re.compile(
    r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^<"]*?))\s*<(?P<uri>[^>]*)>'
)
_USER: Final = re.compile(r"(?:sips?:(?P<user>[^@:]*)(?::[^@]*)?@|tel:(?P<tel>[^;?]+))", re.I)
_STATUS_LINE: Final = re.compile(r"SIP/2\.0 ([3-6]\d\d) ?(.*)")
_CAUSE: Final = re.compile(r";\s*cause\s*=\s*(\d{1,3})", re.I)
_TEXT: Final = re.compile(r';\s*text\s*=\s*"((?:[^"\\]|\\.)*)"', re.I)
_COMPACT: Final = {  # RFC 3261 7.3.3
    "call-id": "i",
    "contact": "m",
    "content-encoding": "e",
    "content-length": "l",
    "content-type": "c",
    "from": "f",
    "subject": "s",
    "supported": "k",
    "to": "t",
    "via": "v",
}
_TOKEN: Final = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}")
_ONE_LINE: Final = re.compile(r"[\x20-\x7e]{0,1024}")
_FULL: Final = {short: name for name, short in _COMPACT.items()}
MAX_HEADERS: Final = 64
MAX_HEADER_LENGTH: Final = 1024


@dataclass(frozen=True, slots=True)
class Party:
    """Who a From header names: user part of the URI, and the display name."""

    user: str
    name: str


@dataclass(frozen=True, slots=True)
class Reason:
    """A Reason header value with the protocol Q.850 or SIP (RFC 3326)."""

    protocol: str
    cause: int
    text: str


def refuse_control_characters(text: str, what: str) -> str:
    """`text` itself. Raises GatewayError(BAD_REQUEST) if it has CR, LF, NUL or the like: pjsip
    copies header values as they are.
    """
    if _CONTROL.search(text):
        raise GatewayError(BAD_REQUEST, f"{what} contains a control character")
    return text


def printable(text: str, limit: int = MAX_REASON_LENGTH) -> str:
    """`text` of a peer made fit for one line, bytes that were no UTF-8 replaced."""
    valid = text.encode("utf-8", "replace").decode()
    return _CONTROL.sub(" ", valid)[:limit].strip()


def user_part(text: str, what: str) -> str:
    """`text` escaped as the user part of a SIP URI (RFC 3261 25.1).

    Raises GatewayError(BAD_REQUEST) when it is empty, too long or has control characters.
    """
    if not text:
        raise GatewayError(BAD_REQUEST, f"{what} is empty")
    if len(text) > MAX_USER_LENGTH:
        raise GatewayError(BAD_REQUEST, f"{what} is longer than {MAX_USER_LENGTH} characters")
    refuse_control_characters(text, what)
    try:
        return quote(text, safe=_USER_SAFE)
    except UnicodeEncodeError:
        raise GatewayError(BAD_REQUEST, f"{what} is not text") from None


def is_host_name(text: str) -> bool:
    """Whether `text` may stand as a host name in a URI."""
    return _HOST.fullmatch(text) is not None


def reason_value(verdict: Verdict) -> str:
    """The Reason header of RFC 3326 for `verdict`; text that does not fit a header is left out."""
    value = f"Q.850;cause={verdict.q850}"
    if not verdict.text or _CONTROL.search(verdict.text):
        return value
    text = verdict.text[:MAX_REASON_LENGTH].replace("\\", "\\\\").replace('"', '\\"')
    return f'{value};text="{text}"'


def _fields(message: str) -> Iterator[tuple[str, str]]:
    """Names (in lower case, compact forms in full) and values, folded lines joined."""
    head = re.split(r"\r?\n\r?\n", message, maxsplit=1)[0]
    for line in re.sub(r"\r?\n[ \t]+", " ", head).splitlines()[1:]:
        field, colon, value = line.partition(":")
        if colon:
            name = field.strip().lower()
            yield _FULL.get(name, name), value.strip()


def header_values(message: str, name: str) -> list[str]:
    """All values of header `name` in the text of a SIP message."""
    return [value for field, value in _fields(message) if field == name.lower()]


def all_headers(message: str) -> dict[str, str]:
    """The first MAX_HEADERS headers, names in lower case; rows of one name joined by commas (RFC
    3261 7.3.1). Values are printable and at most MAX_HEADER_LENGTH characters.
    """
    found: dict[str, str] = {}
    for name, value in _fields(message):
        if name in found:
            found[name] = printable(f"{found[name]}, {value}", MAX_HEADER_LENGTH)
        elif len(found) < MAX_HEADERS:
            found[name] = printable(value, MAX_HEADER_LENGTH)
    return found


def more_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Headers that a request is to carry besides its own: pjsip copies them as they are, so each
    has to be one token and one line (RFC 3261 25.1). Raises GatewayError(BAD_REQUEST)."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or not _ONE_LINE.fullmatch(value):
            raise GatewayError(BAD_REQUEST, f"no SIP header: {name[:40]!r}")
    return tuple(headers.items())


def body_of(message: str) -> str:
    """What follows the header of a SIP message."""
    parts = re.split(r"\r?\n\r?\n", message, maxsplit=1)
    return parts[1] if len(parts) == 2 else ""


def uri_user(uri: str) -> str:
    """User part of a sip, sips or tel URI, unescaped; empty when it has none."""
    match = _USER.match(uri.strip())
    if match is None:
        return ""
    return printable(unquote(match["user"] or match["tel"] or ""), MAX_USER_LENGTH)


def request_user(message: str) -> str:
    """User part of the Request-URI."""
    words = message.split(maxsplit=2)
    return uri_user(words[1]) if len(words) == 3 else ""


def response_status(message: str) -> tuple[int, str] | None:
    """Status code and reason phrase of a refusing final response; None for any other message."""
    match = _STATUS_LINE.match(message)
    return (int(match[1]), match[2].strip()) if match else None


def from_party(message: str) -> Party:
    """Whom the From header names; empty strings when it says nothing."""
    for value in header_values(message, "From"):
        match = _NAME_ADDR.match(value)
        if match is None:
            return Party(uri_user(value), "")
        quoted = match["quoted"]
        name = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else match["token"].strip()
        return Party(uri_user(match["uri"]), printable(name, MAX_USER_LENGTH))
    return Party("", "")


def reasons(message: str) -> list[Reason]:
    """The Reason headers of a message (RFC 3326); what cannot be read is left out."""
    found = []
    for header in header_values(message, "Reason"):
        for value in re.split(r",(?=\s*(?:SIP|Q\.850)\s*;)", header, flags=re.I):
            cause = _CAUSE.search(value)
            if cause is None:
                continue
            text = _TEXT.search(value)
            said = re.sub(r"\\(.)", r"\1", text[1]) if text else ""
            protocol = value.partition(";")[0].strip().upper()
            found.append(Reason(protocol, int(cause[1]), printable(said)))
    return found
