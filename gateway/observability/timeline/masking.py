"""Owns what a SIP message must not show: credentials, keys and digits are blanked. Pure.

A blanked character becomes `x`, so that lengths (Content-Length) stay true. The text may have been
cut off anywhere; a value that is cut off is blanked as far as it goes.
"""

from __future__ import annotations

import re

from gateway.observability.timeline.entries import SipMessage, SipPacket

BLANK = "x"
_MAX_FIELD = 256  # characters of a value that is kept apart from the text

# Header lines, folded ones with what follows (RFC 3261 7.3.1).
_CREDENTIALS = re.compile(
    r"^(?:proxy-)?authorization[ \t]*:[ \t]*(?P<scheme>[^ \t\r\n]+)(?P<value>[^\r\n]*"
    r"(?:\r?\n[ \t][^\r\n]*)*)",
    re.IGNORECASE | re.MULTILINE,
)
_AUTH_INFO = re.compile(
    r"^(?:proxy-)?authentication-info[ \t]*:(?P<value>[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)",
    re.IGNORECASE | re.MULTILINE,
)
# RFC 7616 3.4 and 3.5: what a password can be guessed against.
_RESPONSE = re.compile(r"\b(?:rsp)?(?:response|auth)\s*=\s*\"?(?P<secret>[^\",\r\n]*)", re.I)
_URI_PASSWORD = re.compile(r"\bsips?:[^@:;?<>\s\"]*:(?P<secret>[^@<>\s\"]*)@", re.I)
_BODY_SECRETS = (
    re.compile(r"^a=crypto:[^\r\n]*?inline:(?P<secret>[^\r\n]*)", re.I | re.M),  # RFC 4568 9.1
    re.compile(r"^a=crypto:(?P<secret>(?:(?!inline:)[^\r\n])*)$", re.I | re.M),  # cut, or strange
    re.compile(r"^a=ice-pwd:(?P<secret>[^\r\n]*)", re.I | re.M),  # RFC 8839 5.4
    re.compile(r"^a=key-mgmt:(?P<secret>[^\r\n]*)", re.I | re.M),  # RFC 4567 3
    re.compile(r"^k=(?P<secret>[^\r\n]*)", re.I | re.M),  # RFC 4566 5.12
)
_SIGNAL = re.compile(r"\bsignal[ \t]*=[ \t]*(?P<secret>[^\r\n]*)", re.I)
_KPML_DIGITS = re.compile(r"\bdigits\s*=\s*\"?(?P<secret>[^\">\r\n]*)", re.I)  # RFC 4730 5.3
_FIELD = re.compile(r"^(?P<name>call-id|i|cseq)[ \t]*:[ \t]*(?P<value>[^\r\n]*)", re.I | re.M)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _blank(match: re.Match[str], group: str = "secret") -> str:
    start, end = match.start(group) - match.start(), match.end(group) - match.start()
    whole = match.group()
    hidden = re.sub(r"[^\r\n]", BLANK, whole[start:end])
    return whole[:start] + hidden + whole[end:]


def _blank_credentials(match: re.Match[str]) -> str:
    if match["scheme"].lower() != "digest":
        return _blank(match, "value")  # Basic, Bearer (RFC 8898): all of it is a secret
    return _RESPONSE.sub(_blank, match.group())


def _blank_info(match: re.Match[str]) -> str:
    return _RESPONSE.sub(_blank, match.group())


def blanked(text: str) -> str:
    """A SIP message without secrets and digits; as long as before."""
    head, gap, body = _split(text)
    head = _CREDENTIALS.sub(_blank_credentials, head)
    head = _AUTH_INFO.sub(_blank_info, head)
    head = _URI_PASSWORD.sub(_blank, head)
    if body:
        for pattern in _BODY_SECRETS:
            body = pattern.sub(_blank, body)
        body = _SIGNAL.sub(_blank, body)
        body = _KPML_DIGITS.sub(_blank, body)
        if _is_info(head) and "signal" not in body.lower():
            body = re.sub(r"[^\r\n]", BLANK, body)  # application/dtmf is nothing but digits
    return head + gap + body


def _split(text: str) -> tuple[str, str, str]:
    found = re.search(r"\r?\n\r?\n", text)
    if found is None:
        return text, "", ""
    return text[: found.start()], found.group(), text[found.end() :]


def _is_info(head: str) -> bool:
    return head[:5].upper() == "INFO "


def shown(packet: SipPacket) -> SipMessage:
    """A packet as it may be shown. Bytes that are no UTF-8 are replaced."""
    text = blanked(packet.data.decode("utf-8", "replace"))
    head = _split(text)[0]
    fields: dict[str, str] = {}
    for match in _FIELD.finditer(head):
        name = "call-id" if match["name"].lower() == "i" else match["name"].lower()
        fields.setdefault(name, match["value"].strip()[:_MAX_FIELD])
    first_line = text.partition("\n")[0].strip()
    return SipMessage(
        at=packet.monotonic,
        sent=packet.sent,
        transport=packet.transport,
        local=packet.local,
        peer=packet.peer,
        first_line=_CONTROL.sub(" ", first_line)[:_MAX_FIELD],
        call_id=fields.get("call-id", ""),
        cseq=fields.get("cseq", ""),
        text=text,
        length=packet.length,
        cut=packet.length > len(packet.data),
    )
