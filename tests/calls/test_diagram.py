"""The state diagram comes from the table, and ARCHITECTURE.md shows the present one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.calls.diagram import BEGIN, END, diagram, main, with_diagram
from gateway.calls.machine import TABLE
from gateway.terms import Phase

ARCHITECTURE = Path(__file__).parents[2] / "ARCHITECTURE.md"


def edges() -> set[tuple[str, str, str]]:
    """(from, to, input) as drawn; the frame `live` stands for every live phase."""
    drawn = set()
    live = [phase for phase in Phase if phase not in (Phase.ENDING, Phase.ENDED)]
    for source, target, names in re.findall(r"(\w+) --> (\w+): (.+)", diagram()):
        for name in names.split(", "):
            for phase in live if source == "live" else [Phase(source)]:
                drawn.add((str(phase), target, name))
    return drawn


def test_the_diagram_shows_every_transition_of_the_table_and_no_other() -> None:
    assert edges() == {
        (str(phase), str(target), kind.__name__)
        for (phase, kind), transition in TABLE.items()
        for target in transition.targets
        if target is not phase
    }


def test_the_architecture_document_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(ARCHITECTURE)]) == 0, capsys.readouterr().err


def test_write_brings_a_document_up_to_date(tmp_path: Path) -> None:
    file = tmp_path / "A.md"
    file.write_text(f"# A\n{BEGIN}\nold\n{END}\nmore\n")
    assert main(["--check", str(file)]) == 1
    assert main(["--write", str(file)]) == 0
    assert main(["--check", str(file)]) == 0
    text = file.read_text()
    assert text.startswith(f"# A\n{BEGIN}\n```mermaid\n")
    assert text.endswith(f"```\n{END}\nmore\n")
    assert with_diagram(text) == text


def test_a_document_without_markers_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "A.md"
    file.write_text("# A\n")
    assert main(["--write", str(file)]) == 1
    assert BEGIN in capsys.readouterr().err
    assert file.read_text() == "# A\n"


def test_without_a_file_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == diagram() + "\n"
