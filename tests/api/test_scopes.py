"""Every operation is opened by its own scope, by `admin`, and by no other."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from gateway.config.identity import Scope
from tests.api.conftest import StartApi
from tests.api.known import Stand, known


@pytest.fixture
async def stand(start_api: StartApi) -> AsyncIterator[Stand]:
    async with known(start_api) as made:
        yield made


async def operations(stand: Stand) -> dict[tuple[str, str], list[str]]:
    """What the document says that each needs."""
    _, document = await stand.ask("GET", "/v1/openapi.json")
    return {
        (method.upper(), re.sub(r"{\w+}", "c-some", path)): operation["security"][0]["key"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


@pytest.mark.parametrize("scope", list(Scope))
async def test_a_scope_opens_what_needs_it_and_nothing_else(stand: Stand, scope: Scope) -> None:
    needed = await operations(stand)
    key = await stand.key(scope)
    opened = set()
    for method, path in needed:
        async with stand.api.client.request(method, path, headers=key, json={}) as response:
            assert response.status != 401
            if response.status != 403:
                opened.add((method, path))
    if scope is Scope.ADMIN:
        assert opened == set(needed)
    else:
        assert opened == {asked for asked, scopes in needed.items() if scopes in ([], [scope])}
