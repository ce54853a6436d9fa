"""The verb `http`: a customer's server gives the next verbs. In virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.apps import Call
from gateway.errors import FETCH_FAILED, GatewayError
from gateway.testing import Rehearsal, virtual_time
from tests.apps.far_ends import breathe, program


class Server:
    """Answers with verbs, or fails."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    async def ask(
        self,
        url: str,
        payload: Mapping[str, Any],
        *,
        seconds: float | None = None,
        attempts: int | None = None,
    ) -> Any:
        self.asked.append((url, payload))
        answer = self._answers.pop(0)
        if isinstance(answer, GatewayError):
            raise answer
        return answer


@virtual_time
async def test_a_server_gives_the_next_verbs() -> None:
    @program
    async def run(call: Call) -> None:
        await call.set(step="1")
        await call.http("https://example.com/ivr")
        await call.say(call.variables["name"])

    server = Server({"verbs": [{"say": "Hello."}, {"set": {"name": "Ada"}}]})
    async with Rehearsal(run, webhooks=server) as caller:
        await caller.hears("Hello.", "Ada")
        await caller.end()
    [(url, told)] = server.asked
    assert url == "https://example.com/ivr"
    assert (told["caller"], told["variables"]) == ("alice", {"step": "1"})


@pytest.mark.parametrize(
    "answer",
    [
        GatewayError(FETCH_FAILED, "down"),
        {"verbs": [{"nonsense": 1}]},
        {"verbs": "say"},
        ["say"],
        {"verbs": [{"say": {"text": ""}}]},
    ],
)
@virtual_time
async def test_what_is_no_answer_has_the_fallback_performed(answer: object) -> None:
    @program
    async def run(call: Call) -> None:
        fetched = await call.http("https://example.com/", fallback=[{"say": "Sorry."}])
        assert fetched.failed

    async with Rehearsal(run, webhooks=Server(answer)) as caller:
        await caller.hears("Sorry.")
        assert (await caller.end()).code == "normal"


@virtual_time
async def test_without_a_fallback_a_server_that_is_down_ends_the_call() -> None:
    @program
    async def run(call: Call) -> None:
        await call.http("https://example.com/")

    async with Rehearsal(run, webhooks=Server(GatewayError(FETCH_FAILED, "down"))) as caller:
        with pytest.raises(GatewayError, match="down"):
            await caller.end()
        assert caller.leg.verdict is not None
        assert caller.leg.verdict.code == "fetch_failed"


@virtual_time
async def test_servers_that_lead_to_servers_without_end_are_stopped() -> None:
    @program
    async def run(call: Call) -> None:
        await call.http("https://example.com/")

    class Endless(Server):
        async def ask(self, url: str, payload: Mapping[str, Any], **_: Any) -> Any:
            self.asked.append((url, payload))
            return {"verbs": [{"http": "https://example.com/"}]}

    server = Endless()
    async with Rehearsal(run, webhooks=server) as caller:
        with pytest.raises(GatewayError, match="without end"):
            await caller.end()
        assert caller.leg.verdict is not None
        assert caller.leg.verdict.code == "loop_detected"
    assert len(server.asked) < 50


@virtual_time
async def test_no_server_is_told_secret_digits_unless_they_are_kept_by_name() -> None:
    @program
    async def run(call: Call) -> None:
        await call.gather(max_digits=4, secure=True)
        await call.http("https://example.com/")
        await call.set(card=call.variables["digits"])
        await call.http("https://example.com/")

    server = Server({"verbs": []}, {"verbs": []})
    async with Rehearsal(run, webhooks=server) as caller:
        await breathe(0.5)
        caller.press("7391")
        await caller.end()
    first, second = (told["variables"] for _, told in server.asked)
    assert "7391" not in repr(first)
    assert second["card"] == "7391"
    assert "digits" not in second
