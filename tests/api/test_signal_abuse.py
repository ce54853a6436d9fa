"""Bad, hostile and slow clients of the signalling WebSocket: answered or dropped, never a harm."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api import messages as m
from gateway.api.directory import Directory
from gateway.api.identity import DemoAuthenticator
from gateway.api.limits import Limits
from gateway.api.outbox import Outbox
from gateway.api.ports import CallState, StateChanged
from gateway.api.services import Services
from gateway.api.session import Session
from gateway.identity.bucket import TokenBucket
from gateway.identity.values import Identity
from gateway.storage.database import IN_MEMORY, Database
from gateway.storage.idempotency import IdempotencyKeys
from tests.api.conftest import Api, StartApi
from tests.api.doubles import OFFER, FakeCalls, FakeClock, FakeWebRtc
from tests.api.steps import place, until


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "Not JSON"),
        ("{", "Not JSON"),
        ("nonsense", "Not JSON"),
        ('{"v": 1, "type": "hello", "user": "\\ud800"}', ""),
        ("[" * 5000, "Not JSON"),
        ("[]", "JSON object"),
        ("null", "JSON object"),
        ("1e999", "JSON object"),
        ("{}", "version 1"),
        ('{"type": "hello"}', "version 1"),
        ('{"v": 2, "type": "hello"}', "version 1"),
        ('{"v": true, "type": "hello"}', "version 1"),
        ('{"v": 1}', "Unknown message type"),
        ('{"v": 1, "type": "transmogrify"}', "Unknown message type"),
        ('{"v": 1, "type": ["hello"]}', "Unknown message type"),
        ('{"v": 1, "type": "state", "call": "c"}', "Unknown message type"),
        ('{"v": 1, "type": "hello", "user": "a b"}', "user:"),
        ('{"v": 1, "type": "hello", "user": 7}', "user:"),
        ('{"v": 1, "type": "hello", "usr": "alice"}', "usr:"),
        ('{"v": 1, "type": "call", "to": "echo"}', "sdp:"),
        ('{"v": 1, "type": "call", "to": "a\\r\\nb", "sdp": "x"}', "to:"),
        ('{"v": 1, "type": "dtmf", "call": "c", "tones": "12x"}', "tones:"),
        ('{"v": 1, "type": "dtmf", "call": "c", "tones": "1", "duration": 39}', "duration:"),
        ('{"v": 1, "type": "dtmf", "call": "c", "tones": "1", "duration": 6001}', "duration:"),
        ('{"v": 1, "type": "dtmf", "call": "c", "tones": "1", "gap": 29}', "gap:"),
        ('{"v": 1, "type": "candidate", "call": "c"}', "candidate:"),
        ('{"v": 1, "type": "hangup"}', "call:"),
    ],
)
async def test_a_malformed_message_is_an_error_and_the_connection_stays(
    api: Api, text: str, hint: str
) -> None:
    browser = await api.browser()
    await browser.socket.send_str(text)
    error = await browser.receive("error")
    assert error["code"] == "bad_request"
    assert hint in error["message"]
    await browser.request("hello", "hello")


async def test_errors_name_the_message_but_never_repeat_its_contents(api: Api) -> None:
    browser = await api.browser()
    error = await browser.request("dtmf", "error", id="m5", call="c", tones="4111111111111111x")
    assert error["in_reply_to"] == "m5"
    assert "4111" not in json.dumps(error)


async def test_a_message_over_the_size_limit_closes_the_connection(api: Api) -> None:
    browser = await api.browser()
    await browser.socket.send_str(" " * (128 * 1024 + 1))
    assert await browser.closed() == 1009  # RFC 6455 7.4.1


async def test_binary_messages_close_the_connection(api: Api) -> None:
    browser = await api.browser()
    await browser.socket.send_bytes(b"{}")
    assert await browser.closed() == 1003


async def test_a_flood_is_refused_then_cut_off(start_api: StartApi) -> None:
    api = await start_api(limits=Limits(rate=10, burst=5, refused_messages=3))
    browser = await api.connect()
    for _ in range(5):
        await browser.request("hello", "hello")
    assert (await browser.request("hello", "error"))["code"] == "rate_limited"
    api.clock.time += 0.1  # one more message is due
    await browser.request("hello", "hello")
    assert (await browser.request("hello", "error"))["code"] == "rate_limited"
    await browser.send("hello")
    assert await browser.closed() == 1008


async def test_sessions_are_bounded(start_api: StartApi) -> None:
    api = await start_api(limits=Limits(sessions=1))
    first = await api.browser()
    with pytest.raises(WSServerHandshakeError) as refused:
        await api.connect()
    assert refused.value.status == 503
    await first.socket.close()
    await api.browser()


async def test_a_client_that_does_not_read_is_dropped_alone(start_api: StartApi) -> None:
    api = await start_api(limits=Limits(outgoing_messages=8))
    slow, other = await api.browser("slow"), await api.browser("other")
    call = await place(api, slow)
    connection = slow.socket._response.connection
    assert connection is not None
    assert isinstance(connection.transport, asyncio.Transport)
    connection.transport.pause_reading()

    def flood() -> bool:
        for _ in range(64):
            call.tell(StateChanged(CallState.ANSWERED, media="x" * 60_000))
        return bool(call.hung_up)

    await until(flood)
    await until(lambda: not api.directory.is_signed_in("slow"))
    await other.request("hello", "hello", user="other")
    connection.transport.resume_reading()


async def test_shutdown_closes_sockets_with_1001_and_ends_their_calls(api: Api) -> None:
    browser = await api.browser("alice")
    call = await place(api, browser)
    closing = browser.closed()
    await api.server.app.shutdown()
    assert await closing == 1001
    await until(lambda: call.hung_up)
    assert [verdict.code for verdict in call.hung_up] == ["shutting_down"]
    assert (await api.client.get("/readyz")).status == 503
    assert (await api.client.get("/healthz")).status == 200
    with pytest.raises(WSServerHandshakeError) as refused:
        await api.connect()
    assert refused.value.status == 503


# ---- Origin and Host ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://["]
)
async def test_foreign_origins_are_refused(api: Api, origin: str) -> None:
    with pytest.raises(WSServerHandshakeError) as refused:
        await api.connect(headers={"Origin": origin})
    assert refused.value.status == 403


async def test_own_and_configured_origins_are_welcome(start_api: StartApi) -> None:
    api = await start_api(origins=("https://app.example",))
    host = f"{api.server.host}:{api.server.port}"
    for origin in (f"http://{host}", f"https://{host}", "https://app.example"):
        browser = await api.connect(headers={"Origin": origin})
        await browser.request("hello", "hello")


async def test_demo_mode_answers_for_loopback_names_only(api: Api) -> None:
    # A rebound name makes a foreign page same-origin: Origin and Host agree.
    headers = {"Host": "evil.example", "Origin": "http://evil.example"}
    with pytest.raises(WSServerHandshakeError) as refused:
        await api.connect(headers=headers)
    assert refused.value.status == 421
    assert (await api.client.get("/", headers={"Host": "evil.example"})).status == 421
    assert (await api.client.get("/healthz", headers={"Host": "localhost:8080"})).status == 200


# ---- whatever may come ----------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {"v": st.just(1) | JSON, "type": st.sampled_from(m.CLIENT_TYPES) | JSON},
    optional={
        "id": st.text(max_size=70) | JSON,
        "user": st.sampled_from(["", "alice"]) | JSON,
        "to": st.sampled_from(["echo", "nowhere"]) | JSON,
        "sdp": st.sampled_from([OFFER, "rubbish"]) | JSON,
        "call": st.just("PLACED") | JSON,
        "candidate": st.just("candidate:1") | JSON,
        "mid": st.just("0") | JSON,
        "tones": st.text("0123456789ABCD#*,", max_size=70) | JSON,
        "duration": st.integers(0, 7000) | JSON,
        "gap": st.integers(0, 7000) | JSON,
        "reason": JSON,
    },
)


class Recorder(Outbox):
    """Keeps what a session says."""

    def __init__(self, sent: list[str]) -> None:
        super().__init__(1, lambda: None)
        self._sent = sent

    def put(self, text: str) -> None:
        self._sent.append(text)


@settings(max_examples=100, deadline=None)
@given(st.lists(FIELDS | JSON, max_size=6))
async def test_whatever_json_comes_gets_an_answer_in_words(values: list[Any]) -> None:
    calls, sent = FakeCalls(), list[str]()
    work: list[Any] = []
    services = Services(
        calls=calls,
        webrtc=FakeWebRtc(),
        directory=Directory(),
        authenticator=DemoAuthenticator(),
        idempotency=IdempotencyKeys(Database(IN_MEMORY), "node"),
        clock=FakeClock(),
    )
    session = Session(
        "s-1", Identity(), services, lambda _: [], Recorder(sent), work.append, lambda _: None
    )
    session.receive(json.dumps({"v": 1, "type": "hello"}))
    session.receive(json.dumps({"v": 1, "type": "call", "to": "echo", "sdp": OFFER}))
    await work.pop()
    for value in values:
        if isinstance(value, dict) and value.get("call") == "PLACED":
            value["call"] = calls.last.id
        before = len(sent)
        assert session.receive(json.dumps(value))
        while work:
            await work.pop()
        for text in sent[before:]:
            assert json.loads(text).get("code") != "internal"
    session.close()
    assert all(call.hung_up or not call.sinks for call in calls.calls.values())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=64))
def test_whatever_text_comes_is_read_or_refused(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(m.MessageError):
        m.parse(text)


@given(st.lists(st.floats(0, 10), max_size=50))
def test_the_bucket_never_gives_more_than_rate_and_burst(gaps: list[float]) -> None:
    now, taken = 0.0, 0
    bucket = TokenBucket(2.0, 3, now)
    for gap in gaps:
        now += gap
        taken += bucket.take(now)
    assert taken <= 3 + 2.0 * now + 1e-6
