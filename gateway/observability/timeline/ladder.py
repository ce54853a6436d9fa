"""Owns the ladder: a call's SIP messages as a Mermaid sequence diagram. Pure.

What peers write (reason phrases, methods) is data: only letters, digits and a few marks of it reach
the diagram, so that nothing can end a statement, open a block or bring markup.
"""

from __future__ import annotations

import re

from gateway.events import LegAdded, LegTransport
from gateway.ids import LegId
from gateway.observability.timeline.entries import Happened, SipMessage, SipSeen, Timeline
from gateway.ports import LegKind

_UNSAFE = re.compile(r"[^A-Za-z0-9._/+()-]+")
_MAX_LABEL = 60
_RESPONSE = re.compile(r"SIP/2\.0 (\d{3})(.*)")


def ladder(timeline: Timeline) -> str:
    """The diagram: one participant for each leg that says something, and the gateway."""
    shown = [
        entry
        for entry in timeline.entries
        if isinstance(entry, SipSeen)
        or (isinstance(entry, Happened) and isinstance(entry.envelope.event, LegTransport))
    ]
    heard = {_leg_of(entry) for entry in shown}
    names = {
        leg: (f"L{number}", _title(added))
        for number, (leg, added) in enumerate(timeline.legs.items(), start=1)
        if leg in heard
    }
    participants = [f"    participant {name} as {title}" for name, title in names.values()]
    lines = ["sequenceDiagram", *participants[:1], "    participant G as gateway"]
    lines += participants[1:]
    seen: set[tuple[str, bool]] = set()
    for entry in shown:
        leg = _leg_of(entry)
        if leg not in names:
            continue
        name, when = names[leg][0], f"{timeline.offset_ms(entry.at):+.0f} ms"
        if isinstance(entry, SipSeen):
            message = entry.message
            again = (message.text, message.sent) in seen
            seen.add((message.text, message.sent))
            arrow = f"G->>{name}" if message.sent else f"{name}->>G"
            label = _label(message) + (" again" if again else "")
            lines.append(f"    {arrow}: {label} ({when})")
        elif isinstance(event := entry.envelope.event, LegTransport):
            detail = f" {event.detail}" if event.detail else ""
            text = _safe(f"{event.layer.upper()} {event.state}{detail}")
            lines.append(f"    Note over {name},G: {text} ({when})")
    return "\n".join(lines) + "\n"


def _leg_of(entry: SipSeen | Happened) -> LegId:
    if isinstance(entry, SipSeen):
        return entry.leg
    event = entry.envelope.event
    assert isinstance(event, LegTransport), "others are not shown"
    return event.leg


def _title(added: LegAdded) -> str:
    if added.kind is LegKind.WEBRTC:
        return f"browser ({added.role})"
    return _safe(f"trunk {added.trunk or ''} ({added.role})")


def _label(message: SipMessage) -> str:
    response = _RESPONSE.match(message.first_line)
    what = f"{response[1]}{response[2]}" if response else message.first_line.partition(" ")[0]
    method = message.cseq.partition(" ")[2]
    if response and method not in ("", "INVITE"):
        what += f" ({method})"
    if re.search(r"^(?:content-type|c)[ \t]*:[ \t]*application/sdp", message.text, re.I | re.M):
        what += " + SDP"
    return _safe(what) or "message"


def _safe(text: str) -> str:
    return _UNSAFE.sub(" ", text).strip()[:_MAX_LABEL].strip()
