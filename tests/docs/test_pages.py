"""What the pages of docs/ show works: plans compile, their cases hold, programs run, links lead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.apps import App
from gateway.config.loader import load_config, read_plan
from gateway.config.model import WebConfig
from gateway.dialplan import plan_from
from gateway.errors import GatewayError
from gateway.testing import Rehearsal, virtual_time
from gateway.testing.cases import coverage, load, run_all
from gateway.web.client import HttpClient
from gateway.web.webhooks import WebhookClient
from tests.web.conftest import SECRET

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
MARKED = re.compile(r"^```yaml\n# (dialplan|cases)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^```(?:yaml|python)\n(# ([\w.]+\.\w+)\n.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[tuple[str, str]]:
    """The marked YAML of a page: `dialplan` or `cases`, and the text."""
    return [(kind, text) for kind, text in MARKED.findall(page.read_text())]


WITH_PLANS = [page for page in PAGES if blocks(page)]


@pytest.mark.parametrize("page", WITH_PLANS, ids=name_of)
def test_plans_compile_and_their_cases_hold(page: Path, tmp_path: Path) -> None:
    plan = tmp_path / "page.yaml"
    for kind, text in blocks(page):
        if kind == "dialplan":
            plan.write_text(text)
            plan_from(read_plan(plan))
            continue
        (tmp_path / "page.cases.yaml").write_text(text)
        suite = load(tmp_path / "page.cases.yaml")
        results = run_all(suite)
        assert [line for result in results if result.failures for line in result.lines()] == []
        assert [found.missed for found in coverage([(suite, results)])] == [()]


def test_the_how_tos_all_have_plans() -> None:
    how_tos = set((ROOT / "docs" / "how-to").glob("*.md")) - {
        ROOT / "docs" / "how-to" / "README.md"
    }
    assert len(how_tos) >= 8
    assert how_tos <= set(WITH_PLANS)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text()):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        if anchor and target.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", one).replace(" ", "-").lower() for one in headings}
            assert anchor[1:] in anchors, f"{path}{anchor}"


# ---- the tutorial ---------------------------------------------------------------------------


def files_of(page: Path) -> list[tuple[str, str]]:
    return [(name, text) for text, name in NAMED.findall(page.read_text())]


def test_the_tutorials_files_work_in_both_faces(tmp_path: Path) -> None:
    shown = files_of(ROOT / "docs" / "tutorial.md")
    assert [name for name, _ in shown[:3]] == ["node.yaml", "menu.yaml", "menu.cases.yaml"]
    for first, last, cases in ((0, 3, 3), (3, len(shown), 2)):
        for name, text in shown[first:last]:
            (tmp_path / name).write_text(text)
        assert load_config(tmp_path / "node.yaml").demo
        results = run_all(load(tmp_path / "menu.cases.yaml"))
        assert [result.failures for result in results] == [()] * cases


@pytest.mark.parametrize(("page", "count"), [("tutorial.md", 4), ("programs.md", 3)])
def test_rehearsals_on_pages_pass(page: str, count: int, pytester: pytest.Pytester) -> None:
    for name, text in files_of(ROOT / "docs" / page):
        (pytester.path / name).write_text(text)
    quiet = ("-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function")
    pytester.runpytest(*quiet).assert_outcomes(passed=count)


# ---- programs on the pages ------------------------------------------------------------------


def run(code: str) -> dict[str, Any]:
    """A page's Python; its names."""
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, "page", "exec"), names)
    return names


def python_of(page: str) -> str:
    [code] = PYTHON.findall((ROOT / "docs" / page).read_text())
    return str(code)


@virtual_time
async def test_the_card_program_knows_cards() -> None:
    app: App = run(python_of("how-to/card-digits.md"))["app"]
    for digits, said in (
        ("4111111111111111", "Thank you."),
        ("4111111111111112", "That is no card number."),
        ("41*1111111111111", "That is no card number."),
    ):
        async with Rehearsal(app.programs["card"]) as caller:
            await caller.hears("Your card number, please, then the pound key.")
            caller.press(digits + "#")
            await caller.hears(said)
            await caller.end()
            assert digits not in str(caller.log.replay(0))


async def test_the_server_of_the_page_answers_who_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    app: web.Application = run(python_of("how-to/your-server-decides.md"))["app"]
    told = {"call": "c", "caller": "1", "callee": "100", "variables": {}}

    async def ask(secret: str) -> Any:
        config = WebConfig.model_validate(
            {"allow_private": ["127.0.0.0/8"], "attempts": 1, "secret": secret}
        )
        client = HttpClient(config)
        try:
            return await WebhookClient(client, config).ask(str(server.make_url("/calls")), told)
        finally:
            await client.close()

    async with TestServer(app) as server:
        assert await ask(SECRET) == {"verbs": [{"say": "You dialled 100."}]}
        with pytest.raises(GatewayError, match="401"):
            await ask("whsec_" + "QUJD" * 10)


async def test_the_engine_of_the_page_speaks() -> None:
    voice = run(python_of("how-to/languages-and-voices.md"))["Voice"]()
    pcm = await voice.render("Bonjour et bienvenue.", "fr", None)
    assert pcm.rate >= 8000
    assert 0.5 < pcm.seconds < 10
