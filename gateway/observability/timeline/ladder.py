"""Owns the ladder: a call's SIP messages as a Mermaid sequence diagram. Pure.

What peers write (reason phrases, methods) is data: only letters, digits and a few marks of it reach
the diagram, so that nothing can end a statement, open a block or bring markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from gateway.events import LegAdded, LegTransport
from gateway.ids import LegId
from gateway.observability.timeline.entries import Happened, SipMessage, SipSeen, Timeline
from gateway.ports import LegKind

_UNSAFE = re.compile(r"[^A-Za-z0-9._/+()-]+")
_MAX_LABEL = 60
_MAX_TEXT = 49_000
"""Characters; of more than 50,000 Mermaid draws nothing (`maxTextSize`)."""
_RESPONSE = re.compile(r"SIP/2\.0 (\d{3})(.*)")


def ladder(timeline: Timeline) -> str:
    """The diagram: one participant for each leg that says something, and the gateway.

    Its beginning and its end, where all would be more than Mermaid draws.
    """
    numbers = {leg: number for number, leg in enumerate(timeline.legs, start=1)}
    titles = {
        leg: f"    participant L{numbers[leg]} as {_title(added)}"
        for leg, added in timeline.legs.items()
    }
    said = [(leg, f"    {text}") for leg, text in _said(timeline, numbers)]
    first = _fitting(said, titles)
    last = _fitting(said[len(first) :][::-1], titles)[::-1]
    there = {leg for leg, _ in (*first, *last)}
    participants = [title for leg, title in titles.items() if leg in there]
    lines = ["sequenceDiagram", *participants[:1], "    participant G as gateway"]
    lines += participants[1:]
    lines += [text for _, text in first]
    left_out = len(said) - len(first) - len(last)
    if left_out:
        lines.append(f"    Note over G: {left_out} more left out here")
    lines += [text for _, text in last]
    return "\n".join(lines) + "\n"


def _said(timeline: Timeline, numbers: Mapping[LegId, int]) -> Iterator[tuple[LegId, str]]:
    """What legs say and become, as statements, in order."""
    seen: set[tuple[str, bool]] = set()
    for entry in timeline.entries:
        when = f"({timeline.offset_ms(entry.at):+.0f} ms)"
        if isinstance(entry, SipSeen):
            if entry.leg not in numbers:
                continue
            message, name = entry.message, f"L{numbers[entry.leg]}"
            again = " again" if (message.text, message.sent) in seen else ""
            seen.add((message.text, message.sent))
            arrow = f"G->>{name}" if message.sent else f"{name}->>G"
            yield entry.leg, f"{arrow}: {_label(message)}{again} {when}"
        elif isinstance(entry, Happened) and isinstance(
            event := entry.envelope.event, LegTransport
        ):
            if event.leg not in numbers:
                continue
            text = _safe(f"{event.layer.upper()} {event.state} {event.detail}")
            yield event.leg, f"Note over L{numbers[event.leg]},G: {text} {when}"


def _fitting(
    said: Sequence[tuple[LegId, str]], titles: Mapping[LegId, str]
) -> list[tuple[LegId, str]]:
    """As many of the first of them as half a diagram holds, their participants included."""
    room = _MAX_TEXT // 2
    there: set[LegId] = set()
    found = []
    for leg, text in said:
        room -= len(text) + 1 + (0 if leg in there else len(titles[leg]) + 1)
        if room < 0:
            break
        there.add(leg)
        found.append((leg, text))
    return found


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
