"""The list of commands: each is what it says, and loads what it needs alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from gateway import __version__
from gateway.cli.main import COMMANDS, app

OF_CLIENTS = ("calls", "call", "trunks", "cdr", "top")
OF_NODES = (
    "aiortc", "alembic", "argon2", "numpy", "phonenumbers", "pjgw", "sqlalchemy", "uvloop",
    "gateway.api", "gateway.app", "gateway.calls", "gateway.dialplan", "gateway.media",
    "gateway.storage",
)  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_what_the_list_says_of_a_command_it_says_itself(name: str) -> None:
    own = COMMANDS[name].load()
    assert " ".join(own.help.split("\n\n")[0].split()) == COMMANDS[name].about
    done = CliRunner().invoke(app, [name, "--help"], prog_name="gateway")
    assert done.exit_code == 0
    assert f"Usage: gateway {name} " in done.stdout


def test_the_list_has_all_of_them() -> None:
    done = CliRunner().invoke(app, ["--help"])
    assert done.exit_code == 0
    for name in COMMANDS:
        assert f" {name} " in done.stdout


def test_a_word_that_is_none_is_told_with_what_it_may_have_meant() -> None:
    done = CliRunner().invoke(app, ["trunk"])
    assert done.exit_code == 2
    assert "Did you mean 'trunks'" in done.stderr


def test_its_version_is_the_one_that_the_api_tells() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"gateway {__version__}\n")


@pytest.mark.parametrize("words", [*OF_CLIENTS, ""])
def test_commands_that_ask_a_gateway_do_not_load_one(words: str) -> None:
    program = (
        "import sys\n"
        "from gateway.cli.main import app\n"
        f"app([*{words!r}.split(), '--help'], standalone_mode=False)\n"
        f"print([name for name in {OF_NODES} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
