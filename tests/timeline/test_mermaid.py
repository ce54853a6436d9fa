"""Ladders are Mermaid's, by Mermaid itself: it takes each, and shows what was said."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway import events as e
from gateway.ids import LegId
from gateway.observability.timeline import ladder
from gateway.ports import Layer, LegKind
from tests.support.mermaid import Mermaid
from tests.timeline.packets import request, response
from tests.timeline.test_ladder import node
from tests.timeline.test_store import Node

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.browser]

SDP = "Content-Type: application/sdp"
HOSTILE = [
    'Busy "here"', "Busy; end", "end", "End", "#59; #quot; #", "%% no comment", "%%{init: {}}%%",
    "x\n    L9->>G: forged", "x\rG->>L2: forged", "<img src=x onerror=alert(1)>", "<br/>", "`md`",
    "besetzt \u2013 \u0437\u0430\u043d\u044f\u0442\u043e \u2013 \u5fd9 \U0001f4de",
    "\u202eysub\u2028G->>L2: forged\u0085", "$$x^2$$", "wrap:", "nowrap: x", "-->>", "alt",
    "loop forever", "box red", "activate G", "{}[]()", "\\n\\u0000", "+", "-", ":", "", " ",
    "as gateway", "title: x", "accTitle: x", "create participant X", "autonumber", "---",
    "x" * 5000,
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mermaid(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mermaid]:
    """One for all of them."""
    async with Mermaid(tmp_path_factory.mktemp("mermaid")) as running:
        yield running


async def test_it_refuses_what_is_no_diagram(mermaid: Mermaid) -> None:
    """Else the other tests would say nothing."""
    good = ladder(node().of("c"))
    assert not await mermaid.refusal(good)
    for bad in (
        good.replace("sequence", ""),
        good + "    G->L1\n",
        good + "    end\n",
        good + "x;",
    ):
        assert await mermaid.refusal(bad)


async def test_a_call_is_drawn_with_all_that_was_said(mermaid: Mermaid) -> None:
    made = node()
    made.tell("c", e.LegTransport(LegId("b"), Layer.ICE, "connected", "host-srflx", 1000.0))
    made.sip(request("INVITE", "a@x", SDP), sent=True)
    made.clock.advance(0.5)
    made.sip(request("INVITE", "a@x", SDP), sent=True)
    made.sip(response("200 OK", "a@x", "INVITE", SDP))
    made.sip(request("BYE", "a@x", cseq=2))
    made.sip(response("200 OK", "a@x", "BYE"), sent=True)
    diagram = ladder(made.of("c"))
    assert not await mermaid.refusal(diagram)
    texts = await mermaid.drawn(diagram)
    said = [text for text in texts if text.endswith("ms)")]
    assert said == [
        "ICE connected host-srflx (+0 ms)",
        "INVITE + SDP (+0 ms)",
        "INVITE + SDP again (+500 ms)",
        "200 OK + SDP (+500 ms)",
        "BYE (+500 ms)",
        "200 OK (BYE) (+500 ms)",
    ]
    assert {"browser (caller)", "gateway", "trunk north (callee)"} <= set(texts)


async def test_nothing_that_peers_write_breaks_or_forges_it(mermaid: Mermaid) -> None:
    made = node()
    for number, hostile in enumerate(HOSTILE):
        made.sip(response(f"486 {hostile}", "a@x"))
        made.sip(f"{hostile} sip:x SIP/2.0\nCall-ID: a@x\nCSeq: {number} {hostile}\n\n")
        made.tell("c", e.LegTransport(LegId("b"), Layer.ICE, "failed", hostile, 1000.0))
    diagram = ladder(made.of("c"))
    assert not await mermaid.refusal(diagram), diagram
    said = [text for text in await mermaid.drawn(diagram) if text.endswith("ms)")]
    assert len(said) == diagram.count(" ms)\n")
    assert sum(text.startswith("486") for text in said) == len(HOSTILE)
    assert not any("forged" in text and "->>" in text for text in said)


async def test_each_hostile_text_alone(mermaid: Mermaid) -> None:
    """Two of them together may mend what one of them breaks."""
    for hostile in HOSTILE:
        made = Node()
        made.tell("c", e.CallCreated("browser", "", ""))
        made.tell("c", e.LegAdded(LegId("s"), e.Role.CALLER, LegKind.SIP, hostile))
        made.tell("c", e.LegDialog(LegId("s"), "a@x"))
        made.sip(f"{hostile} sip:x SIP/2.0\nCall-ID: a@x\nCSeq: 1 {hostile}\n\n")
        made.sip(response(f"603 {hostile}", "a@x", hostile), sent=True)
        diagram = ladder(made.of("c"))
        assert not await mermaid.refusal(diagram), diagram
        assert any(text.startswith("603") for text in await mermaid.drawn(diagram)), diagram


async def test_the_longest_ladder_is_drawn_too(mermaid: Mermaid) -> None:
    """Mermaid draws no more than 50,000 characters, and says so in place of the picture."""
    made = node()
    for number in range(900):
        state = f"{number} of a great many states that are told of this one leg"
        made.tell("c", e.LegTransport(LegId("b"), Layer.ICE, state, "", 1000.0))
    for number in range(500):
        made.sip(response(f"180 Ringing for the time of number {number}", "a@x"))
    diagram = ladder(made.of("c"))
    assert not await mermaid.refusal(diagram)
    texts = await mermaid.drawn(diagram)
    said = [text for text in texts if text.endswith("ms)")]
    assert said[0].startswith("ICE 0 of a great many")
    assert "number 499" in said[-1]
    assert any(text.endswith("more left out here") for text in texts)
    assert len(said) > 400
