"""Logs: one redacted stream. A sentinel number and sentinel digits must not come through."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.events import CallCreated, DigitReceived
from gateway.ids import LegId
from gateway.observability.logs import configure_logs
from gateway.observability.redaction import redact

NUMBER = "+14155550100"
DIGITS = "4929123456781234"  # a card number
SECRET = "s3cr3t-p4ssw0rd"


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def masked(level: str, **entry: Any) -> str:
    return repr(redact(None, level, {"event": "x", **entry}))


SINKS: list[dict[str, Any]] = [
    {"event": f"calling {NUMBER} now"},
    {"event": "calling +1 (415) 555-0100 now"},
    {"event": "calling 415-555-0100 now"},
    {"caller": NUMBER},
    {"callee": NUMBER, "to": NUMBER, "from": NUMBER},
    {"digits": DIGITS, "digit": "4"},
    {"uri": f"sip:{NUMBER}@192.0.2.1:5060;transport=tcp"},
    {"uri": f"<sips:{NUMBER}@example.net>"},
    {"uri": f"tel:{NUMBER}"},
    {"path": f"/v1/webrtc/calls?to={NUMBER}"},
    {"path": "/v1/webrtc/calls?a=b&to=alice415"},
    {"nested": {"list": [{"callee": NUMBER}, f"to {NUMBER}"]}},
    {"target": ("trunk", NUMBER)},
    {"digit": 4929123456781234},
]


def leaks(text: str) -> bool:
    squeezed = "".join(character for character in text if character.isalnum())
    return "4155550100" in squeezed or DIGITS in squeezed or "alice415" in squeezed


@pytest.mark.parametrize("entry", SINKS)
@pytest.mark.parametrize("level", ["info", "warning", "error", "critical"])
def test_no_number_and_no_digit_above_debug(entry: dict[str, Any], level: str) -> None:
    assert not leaks(masked(level, **entry))


@pytest.mark.parametrize("entry", SINKS)
def test_debug_shows_them(entry: dict[str, Any]) -> None:
    assert leaks(masked("debug", **entry))


@pytest.mark.parametrize("level", ["debug", "info", "error"])
@pytest.mark.parametrize(
    "entry",
    [
        {"password": SECRET},
        {"nested": {"Credential": SECRET}},
        {"event": f"password={SECRET}"},
        {"event": f"Authorization: Digest username=a, response={SECRET}"},
        {"event": f"Proxy-Authorization: Digest nonce={SECRET}"},
        {"sdp": f"a=ice-pwd:{SECRET}\r\n"},
        {"sdp": f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{SECRET}"},
        {"token": SECRET},
        {"event": f"who sent gw_0123456789ab_{SECRET}{'x' * 28}?"},
        {"event": f"protocols gateway, token.eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}"},
    ],
)
def test_credentials_are_shown_at_no_level(entry: dict[str, Any], level: str) -> None:
    assert SECRET not in masked(level, **entry)


def test_what_is_no_number_stays_readable() -> None:
    line = masked(
        "info", call="c-1234567890123456", leg="l-9876543210", rule="browser[1] _NXX",
        address="127.0.0.1:5060", version="2.17.1", path="[12] webrtc opus/48000 <=> [13] sip",
        duration_ms=1234567890, sip_status=404, user="alice",
    )  # fmt: skip
    assert "***" not in line


def test_events_in_a_log_line_show_no_digits() -> None:
    assert "7" not in masked("info", heard=DigitReceived(LegId("l-a"), "7", 100, 1))
    assert not leaks(masked("info", created=CallCreated("browser", NUMBER, NUMBER)))


@given(st.text(alphabet="0123456789", min_size=7, max_size=20), st.sampled_from(" ,;:'\"\n.-/=()"))
@settings(deadline=None)
def test_any_long_number_between_words_is_masked(number: str, around: str) -> None:
    assert number not in str(masked("info", event=f"to {around}{number}{around} by"))


@pytest.mark.parametrize("form", ["json", "console"])
def test_the_whole_stream_is_redacted(form: Any) -> None:
    stream = io.StringIO()
    configure_logs(form, "debug", stream)
    log = structlog.get_logger("gateway.test")
    log.info("dialing", callee=NUMBER, password=SECRET)
    log.warning("odd %s", NUMBER)
    logging.getLogger("some.library").warning("INVITE sip:%s@192.0.2.1", NUMBER)
    try:
        raise ValueError(f"no route to {NUMBER} with {SECRET=!s}")
    except ValueError:
        log.exception("failed")
        logging.getLogger("some.library").exception("failed for %s", NUMBER)
    text = stream.getvalue()
    assert not leaks(text)
    assert text.count("ValueError: no route to ***") == 2
    assert "192.0.2.1" in text
    assert "dialing" in text
    if form == "json":
        lines = [json.loads(line) for line in text.splitlines()]
        assert [line["level"] for line in lines] == ["info", "warning", "warning", "error", "error"]
        assert all(line["timestamp"].endswith("Z") for line in lines)
        assert lines[0]["logger"] == "gateway.test"


def test_levels_are_kept() -> None:
    stream = io.StringIO()
    configure_logs("json", "warning", stream)
    structlog.get_logger("gateway.test").info("quiet")
    logging.getLogger("some.library").info("quiet")
    assert stream.getvalue() == ""
    with pytest.raises(ValueError, match="no log level"):
        configure_logs("json", "loud", stream)


def test_configuring_twice_does_not_double_the_lines() -> None:
    stream = io.StringIO()
    configure_logs("json", "info", io.StringIO())
    configure_logs("json", "info", stream)
    structlog.get_logger("gateway.test").info("once")
    assert len(stream.getvalue().splitlines()) == 1


def test_chatty_libraries_are_heard_at_debug_only() -> None:
    for level, heard in (("info", 0), ("debug", 1)):
        stream = io.StringIO()
        configure_logs("json", level, stream)
        logging.getLogger("aioice.ice").info("check succeeded")
        assert len(stream.getvalue().splitlines()) == heard
