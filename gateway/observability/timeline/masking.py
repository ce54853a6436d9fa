"""Owns what a SIP message must not show: credentials, keys and digits are blanked. Pure.

Each blanked byte becomes `x`, and each that is no UTF-8 `?`, so that lengths (Content-Length) stay
true: over TCP they tell where the next message begins. The text may have been cut off anywhere; a
value that is cut off is blanked as far as it goes.
"""

from __future__ import annotations

import re

from gateway.observability.timeline.entries import SipMessage, SipPacket

BLANK = "x"
_MAX_FIELD = 256  # characters of a value that is kept apart from the text

# Header lines may be folded anywhere between their parts (RFC 3261 7.3.1, 25.1).
_LWS = r"(?:[ \t]|\r?\n[ \t])*"
_VALUE = r"[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*"
_CREDENTIALS = re.compile(
    rf"^(?:proxy-)?authorization{_LWS}:{_LWS}(?P<scheme>[^ \t\r\n]+)(?P<value>{_VALUE})",
    re.IGNORECASE | re.MULTILINE,
)
_AUTH_INFO = re.compile(
    rf"^(?:proxy-)?authentication-info{_LWS}:{_VALUE}", re.IGNORECASE | re.MULTILINE
)
# RFC 7616 3.4 and 3.5: what a password can be guessed against.
_RESPONSE = re.compile(
    r"\b(?:response|rspauth)\s*=\s*(?P<quote>\")?(?P<secret>(?(quote)[^\"]*|[^\",\s]*))", re.I
)
# RFC 3261 19.1.1. Bounded, because a head of many `sip:` would take long.
_URI_PASSWORD = re.compile(r"sips?:[^@:;?<>\s\"]{0,128}:(?P<secret>[^@<>\s\"]{0,128})@", re.I)
_MAY_HAVE_PASSWORD = re.compile(_URI_PASSWORD.pattern)  # of text in lower case: much faster
_BODY_SECRETS = (  # by a word without which they are not there
    # RFC 4568 9.1; one without `inline:` is cut off, or strange.
    ("a=crypto", r"^a=crypto:[^\r\n]*?inline:(?P<secret>[^\r\n]*)"),
    ("a=crypto", r"^a=crypto:(?P<secret>(?:(?!inline:)[^\r\n])*)\r?$"),
    ("a=ice-pwd", r"^a=ice-pwd:(?P<secret>[^\r\n]*)"),  # RFC 8839 5.4
    ("a=key-mgmt", r"^a=key-mgmt:(?P<secret>[^\r\n]*)"),  # RFC 4567 3
    ("k=", r"^k=(?P<secret>[^\r\n]*)"),  # RFC 4566 5.12
    ("signal", r"\bsignal[ \t]*=[ \t]*(?P<secret>[^\r\n]*)"),  # application/dtmf-relay
    ("digits", r"\bdigits\s*=\s*\"?(?P<secret>[^\">\r\n]*)"),  # RFC 4730 5.3
)
_BODY_PATTERNS = tuple((word, re.compile(text, re.I | re.M)) for word, text in _BODY_SECRETS)
_NAMES = {"call-id": "call-id", "i": "call-id", "cseq": "cseq"}  # RFC 3261 7.3.3
_CALL_ID = re.compile(rb"^(?:call-id|i)[ \t]*:[ \t]*([^\r\n]{0,256})", re.I | re.M)
_SHOWN = re.compile(r"[^\r\n]+")
_NO_UTF8 = re.compile(r"[\udc80-\udcff]")  # as `surrogateescape` decodes it
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _blank(match: re.Match[str], group: str = "secret") -> str:
    start, end = match.start(group) - match.start(), match.end(group) - match.start()
    whole = match.group()
    return whole[:start] + _hidden(whole[start:end]) + whole[end:]


def _hidden(text: str) -> str:
    return _SHOWN.sub(lambda found: BLANK * len(found[0].encode()), text)


def _blank_credentials(match: re.Match[str]) -> str:
    if match["scheme"].lower() != "digest":
        return _blank(match, "value")  # Basic, Bearer (RFC 8898): all of it is a secret
    return _RESPONSE.sub(_blank, match.group())


def _blank_info(match: re.Match[str]) -> str:
    return _RESPONSE.sub(_blank, match.group())


def blanked(text: str) -> str:
    """A SIP message without secrets and digits; as many bytes as before."""
    head, gap, body = _split(text)
    words = head.lower()
    if "authorization" in words:
        head = _CREDENTIALS.sub(_blank_credentials, head)
    if "authentication-info" in words:
        head = _AUTH_INFO.sub(_blank_info, head)
    if _MAY_HAVE_PASSWORD.search(words):
        head = _URI_PASSWORD.sub(_blank, head)
    if body:
        words = body.lower()
        for word, pattern in _BODY_PATTERNS:
            if word in words:
                body = pattern.sub(_blank, body)
        if _is_info(head) and "signal" not in words:
            body = _hidden(body)  # application/dtmf is nothing but digits
    return head + gap + body


def _split(text: str) -> tuple[str, str, str]:
    found = re.search(r"\r?\n\r?\n", text)
    if found is None:
        return text, "", ""
    return text[: found.start()], found.group(), text[found.end() :]


def _is_info(head: str) -> bool:
    return head[:5].upper() == "INFO "


def sip_call_id(packet: SipPacket) -> str:
    """The Call-ID of a packet, which is found without reading the rest; empty without one."""
    found = _CALL_ID.search(packet.data)
    return found[1].decode("utf-8", "replace").strip() if found else ""


def shown(packet: SipPacket) -> SipMessage:
    """A packet as it may be shown. Bytes that are no UTF-8 are replaced."""
    text = blanked(_NO_UTF8.sub("?", packet.data.decode("utf-8", "surrogateescape")))
    head = _split(text)[0]
    first_line, *lines = head.split("\n")
    fields: dict[str, str] = {}
    for line in lines:
        field, _, value = line.partition(":")
        name = _NAMES.get(field.strip().lower())
        if name is not None and field[0] not in " \t":  # else it goes on from the line before
            fields.setdefault(name, _CONTROL.sub(" ", value).strip()[:_MAX_FIELD])
    return SipMessage(
        at=packet.monotonic,
        sent=packet.sent,
        transport=packet.transport,
        local=packet.local,
        peer=packet.peer,
        first_line=_CONTROL.sub(" ", first_line).strip()[:_MAX_FIELD],
        call_id=fields.get("call-id", ""),
        cseq=fields.get("cseq", ""),
        text=text,
        length=packet.length,
        cut=packet.length > len(packet.data),
    )
