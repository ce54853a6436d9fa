"""Call programs of the configuration: found, checked against the dialplan, run on a call."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.app.files import read_files
from gateway.config.document import ConfigError

PROGRAM = """
from gateway.apps import App, Call

app = App()

@app.call("{name}")
async def answer(call: Call) -> None:
    await call.say("Hello.")
"""
PLAN = "version: 1\ncontexts:\n  browser:\n    - match: '1'\n      app: {name}\n"


def files(folder: Path, apps: str, program: str = "greet") -> Path:
    """A configuration beside its dialplan."""
    (folder / "plan.yaml").write_text(PLAN.format(name=program))
    config = folder / "gateway.yaml"
    config.write_text(f"demo: true\ndialplan: plan.yaml\napps: {apps}\n")
    return config


def problems(config: Path) -> str:
    """What is wrong with it."""
    with pytest.raises(ConfigError) as refused:
        read_files(config)
    return "\n".join(map(str, refused.value.problems))


def test_programs_are_found_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "greetings_a.py").write_text(PROGRAM.format(name="greet"))
    found = read_files(files(tmp_path, "['greetings_a:app']"))
    assert list(found.programs) == ["greet"]


def test_what_cannot_be_found_is_located(tmp_path: Path) -> None:
    (tmp_path / "greetings_b.py").write_text(PROGRAM.format(name="greet"))
    (tmp_path / "broken_b.py").write_text("x = 1\ny = 1 / 0\n")
    told = problems(files(tmp_path, "['nowhere_b:app', 'greetings_b:other', 'broken_b:app']"))
    assert "gateway.yaml:3:" in told
    assert "No module named 'nowhere_b'" in told
    assert "has no App called 'other'" in told
    assert "ZeroDivisionError" in told
    assert "broken_b.py:2" in told


def test_a_rule_cannot_name_a_program_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "greetings_c.py").write_text(PROGRAM.format(name="greet"))
    told = problems(files(tmp_path, "['greetings_c:app']", program="support"))
    assert "plan.yaml:5:" in told
    assert "no call program 'support'" in told
    assert "known programs: greet" in told


def test_two_apps_cannot_have_the_same_program(tmp_path: Path) -> None:
    for name in ("one_d", "two_d"):
        (tmp_path / f"{name}.py").write_text(PROGRAM.format(name="greet"))
    assert "'greet' is in two apps" in problems(files(tmp_path, "['one_d:app', 'two_d:app']"))
