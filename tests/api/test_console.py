"""The web page as served: headers, types, and nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway import errors
from gateway.console import STATIC
from tests.api.conftest import Api

FILES = sorted(path for path in STATIC.iterdir() if path.is_file())
NAMESPACES = ("http://www.w3.org/2000/svg",)  # a name, never fetched
IDS = [
    "to",
    "user",
    "sign-in",
    "call",
    "hangup",
    "hold",
    "state",
    "mic-level",
    "digits-sent",
    "digits-received",
    "error",
    "remote-audio",
    "incoming",
    "accept",
    "decline",
    "tone-length",
]


async def test_the_page_has_a_strict_policy(api: Api) -> None:
    response = await api.client.get("/")
    assert response.status == 200
    assert response.content_type == "text/html"
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "frame-ancestors 'none'" in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "microphone=(self)" in response.headers["Permissions-Policy"]
    assert response.headers["Server"] == "gateway"


async def test_every_part_of_the_page_is_served_with_its_type(api: Api) -> None:
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    wanted = set()
    for page in ("/", "/docs"):
        text = await (await api.client.get(page)).text()
        wanted |= set(re.findall(r'(?:src|href)="(/static/[^"]+)"', text))
    for path in FILES:
        if path.suffix == ".js":
            wanted |= {
                f"/static/{name}" for name in re.findall(r'from "\./(.+?)"', path.read_text())
            }
    assert wanted == {f"/static/{path.name}" for path in FILES if path.suffix != ".html"}
    for url in wanted:
        response = await api.client.get(url)
        assert response.status == 200
        assert response.content_type == types[url[url.rindex(".") :]]
        assert "Content-Security-Policy" in response.headers


async def test_nothing_else_is_served(api: Api) -> None:
    for url in ("/static/", "/static/../__init__.py", "/static/%2e%2e/__init__.py", "/static/x.js"):
        assert (await api.client.get(url)).status == 404


async def test_an_unchanged_file_is_not_sent_again(api: Api) -> None:
    first = await api.client.get("/static/app.js")
    again = await api.client.get("/static/app.js", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status == 304


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_names_another_server(path: Path) -> None:
    text = path.read_text()
    for namespace in NAMESPACES:
        text = text.replace(namespace, "")
    assert not re.findall(r"(?:https?|wss?|ftp):/{2}[\w.]|[\"'(]//\w|@import|url\(", text)


def test_no_script_or_style_is_inline() -> None:
    page = (STATIC / "index.html").read_text()
    assert not re.findall(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", page)


def test_the_ids_that_browser_tests_use_are_there() -> None:
    page = (STATIC / "index.html").read_text()
    found = re.findall(r'\bid="([^"]+)"', page)
    assert set(IDS) <= set(found)
    assert len(found) == len(set(found))


def test_every_end_of_a_call_has_words() -> None:
    words = (STATIC / "words.js").read_text()
    verdicts = {value for value in vars(errors).values() if isinstance(value, errors.Verdict)}
    # No ends that a person meets; the last two are of records.
    others = {"normal", "bad_request", "bad_sdp", "interrupted", "database_failed"}
    for code in {verdict.code for verdict in verdicts} - others:
        assert f"  {code}: (" in words


def test_every_field_has_a_label() -> None:
    page = (STATIC / "index.html").read_text()
    for field in re.findall(r'<input id="([^"]+)"', page):
        assert f'<label for="{field}"' in page
