"""Captures over HTTP: who may, and what is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.api.captures import CaptureEndpoint
from gateway.api.operations import Operation
from gateway.config.identity import Scope
from gateway.identity.values import Identity
from tests.api.conftest import StartApi
from tests.api.known import Stand, known
from tests.calls.test_captures import CALL
from tests.calls.test_captures import Stand as Captures

PATH = f"/v1/calls/{CALL}/capture"


@pytest.fixture
async def stand(start_api: StartApi, tmp_path: Path) -> AsyncIterator[Stand]:
    """A node that knows keys, and has one call of the project `acme`."""
    captures = Captures(tmp_path)

    def operations(_: object) -> list[Operation]:
        return CaptureEndpoint(captures.captures).operations()

    async with known(start_api, operations) as made:
        yield made


async def test_only_the_scope_of_captures_opens_them(stand: Stand) -> None:
    others = [scope for scope in Scope if scope not in (Scope.CALLS_CAPTURE, Scope.ADMIN)]
    other = await stand.key(*others, name="other", project="acme")
    for method, path in (
        ("POST", PATH), ("GET", PATH), ("DELETE", PATH), ("GET", PATH + "/status"),
    ):  # fmt: skip
        assert (await stand.ask(method, path, other, json={}))[0] == 403
    assert Identity(scopes=frozenset({Scope.ADMIN})).may(Scope.CALLS_CAPTURE)


async def test_from_beginning_to_download(stand: Stand) -> None:
    key = await stand.key(Scope.CALLS_CAPTURE, project="acme")
    status, told = await stand.ask("POST", PATH, key, json={"seconds": 5, "digits": True})
    assert (status, told["state"], told["digits"], told["reason"]) == (202, "running", True, None)
    assert (await stand.ask("POST", PATH, key, json={}))[1]["code"] == "capturing"
    assert (await stand.ask("GET", PATH, key))[0] == 409
    async with stand.api.client.delete(PATH, headers=key) as response:
        assert response.status == 204
    _, told = await stand.ask("GET", PATH + "/status", key)
    assert (told["state"], told["reason"], told["packets"]) == ("done", "asked", 7)
    async with stand.api.client.get(PATH, headers=key) as response:
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Content-Disposition"] == f'attachment; filename="{CALL}-1.pcap"'


async def test_another_projects_call_is_not_there(stand: Stand) -> None:
    mine = await stand.key(Scope.CALLS_CAPTURE, project="acme")
    theirs = await stand.key(Scope.ADMIN, name="other", project="other")
    assert (await stand.ask("POST", PATH, theirs, json={}))[0] == 404
    assert (await stand.ask("POST", PATH, mine, json={}))[0] == 202
    for method, path in (("GET", PATH), ("DELETE", PATH), ("GET", PATH + "/status")):
        assert (await stand.ask(method, path, theirs))[0] == 404
    assert (await stand.ask("GET", PATH + "/status", mine))[1]["state"] == "running"


@pytest.mark.parametrize("body", [{"seconds": 0}, {"seconds": 601}, {"video": True}, {"sip": 3}])
async def test_what_makes_no_sense_is_refused(stand: Stand, body: dict[str, object]) -> None:
    key = await stand.key(Scope.CALLS_CAPTURE, project="acme")
    assert (await stand.ask("POST", PATH, key, json=body))[0] == 400
