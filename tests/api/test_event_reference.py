"""docs/events.md is current."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from gateway.cli.main import app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "events.md"


def test_the_reference_on_the_page_is_current() -> None:
    _, begin, rest = PAGE.read_text().partition("<!-- reference:begin -->\n")
    shown, end, _ = rest.partition("<!-- reference:end -->\n")
    assert begin
    assert end
    assert shown == CliRunner().invoke(app, ["events"]).stdout, "run: gateway events, and paste it"
