"""SIP header values: what gets in, what is read."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import NORMAL, GatewayError
from gateway.legs.sip import headers
from gateway.legs.sip.headers import Party, Reason

# RFC 3261 25.1: what may stand unescaped in the user part.
USER = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/]|%[0-9A-Fa-f]{2})+")
PRINTABLE = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=128)


@given(PRINTABLE)
def test_any_printable_user_is_escaped_and_reads_back(text: str) -> None:
    escaped = headers.user_part(text, "number")
    assert USER.fullmatch(escaped)
    assert unquote(escaped) == text
    assert headers.uri_user(f"sip:{escaped}@example.com") == text.strip()


@given(st.text(), st.sampled_from("\r\n\x00\x1b\x7f\t"), st.text())
def test_control_characters_are_refused_everywhere(before: str, bad: str, after: str) -> None:
    text = before[:60] + bad + after[:60]
    with pytest.raises(GatewayError) as refused:
        headers.user_part(text, "number")
    assert refused.value.verdict.code == "bad_request"
    value = headers.reason_value(NORMAL.because(text))
    assert value == "Q.850;cause=16"


@given(st.text())
def test_a_reason_is_one_header_that_reads_back(text: str) -> None:
    value = headers.reason_value(NORMAL.because(text))
    assert not re.search(r"[\r\n\x00]", value)
    (read,) = headers.reasons(f"BYE sip:x SIP/2.0\r\nReason: {value}\r\n\r\n")
    assert read.cause == 16
    assert read.text in ("", headers.printable(text))


def test_all_headers_of_a_message() -> None:
    message = (
        "INVITE sip:1@x SIP/2.0\r\nv: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\n"
        "X-Tenant:  acme\r\n  blue\r\nnot a header\r\n\r\nX-Body: 1\r\n"
    )
    assert headers.all_headers(message) == {
        "via": "SIP/2.0/UDP a, SIP/2.0/UDP b",
        "x-tenant": "acme blue",
    }


def test_a_message_cannot_bring_headers_without_end() -> None:
    rows = "".join(f"X-{n}: {'y' * 5000}\r\n" for n in range(1000))
    found = headers.all_headers(f"INVITE sip:1@x SIP/2.0\r\n{rows}\r\n")
    assert len(found) == headers.MAX_HEADERS
    assert {len(value) for value in found.values()} == {headers.MAX_HEADER_LENGTH}


@given(st.text())
def test_reading_a_message_never_fails(message: str) -> None:
    headers.all_headers(message)
    headers.from_party(message)
    headers.request_user(message)
    headers.reasons(message)
    headers.body_of(message)
    headers.response_status(message)


@pytest.mark.parametrize(
    ("value", "party"),
    [
        ("<sip:alice@example.com>;tag=1", Party("alice", "")),
        ("sip:alice@example.com;tag=1", Party("alice", "")),
        ('"A \\"B\\" <x>" <sip:+1%20415@example.com:5060;p=x>', Party("+1 415", 'A "B" <x>')),
        ("Alice Adams <sips:al:secret@example.com>", Party("al", "Alice Adams")),
        ("<tel:+14155550100;phone-context=x>", Party("+14155550100", "")),
        ("<sip:example.com>", Party("", "")),
        ("<sip:100;ext=2@example.com>", Party("100;ext=2", "")),
        ("garbage", Party("", "")),
    ],
)  # fmt: skip
def test_who_calls(value: str, party: Party) -> None:
    message = f"INVITE sip:x@y SIP/2.0\r\nVia: x\r\nf:\r\n {value}\r\n\r\nFrom: <sip:body@x>"
    assert headers.from_party(message) == party
    assert headers.from_party(message.replace("f:", "FROM :")) == party


def test_who_is_called() -> None:
    assert headers.request_user("INVITE sip:%2B1415@h:5060;x=1 SIP/2.0\r\n\r\n") == "+1415"
    assert headers.request_user("INVITE sip:h SIP/2.0\r\n\r\n") == ""


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("Q.850;cause=16", [Reason("Q.850", 16, "")]),
        ('Q.850 ;cause=31 ;text="a, b; \\"c\\""', [Reason("Q.850", 31, 'a, b; "c"')]),
        (
            'SIP;cause=200;text="Call completed elsewhere", Q.850;cause=26',
            [Reason("SIP", 200, "Call completed elsewhere"), Reason("Q.850", 26, "")],
        ),
        ("Q.850", []),
        ("Q.850;cause=x", []),
    ],
)
def test_reasons_of_a_peer(value: str, found: list[Reason]) -> None:
    assert headers.reasons(f"BYE sip:x SIP/2.0\r\nReason: {value}\r\n\r\n") == found


def test_bytes_that_are_no_text_become_text() -> None:
    raw = b'"\xff\xfe Al" <sip:a%FFb@x>'.decode("utf-8", "surrogateescape")
    party = headers.from_party(f"INVITE sip:x@y SIP/2.0\r\nFrom: {raw}\r\n\r\n")
    assert party.name == "?? Al"
    party.user.encode()
    party.name.encode()


@pytest.mark.parametrize("name", ["sip.example.com", "host", "a-b.c1", "_sip._udp.example.com"])
def test_host_names(name: str) -> None:
    assert headers.is_host_name(name)


@pytest.mark.parametrize("name", ["", "a b", "a\r\n", "a;b", "a>b", "-", "a/b", "x" * 300])
def test_what_is_no_host_name(name: str) -> None:
    assert not headers.is_host_name(name)
