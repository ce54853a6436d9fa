"""Webhooks: signed as the standard has it, repeated when it helps, replies that are safe to use."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError
from yarl import URL

from gateway.config.model import WebConfig
from gateway.errors import FORBIDDEN, GatewayError
from gateway.testing import LoopClock, virtual_time
from gateway.testing.clock import EPOCH
from gateway.web.statuses import retry_after
from gateway.web.values import Answer, TransientError
from gateway.web.webhooks import MAX_DEPTH, MAX_REPLY, WebhookClient, read_json
from tests.web.conftest import PRIVATE, SECRET, Site

PAYLOAD = {"event": "call.started", "from": "+14155550100", "name": 'Zoë "\n😀'}


async def refusal(hooks: WebhookClient, url: str) -> str:
    """The code and the text of what is raised."""
    with pytest.raises(GatewayError) as refused:
        await hooks.ask(url, PAYLOAD)
    return f"{refused.value.verdict.code}: {refused.value}"


# ---- over the wire --------------------------------------------------------------------------


async def test_a_receiver_can_verify_who_asks_and_answers_in_json(site: Site) -> None:
    received: list[Any] = []

    async def receive(request: web.Request) -> web.Response:
        body = await request.text()
        received.append(Webhook(SECRET).verify(body, dict(request.headers)))
        other = Webhook("whsec_" + "QUJD" * 10)
        with pytest.raises(WebhookVerificationError):
            other.verify(body, dict(request.headers))
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(body + " ", dict(request.headers))
        return web.json_response({"say": "Grüße"})

    site.paths["/hook"] = receive
    assert await site.hooks().ask(site.url("/hook?key=1"), PAYLOAD) == {"say": "Grüße"}
    assert received == [PAYLOAD]
    assert site.seen[0].method == "POST"
    assert site.seen[0].headers["Content-Type"] == "application/json"


async def test_without_a_secret_nothing_is_signed(site: Site) -> None:
    site.says("/hook", status=204)
    assert await site.hooks(secret=None).ask(site.url("/hook"), {}) is None
    assert "webhook-id" in site.seen[0].headers
    assert "webhook-signature" not in site.seen[0].headers


async def test_a_private_address_is_refused(site: Site) -> None:
    assert (await refusal(site.hooks(attempts=3), site.url("/hook", PRIVATE))).startswith("forbid")
    assert not site.seen


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(site: Site, status: int) -> None:
    site.says("/hook", status=status, headers={"Location": "/other"})
    assert "redirects a POST" in await refusal(site.hooks(attempts=3), site.url("/hook"))
    assert len(site.seen) == 1


async def test_a_server_that_breaks_off_is_asked_again_with_the_same_id(site: Site) -> None:
    async def receive(request: web.Request) -> web.Response:
        Webhook(SECRET).verify(await request.text(), dict(request.headers))
        if len(site.seen) == 1:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response([len(site.seen)])

    site.paths["/hook"] = receive
    assert await site.hooks(attempts=2).ask(site.url("/hook"), PAYLOAD) == [2]
    assert len({request.headers["webhook-id"] for request in site.seen}) == 1


async def test_a_reply_that_is_too_large_is_refused(site: Site) -> None:
    site.says("/hook", body=b'"' + b"a" * MAX_REPLY + b'"')
    assert f"more than {MAX_REPLY} bytes" in await refusal(site.hooks(), site.url("/hook"))


# ---- replies --------------------------------------------------------------------------------


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html>", "something else than JSON"),
        (b"\xff\xfe{}", "something else than JSON"),
        (b'{"a": NaN}', "something else than JSON"),
        (b"[-Infinity]", "something else than JSON"),
        (b"1" * 5000, "something else than JSON"),
        (nested(100_000), "something else than JSON"),
        (b'{"a":' * 100_000, "something else than JSON"),
        (nested(MAX_DEPTH + 1), "levels deep"),
        (b'{"a": ["\\ud800"]}', "half a character"),
        (b'{"\\udfff": 1}', "half a character"),
    ],
)
def test_a_hostile_reply_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(GatewayError, match=why) as refused:
        read_json(body, "x")
    assert refused.value.verdict.code == "fetch_failed"


def test_a_good_reply_is_what_it_says() -> None:
    assert read_json(b"", "x") is None
    assert read_json(b" \n", "x") is None
    assert read_json(b'{"a": [1, 2.5, null, "\\ud83d\\ude00"]}', "x") == {"a": [1, 2.5, None, "😀"]}
    assert json.dumps(read_json(nested(MAX_DEPTH), "x")).encode() == nested(MAX_DEPTH)


# ---- trying again, in virtual time ----------------------------------------------------------

HOOK = "https://hook.example/x?token=sentinel"
DONE = Answer(200, {}, b'"done"')


class Script:
    """Gives one answer after another, after the seconds that it takes, and notes when asked."""

    def __init__(self, *answers: Answer | GatewayError, takes: float = 0.0) -> None:
        self._answers = list(answers)
        self._takes = takes
        self.at: list[float] = []
        self.headers: list[Mapping[str, str]] = []

    async def exchange(
        self,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        max_bytes: int,
        seconds: float | None = None,
    ) -> Answer:
        self.at.append(asyncio.get_running_loop().time())
        self.headers.append(headers)
        await asyncio.sleep(self._takes)
        answer = self._answers.pop(0)
        if isinstance(answer, GatewayError):
            raise answer
        return answer

    @property
    def waits(self) -> list[float]:
        """Seconds between the questions."""
        return [later - earlier for earlier, later in zip(self.at, self.at[1:], strict=False)]


def status(code: int, after: str | None = None) -> Answer:
    return Answer(code, {} if after is None else {"retry-after": after}, b"")


def hooks(script: Script, attempts: int = 3, timeout: float = 5.0) -> WebhookClient:
    config = WebConfig.model_validate({"attempts": attempts, "timeout": timeout, "secret": SECRET})
    return WebhookClient(script, config, LoopClock())


@pytest.mark.parametrize("failure", [status(429), status(503), TransientError("cannot be reached")])
@virtual_time
async def test_what_may_pass_is_tried_again_after_growing_waits(
    failure: Answer | GatewayError, logs: list[MutableMapping[str, Any]]
) -> None:
    script = Script(*[failure] * 4, DONE)
    assert await hooks(script, attempts=5).ask(HOOK, {}) == "done"
    for wait, least in zip(script.waits, (0.25, 0.5, 1.0, 2.0), strict=True):
        assert least <= wait <= least + 0.25
    assert len({headers["webhook-id"] for headers in script.headers}) == 1
    stamps = [int(headers["webhook-timestamp"]) for headers in script.headers]
    assert stamps == sorted(stamps)
    assert stamps[-1] - stamps[0] >= 3
    assert [entry["attempt"] for entry in logs if entry["event"] == "web.again"] == [1, 2, 3, 4]
    assert "sentinel" not in str(logs)


@virtual_time
async def test_two_who_fail_together_do_not_come_back_together() -> None:
    scripts = [Script(status(503), DONE) for _ in range(10)]
    await asyncio.gather(*(hooks(script).ask(HOOK, {}) for script in scripts))
    assert len({script.at[1] for script in scripts}) > 5


@virtual_time
async def test_the_last_failure_is_told() -> None:
    script = Script(status(503), TransientError("x took too long"), status(502))
    told = await refusal(hooks(script), HOOK)
    assert told == "fetch_failed: https://hook.example/x answered 502"


@pytest.mark.parametrize(
    "failure", [status(400), status(410), status(418), GatewayError(FORBIDDEN, "no")]
)
@virtual_time
async def test_what_will_not_pass_is_told_at_once(failure: Answer | GatewayError) -> None:
    script = Script(failure)
    await refusal(hooks(script), HOOK)
    assert len(script.at) == 1


@virtual_time
async def test_a_server_that_asks_for_patience_gets_it() -> None:
    moment = (EPOCH + timedelta(seconds=asyncio.get_running_loop().time() + 7)).strftime(
        "%a, %d %b %Y %H:%M:%S GMT"
    )
    script = Script(status(429, "3"), status(503, moment), DONE)
    assert await hooks(script).ask(HOOK, {}) == "done"
    assert script.waits[0] == pytest.approx(3, abs=0.01)
    assert sum(script.waits) == pytest.approx(7, abs=1.01)  # such dates have whole seconds


@pytest.mark.parametrize("after", ["16", "999999999", "Wed, 01 Jan 2200 00:00:00 GMT"])
@virtual_time
async def test_a_server_that_asks_for_more_than_there_is_fails_at_once(after: str) -> None:
    script = Script(status(503, after))
    assert "answered 503" in await refusal(hooks(script), HOOK)
    assert len(script.at) == 1


@virtual_time
async def test_nobody_waits_longer_than_the_budget() -> None:
    script = Script(*[status(503)] * 3, takes=9.0)  # a client that keeps no time of its own
    started = asyncio.get_running_loop().time()
    assert "https://hook.example/x took too long" in await refusal(hooks(script), HOOK)
    assert asyncio.get_running_loop().time() - started == pytest.approx(15)


@virtual_time
async def test_one_question_may_have_its_own_patience() -> None:
    script = Script(*[status(503)] * 3)
    with pytest.raises(GatewayError, match="503"):
        await hooks(script, attempts=1).ask(HOOK, {}, seconds=20, attempts=2)
    assert len(script.at) == 2
    with pytest.raises(GatewayError, match="503"):
        await hooks(script, attempts=9).ask(HOOK, {}, seconds=0.2, attempts=1)


async def test_a_service_that_is_slow_is_given_as_long_as_it_is_told(site: Site) -> None:
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.3)
        return web.json_response(1)

    site.paths["/hook"] = slow
    assert await site.hooks(timeout=0.1).ask(site.url("/hook"), {}, seconds=3) == 1
    with pytest.raises(GatewayError, match="took too long"):
        await site.hooks(timeout=3).ask(site.url("/hook"), {}, seconds=0.1)


@pytest.mark.parametrize("value", ["", "soon", "-1", "1e3", "²", "Wed, 99 Jan 2200", "0" * 50])
def test_a_retry_after_that_says_nothing_is_ignored(value: str) -> None:
    assert retry_after(value, datetime(2030, 1, 1, tzinfo=UTC)) is None
