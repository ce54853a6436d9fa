"""The far ends themselves, without a gateway: SIPp echoes and plays, baresip plays and records."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.baresip import Baresip
from tests.support.capture import Sniffer, rtp_from, rtp_to
from tests.support.processes import HOST, wait_until
from tests.support.sipp import Answering, Calling, Sipp, dtmf_pcap
from tests.support.telephone_events import analyse_events
from tests.support.tones import assert_tone

BARESIP_SINE_DB = -9.3

pytestmark = pytest.mark.sip


async def test_sipp_plays_its_digits_and_echoes_what_it_gets(tmp_path: Path) -> None:
    answering = Answering(early_media_ms=200).scenario()
    calling = Calling(before_ms=200, play=[dtmf_pcap(key) for key in "1#*"], talk_ms=100).scenario()
    with Sniffer() as sniffer:
        async with Sipp(tmp_path / "uas", answering) as uas:
            uac = Sipp(tmp_path / "uac", calling, remote_port=uas.port, calls=1, echo=False)
            async with uac:
                assert await uac.wait(20) == 0, uac.messages
            await uas.received("BYE", 5)
    sent = rtp_to(sniffer.datagrams(), {uas.media_port})
    back = rtp_from(sniffer.datagrams(), {uas.media_port})
    assert analyse_events(sent, 8000).digits == "1#*"
    assert [packet.payload for packet in back] == [packet.payload for packet in sent]


async def test_baresip_plays_a_tone_hears_a_tone_and_reads_digits(tmp_path: Path) -> None:
    async with (
        Baresip(tmp_path / "a", tone_hz=700) as one,
        Baresip(tmp_path / "b", tone_hz=900, user="b") as other,
    ):
        await one.command("dial", f"sip:b@{HOST}:{other.port}")
        await one.tells("CALL_ESTABLISHED", 10)
        await wait_until(lambda: one.heard().seconds > 1.2, 10, "a second of audio")
        for key in "19D":
            await one.command("sndcode", key)
            await asyncio.sleep(0.3)  # baresip sends a key for as long as nothing else is asked
        await wait_until(lambda: other.digits == "19D", 5, "the digits at the other end")
        assert_tone(one.heard().part(0.2), 900, BARESIP_SINE_DB, where="first phone")
        assert_tone(other.heard().part(0.2, 1.2), 700, BARESIP_SINE_DB, where="second phone")
        await other.command("hangup")
        await one.tells("CALL_CLOSED", 5)


async def test_sipp_takes_a_cancel_while_it_plays_early_media(tmp_path: Path) -> None:
    answering = Answering(early_media_ms=20_000).scenario()
    async with Sipp(tmp_path / "uas", answering, calls=1) as uas, Baresip(tmp_path / "a") as phone:
        await phone.command("dial", f"sip:early@{HOST}:{uas.port}")
        await phone.tells("CALL_PROGRESS", 5)
        await phone.command("hangup")
        await uas.received("CANCEL", 5)
        await uas.received("ACK", 5)
        await uas.wait(10)
    assert "487 Request Terminated" in uas.messages
