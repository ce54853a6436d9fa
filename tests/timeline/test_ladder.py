"""The ladder: Mermaid that parses, whatever peers write."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from gateway import events as e
from gateway.ids import LegId
from gateway.observability.timeline import ladder
from gateway.ports import Layer, LegKind
from tests.timeline.packets import request, response
from tests.timeline.test_store import Node

TEXT = r"[A-Za-z0-9 ._/+()-]+"
GRAMMAR = re.compile(
    rf"    (?:participant (?:G|L\d+) as {TEXT}"
    rf"|(?:G->>L\d+|L\d+->>G): {TEXT}"
    rf"|Note over L\d+,G: {TEXT}"
    r"|Note over G: \d+ more left out here)"
)


def statements(diagram: str) -> list[str]:
    """Its statements, if each is one that Mermaid's sequence diagrams have."""
    first, *rest = diagram.removesuffix("\n").split("\n")
    assert first == "sequenceDiagram"
    for line in rest:
        assert GRAMMAR.fullmatch(line), line
    named = {line.split()[1] for line in rest if "participant" in line}
    used = {
        name for line in rest if ">>" in line for name in re.findall(r"\b(?:G|L\d+)\b", line[:14])
    }
    assert used <= named
    return [line.strip() for line in rest]


def node() -> Node:
    made = Node()
    made.tell("c", e.CallCreated("browser", "", ""))
    made.tell("c", e.LegAdded(LegId("b"), e.Role.CALLER, LegKind.WEBRTC))
    made.tell("c", e.LegAdded(LegId("s"), e.Role.CALLEE, LegKind.SIP, "north"))
    made.tell("c", e.LegDialog(LegId("s"), "a@x"))
    return made


def test_a_call_from_a_browser_to_a_trunk() -> None:
    made = node()
    made.tell("c", e.LegTransport(LegId("b"), Layer.ICE, "connected", "host-srflx", 1000.0))
    sdp = ("Content-Type: application/sdp",)
    made.sip(request("INVITE", "a@x", *sdp), sent=True)
    made.clock.advance(0.5)
    made.sip(request("INVITE", "a@x", *sdp), sent=True)
    made.sip(response("180 Ringing", "a@x"))
    made.clock.advance(2)
    made.sip(response("200 OK", "a@x", "INVITE", *sdp))
    made.sip(request("ACK", "a@x"), sent=True)
    made.sip(request("BYE", "a@x", cseq=2))
    made.sip(response("200 OK", "a@x", "BYE"), sent=True)
    assert statements(ladder(made.of("c"))) == [
        "participant L1 as browser (caller)",
        "participant G as gateway",
        "participant L2 as trunk north (callee)",
        "Note over L1,G: ICE connected host-srflx (+0 ms)",
        "G->>L2: INVITE + SDP (+0 ms)",
        "G->>L2: INVITE + SDP again (+500 ms)",
        "L2->>G: 180 Ringing (+500 ms)",
        "L2->>G: 200 OK + SDP (+2500 ms)",
        "G->>L2: ACK (+2500 ms)",
        "L2->>G: BYE (+2500 ms)",
        "G->>L2: 200 OK (BYE) (+2500 ms)",
    ]


def test_a_call_without_any_message_is_a_diagram_too() -> None:
    assert statements(ladder(node().of("c"))) == ["participant G as gateway"]


def test_the_beginning_and_the_end_of_what_mermaid_would_not_draw() -> None:
    made = node()
    for number in range(900):
        made.tell("c", e.LegTransport(LegId("b"), Layer.ICE, f"{number} {'x' * 70}", "", 1000.0))
    made.sip(request("BYE", "a@x"))
    diagram = ladder(made.of("c"))
    assert 45_000 < len(diagram) < 50_000
    first, second, third, *rest, last = statements(diagram)
    assert [first, second] == ["participant L1 as browser (caller)", "participant G as gateway"]
    assert (third, last) == ("participant L2 as trunk north (callee)", "L2->>G: BYE (+0 ms)")
    numbers = [int(line.split()[4]) for line in rest if line.startswith("Note over L1")]
    [left_out] = [int(line.split()[3]) for line in rest if line.startswith("Note over G")]
    assert (numbers[0], numbers[-1]) == (0, 899)
    assert sorted(set(numbers)) == numbers
    assert len(numbers) + left_out == 900


@given(
    st.text(max_size=80),
    st.sampled_from(
        ["", "end", "; end", "\n    X->>Y: z", "%%{init: {}}%%", "<img src=x>", "#59;"]
    ),
)
def test_no_reason_phrase_and_no_method_breaks_out(text: str, hostile: str) -> None:
    made = node()
    one_line = (text + hostile).replace("\r", " ")
    made.sip(response(f"486 {one_line}", "a@x"))
    made.sip(f"{one_line} sip:x SIP/2.0\nCall-ID: a@x\nCSeq: 1 {one_line}\n\n")
    statements(ladder(made.of("c")))
