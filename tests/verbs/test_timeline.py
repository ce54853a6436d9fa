"""Timelines of real calls: SIP, ICE, DTLS, digits and quality, on one clock."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gateway.legs.webrtc.peer import ProbePeer
from tests.sip.sipp import caller_request, receive
from tests.support.mermaid import Mermaid
from tests.support.processes import wait_until
from tests.timeline.test_ladder import statements
from tests.verbs.hearing import PATIENCE
from tests.verbs.house import House
from tests.verbs.phone import HANGS_UP, Phone
from tests.verbs.talks import signed_in, talking

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.sip]

CARD = "4929123412341234"


async def fetched(house: House, call: str) -> dict[str, Any]:
    async with house.http.get(f"{house.gateway.url}/v1/calls/{call}/timeline") as response:
        assert response.status == 200
        told: dict[str, Any] = await response.json()
        return told


async def laddered(house: House, call: str) -> str:
    async with house.http.get(f"{house.gateway.url}/v1/calls/{call}/ladder") as response:
        return await response.text()


def of_kind(told: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry for entry in told["entries"] if entry["kind"] == kind]


def first_words(told: dict[str, Any]) -> list[tuple[str, str]]:
    """Direction, and method or status, of the SIP messages."""
    return [
        (entry["direction"], entry["first_line"].removeprefix("SIP/2.0 ").split()[0])
        for entry in of_kind(told, "sip")
    ]


@pytest.mark.browser
async def test_a_browsers_call_to_a_telephone(
    house: House, peer: ProbePeer, north: Phone, tmp_path: Path
) -> None:
    async with talking(house, peer, north) as talk:
        await peer.send_digits("42", duration_ms=120, gap_ms=100)
        await asyncio.sleep(2.2)  # two samples of quality
        live = await fetched(house, talk.call)
        assert not live["ended"]
    await house.ends(talk.call)

    async def bye_is_answered() -> bool:
        return first_words(await fetched(house, talk.call))[-1] == ("received", "200")

    await wait_until(bye_is_answered, PATIENCE, "the answer to BYE")
    told = await fetched(house, talk.call)
    assert told["ended"]
    assert told["left_out"] == 0
    assert [leg["kind"] for leg in told["legs"]] == ["webrtc", "sip"]
    browser, trunk = (leg["id"] for leg in told["legs"])
    words = first_words(told)
    assert words[0] == ("sent", "INVITE")
    assert words[-2:] == [("sent", "BYE"), ("received", "200")]
    assert ("received", "200") in words
    assert ("sent", "ACK") in words
    assert {entry["leg"] for entry in of_kind(told, "sip")} == {trunk}
    assert {entry["peer"] for entry in of_kind(told, "sip")} == {f"127.0.0.1:{north.port}"}
    states = [
        (entry["data"]["layer"], entry["data"]["state"], entry["data"]["detail"])
        for entry in of_kind(told, "event")
        if entry["type"] == "leg.transport"
    ]
    assert states[:2] == [("ice", "checking", ""), ("ice", "connected", "host-host")]
    assert states[2][:2] == ("dtls", "connecting")
    assert states[3] == ("dtls", "connected", "SRTP_AEAD_AES_128_GCM, server")
    digits = [
        (entry["data"]["leg"], entry["data"]["digit"])
        for entry in of_kind(told, "event")
        if entry["type"] == "digit.received"
    ]
    assert digits == [(browser, "4"), (browser, "2")]
    for leg in (browser, trunk):
        samples = [entry for entry in of_kind(told, "quality") if entry["leg"] == leg]
        assert len(samples) >= 2
        gaps = [b["at_ms"] - a["at_ms"] for a, b in pairwise(samples)]
        assert all(800 < gap < 1200 for gap in gaps)
        assert samples[-1]["rx_packets"] - samples[-2]["rx_packets"] == pytest.approx(50, abs=15)
    ats = [entry["at_ms"] for entry in told["entries"]]
    assert ats == sorted(ats)
    types = [entry["type"] for entry in of_kind(told, "event")]
    assert (types.index("call.created"), types[-1]) == (types.index("leg.added") - 1, "call.ended")
    diagram = await laddered(house, talk.call)
    assert statements(diagram)[:3] == [
        "participant L1 as browser (caller)",
        "participant G as gateway",
        "participant L2 as trunk north (callee)",
    ]
    async with Mermaid(tmp_path) as mermaid:
        assert not await mermaid.refusal(diagram)
        texts = await mermaid.drawn(diagram)
    said = [text.rpartition(" (")[0] for text in texts if text.endswith("ms)")]
    assert said[:2] == ["ICE checking", "ICE connected host-host"]
    assert said.index("INVITE + SDP") < said.index("200 OK + SDP") < said.index("ACK")
    assert said[-2:] == ["BYE", "200 OK (BYE)"]


async def test_a_telephones_call_begins_with_its_invite_and_info_shows_no_digit(
    house: House, north: Phone
) -> None:
    body = "Signal=7\nDuration=160"
    kind = "Content-Type: application/dtmf-relay"
    steps = (
        receive(100, optional=True),
        receive(180, optional=True),
        receive(200),
        caller_request("ACK", 1),
        caller_request("INFO", 2, "", kind).replace("\n\n\n", f"\n\n{body}\n"),
        receive(400),  # no trunk of the gateway takes digits in INFO
        *HANGS_UP,
    )
    before = len(house.told(callee="waits"))
    async with north.follows(north.dials("waits", *steps), target=house.gateway.sip_port) as sip:
        call = (await house.tells(before + 1, callee="waits"))["call"]

        async def has_info() -> bool:
            return ("received", "INFO") in first_words(await fetched(house, call))

        await wait_until(has_info, PATIENCE, "INFO")
        await house.verb(call, "hangup")
        await sip.done()
    timeline = await fetched(house, call)
    first = timeline["entries"][0]
    assert first["first_line"].startswith("INVITE sip:waits@")
    assert (first["direction"], first["transport"]) == ("received", "UDP")
    assert -100 < first["at_ms"] <= 0
    info = next(e for e in of_kind(timeline, "sip") if e["first_line"].startswith("INFO"))
    assert "Signal=x" in info["text"]
    assert "7" not in info["text"].split("\r\n\r\n", 1)[1].partition("Duration")[0]


async def test_secret_digits_are_not_in_it(house: House, peer: ProbePeer) -> None:
    call = await house.call(peer, "waits")
    wish = {"max_digits": len(CARD), "secure": True, "terminators": ""}
    gathering = asyncio.create_task(house.verb(call, "gather", wish))
    await wait_until(lambda: peer.stats.received > 25, PATIENCE, "audio")
    await peer.send_digits(CARD, duration_ms=80, gap_ms=60)
    assert (await gathering)["outcome"]["digits"] == CARD
    told = await fetched(house, call)
    digits = [e["data"]["digit"] for e in of_kind(told, "event") if e["type"] == "digit.received"]
    assert digits == ["X"] * len(CARD)
    await house.verb(call, "hangup")


async def test_a_user_who_is_called_shows_ice_and_dtls_too(
    house: House, peer: ProbePeer, other_peer: ProbePeer
) -> None:
    async with signed_in(house, "user-bob", other_peer) as bob:
        call = await house.call(peer, "waits")
        await house.begin(call, "dial", {"user": "user-bob"})
        await bob.answer()
        await wait_until(lambda: other_peer.stats.received > 10, PATIENCE, "audio")
        told = await fetched(house, call)
        await house.verb(call, "hangup")
        await house.ends(call)
    callee = told["legs"][1]["id"]
    states = [
        (entry["data"]["layer"], entry["data"]["state"])
        for entry in of_kind(told, "event")
        if entry["type"] == "leg.transport" and entry["data"]["leg"] == callee
    ]
    assert states == [
        ("ice", "checking"), ("ice", "connected"), ("dtls", "connecting"), ("dtls", "connected"),
    ]  # fmt: skip
