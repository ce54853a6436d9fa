"""What is kept of a SIP message: no password hash, no key, no digit, and nothing moved."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observability.timeline.masking import blanked, shown, sip_call_id
from tests.timeline.packets import packet, request

DIGEST = (
    'Digest username="bob", realm="r", nonce="n", uri="sip:x", '
    'response="6629fae49393a05397450978507c4ef1", cnonce="0a4f113b"'
)
SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"


def kept(text: str) -> str:
    made = packet(text)
    message = shown(made)
    assert len(message.text) == len(made.data.decode()), "lengths stay true"
    assert message.text.count("\n") == made.data.count(b"\n")
    return message.text


@pytest.mark.parametrize(
    "name", ["Authorization", "Proxy-Authorization", "authorization ", "Authorization\n "]
)
@pytest.mark.parametrize(
    "value",
    [
        DIGEST,
        DIGEST.replace(", ", ",\n   "),
        DIGEST.replace('"6629fae49393a05397450978507c4ef1"', "6629fae49393a05397450978507c4ef1"),
        DIGEST.replace("response=", "Response = "),
        "Basic 6629fae49393a05397450978507c4ef1",
        "Bearer eyJ.6629fae49393a05397450978507c4ef1",
        "Digest\n response=6629fae49393a05397450978507c4ef1",
        "\n Digest response=\n 6629fae49393a05397450978507c4ef1",
        'Digest response\n =\n "6629fae49393a053\n 6629fae49393a053"',
        "\n\tBasic\n\t6629fae49393a05397450978507c4ef1",
    ],
)
def test_what_a_password_could_be_guessed_by_is_blanked(name: str, value: str) -> None:
    text = kept(request("REGISTER", "c", f"{name}: {value}", "User-Agent: phone"))
    assert "6629" not in text
    assert "User-Agent: phone" in text


def test_of_a_digest_only_the_answer_is_blanked() -> None:
    text = kept(request("INVITE", "c", f"Authorization: {DIGEST}"))
    assert 'username="bob", realm="r", nonce="n"' in text
    assert f'response="{"x" * 32}"' in text
    info = kept(request("INVITE", "c", 'Authentication-Info: rspauth="abcdef", nc=00000001'))
    assert "abcdef" not in info
    assert "nc=00000001" in info


@pytest.mark.parametrize(
    "line",
    [
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{SECRET}|2^20|1:4",
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{SECRET};inline:{SECRET}",
        f"a=ice-pwd:{SECRET}",
        f"a=key-mgmt:mikey {SECRET}",
        f"k=base64:{SECRET}",
        f"A=Crypto:1 X INLINE:{SECRET}",
    ],
)
def test_media_keys_are_blanked(line: str) -> None:
    body = f"v=0\nm=audio 4000 RTP/SAVP 0\n{line}\na=rtpmap:0 PCMU/8000\n"
    text = kept(request("INVITE", "c", body=body))
    assert SECRET[:8] not in text
    assert "a=rtpmap:0 PCMU/8000" in text


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/dtmf-relay", "Signal=7\nDuration=160\n"),
        ("application/dtmf-relay", "signal = 7\nDuration=160\n"),
        ("application/dtmf", "7"),
        ("text/plain", "code 7777"),
        ("application/kpml-response+xml", '<kpml-response digits="7777"/>'),
    ],
)
def test_digits_in_info_are_blanked(kind: str, body: str) -> None:
    text = kept(request("INFO", "c", f"Content-Type: {kind}", body=body))
    assert "7" not in text.split("\r\n\r\n", 1)[1]


def test_digits_in_notify_are_blanked() -> None:
    body = '<kpml-response version="1.0" code="200" digits="4711"/>'
    assert "4711" not in kept(request("NOTIFY", "c", body=body))


def test_a_password_in_an_address_is_blanked() -> None:
    text = kept(request("INVITE", "c", "Contact: <sip:bob:hunter2@192.0.2.1:5060>"))
    assert "hunter2" not in text
    assert "<sip:bob:xxxxxxx@192.0.2.1:5060>" in text


def test_the_rest_stays_as_it_is() -> None:
    text = request(
        "INVITE", "c", "Contact: <sip:a@192.0.2.1:5060;ob>", body="v=0\nc=IN IP4 1.2.3.4"
    )
    assert kept(text) == text.replace("\n", "\r\n")


def test_a_message_knows_its_fields_in_long_and_short() -> None:
    message = shown(packet("BYE sip:x SIP/2.0\ni: abc@def \nCSeq:  2 BYE\n\n", at=7.5))
    assert (message.call_id, message.cseq, message.first_line, message.at) == (
        "abc@def", "2 BYE", "BYE sip:x SIP/2.0", 7.5,
    )  # fmt: skip
    assert not message.cut
    assert shown(packet("BYE sip:x SIP/2.0\n", length=9000)).cut


def test_the_dialog_of_a_message_is_known_without_reading_it_all() -> None:
    for text in (request("INVITE", "a@x"), "BYE sip:x SIP/2.0\nI : a@x\nCall-ID: b\n\n"):
        assert sip_call_id(packet(text)) == shown(packet(text)).call_id == "a@x"
    folded = "BYE sip:x SIP/2.0\nX: y\n i: b@x\nCall-ID:\ta@x  \n\n"
    assert sip_call_id(packet(folded)) == shown(packet(folded)).call_id == "a@x"
    assert sip_call_id(packet("BYE sip:x SIP/2.0\n\n")) == ""


@pytest.mark.parametrize(
    "hostile",
    ["X: " + "sip:" * 2000, "X: " + "sip::" * 1600, "Authorization: Digest " + "response=" * 900],
)
def test_no_message_takes_long(hostile: str) -> None:
    made = packet(f"INVITE sip:x SIP/2.0\n{hostile}\n\n")
    before = time.process_time()
    shown(made)
    assert time.process_time() - before < 0.1


@given(cut=st.integers(0, 600))
def test_a_message_that_was_cut_off_anywhere_shows_no_secret(cut: int) -> None:
    body = f"v=0\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{SECRET}\na=ice-pwd:{SECRET}\n"
    text = request("INVITE", "c", f"Authorization: {DIGEST}", body=body)[:cut]
    assert "6629" not in blanked(text)
    assert "c2V" not in blanked(text)


@given(st.text(), st.text(alphabet="\u00e9\u5fd9a1\r\n", min_size=1))
def test_a_message_is_as_many_bytes_as_before(text: str, secret: str) -> None:
    """Content-Length tells where the next one begins, where they come over TCP."""
    written = f"INFO sip:x SIP/2.0\r\nX: {text}\r\n\r\nSignal={secret}"
    assert len(blanked(written).encode()) == len(written.encode())


@given(st.binary(max_size=2000))
def test_any_bytes_are_shown(data: bytes) -> None:
    from gateway.observability.timeline import SipPacket
    from tests.timeline.packets import HERE, THERE

    message = shown(SipPacket(1.0, False, "UDP", HERE, THERE, data, len(data)))
    assert len(message.text.encode()) == len(data)
    assert "\n" not in message.first_line + message.call_id + message.cseq
