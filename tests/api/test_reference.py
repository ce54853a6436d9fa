"""The page of the API's operations: all of the document, and nothing that breaks out of it."""

from __future__ import annotations

import json
import shlex
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gateway.config.identity import Scope
from gateway.console.reference import page
from tests.api.conftest import StartApi
from tests.api.known import Stand, known
from tests.support.chromium import Chromium


@pytest.fixture
async def stand(start_api: StartApi) -> AsyncIterator[Stand]:
    """A node that knows keys."""
    async with known(start_api) as made:
        yield made


class Seen(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.listings: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "pre":
            self.listings.append("")
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                assert value not in self.ids
                self.ids.add(value or "")
            elif name == "href" and tag == "a":
                self.links.add(value or "")
            elif name in ("src", "href"):
                self.loaded.add(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data
        if "pre" in self.tags[-2:]:
            self.listings[-1] += data


async def served(stand: Stand) -> tuple[Seen, dict[str, Any]]:
    async with stand.api.client.get("/docs") as response:
        assert response.status == 200
        assert response.content_type == "text/html"
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        found = Seen(await response.text())
    async with stand.api.client.get("/v1/openapi.json") as response:
        return found, await response.json()


async def test_every_operation_parameter_and_schema_is_there(stand: Stand) -> None:
    found, document = await served(stand)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["operationId"] in found.ids
            assert f"{method.upper()} {path}" in found.text
            for part in operation.get("parameters", ()):
                assert part["name"] in found.text
            for scope in operation["security"][0]["key"]:
                assert f"Needs the scope {scope}." in found.text
    for name, schema in document["components"]["schemas"].items():
        assert f"schema-{name}" in found.ids
        for field in schema.get("properties", ()):
            assert field in found.text


async def test_every_link_leads_somewhere_on_the_page(stand: Stand) -> None:
    found, _ = await served(stand)
    assert found.links - {f"#{name}" for name in found.ids} == {"/v1/openapi.json"}


async def test_it_needs_nothing_but_style_sheets_and_an_icon(stand: Stand) -> None:
    found, _ = await served(stand)
    assert found.loaded == {"/static/style.css", "/static/docs.css", "/static/icon.svg"}
    assert "script" not in found.tags
    assert not [name for name in found.attributes if name.startswith("on") or name == "style"]


async def test_every_example_is_a_request_that_the_api_understands(stand: Stand) -> None:
    found, document = await served(stand)
    listings = [text.replace("\\\n", " ") for text in found.listings]
    commands = [shlex.split(text) for text in listings if text.startswith("curl ")]
    admin, bodies = await stand.key(Scope.ADMIN), 0
    for path, item in document["paths"].items():
        for method, operation in item.items():
            where = "$GATEWAY_URL" + path.replace("{", "$").replace("}", "")
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            [command] = [c for c in commands if _asks(c, method.upper(), where)]
            assert command[:4] == ["curl", "-sS", "-H", "@key.header"]
            if content is not None:
                bodies += 1
                body = json.loads(command[command.index("--json") + 1])
                _, answer = await stand.ask(method.upper(), path, admin, json=body)
                assert answer.get("code") not in ("bad_request", "unprocessable"), answer
    assert bodies


def _asks(command: list[str], method: str, where: str) -> bool:
    told = "POST" if "--json" in command else "GET"
    if "-X" in command:
        told = command[command.index("-X") + 1]
    return command[4].partition("?")[0] == where and told == method


HOSTILE = "</code></td><script>alert(1)</script><img src=x onerror=alert(1)>\"'><a href=x:y>"


def test_hostile_text_stays_text() -> None:
    schema = {
        "type": "object", "description": HOSTILE, "title": HOSTILE,
        "properties": {HOSTILE: {"type": HOSTILE, "pattern": HOSTILE, "default": HOSTILE},
                       "of": {"enum": [HOSTILE]}},
    }  # fmt: skip
    operation = {
        "operationId": HOSTILE, "summary": HOSTILE, "description": f"`{HOSTILE}` {HOSTILE}",
        "tags": [HOSTILE], "security": [{"key": [HOSTILE]}],
        "parameters": [{"name": HOSTILE, "in": "query", "required": True, "schema": schema}],
        "requestBody": {"content": {"application/json": {"schema": {"example": HOSTILE}}}},
        "responses": {HOSTILE: {"description": HOSTILE, "content": {HOSTILE: {}}}},
    }  # fmt: skip
    document = {
        "info": {"title": HOSTILE, "version": HOSTILE, "description": HOSTILE},
        "paths": {f"/v1/{HOSTILE}": {"post": operation}},
        "components": {"schemas": {HOSTILE: schema}},
    }
    harmless = json.loads(json.dumps(document).replace(json.dumps(HOSTILE)[1:-1], "harmless"))
    found, plain = Seen(page(document).decode()), Seen(page(harmless).decode())
    assert found.tags == plain.tags
    assert found.attributes == plain.attributes
    assert all(link.startswith(("#", "/v1/")) for link in found.links)
    assert found.loaded == plain.loaded


@pytest.mark.browser
async def test_a_browser_shows_it_within_its_policy(stand: Stand, tmp_path: Path) -> None:
    chromium = Chromium(tmp_path)
    await chromium.start()
    try:
        tab = await chromium.tab()
        await tab.open(str(stand.api.server.make_url("/docs#createCall")))
        seen = await tab.evaluate(
            "[...document.querySelectorAll('article')].map(each => each.offsetHeight > 0)"
        )
        columns = await tab.evaluate(
            "getComputedStyle(document.querySelector('.docs')).gridTemplateColumns"
        )
        beside = await tab.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        there = await tab.evaluate(
            "document.querySelector(':target').getBoundingClientRect().top < innerHeight / 2"
        )
        problems = tab.problems
    finally:
        await chromium.stop()
    assert problems == []  # a policy that was broken would be one
    assert len(seen) > 20
    assert all(seen)
    assert len(columns.split()) == 2  # its style sheets are in force
    assert beside == 0  # nothing sticks out
    assert there
