"""docs/client.md: its commands are commands, and what its programs import is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
COMMANDS = re.findall(r"^gateway .*$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_one(line: str) -> None:
    _, *words = shlex.split(line, comments=True)
    done = CliRunner().invoke(app, [*words, "--help"])  # options that are none are told before
    assert done.exit_code == 0, done.stderr
    assert "--url" in done.stdout
