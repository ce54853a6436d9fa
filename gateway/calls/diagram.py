"""Prints the call state diagram from the transition table, as Mermaid text for ARCHITECTURE.md.

`python -m gateway.calls.diagram` prints it; `--write FILE` puts it between the file's markers;
`--check FILE` ends with status 1 when the file shows something else.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from gateway.calls.machine import TABLE
from gateway.terms import Phase

BEGIN = "<!-- state-diagram:begin -->"
END = "<!-- state-diagram:end -->"

_OVER = (Phase.ENDING, Phase.ENDED)
_LIVE = tuple(phase for phase in Phase if phase not in _OVER)


class MarkerError(ValueError):
    """The file has no place for the diagram."""


def diagram() -> str:
    """The diagram: a Mermaid code block, without a trailing newline. Inputs that lead out of every
    live phase are drawn once, from the frame around them."""
    edges: defaultdict[tuple[Phase, Phase], list[str]] = defaultdict(list)
    for (phase, kind), transition in TABLE.items():
        for target in transition.targets - {phase}:
            edges[phase, target].append(kind.__name__)
    common = {
        target: sorted(set.intersection(*(set(edges[phase, target]) for phase in _LIVE)))
        for target in _OVER
    }
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> new", "    state live {"]
    outside = [
        f"    live --> {target}: {', '.join(names)}" for target, names in common.items() if names
    ]
    for source in Phase:
        for target in Phase:
            drawn = common.get(target, []) if source in _LIVE else []
            names = [name for name in edges.get((source, target), []) if name not in drawn]
            edge = f"{source} --> {target}: {', '.join(names)}"
            if names and target in _OVER:
                outside.append(f"    {edge}")
            elif names:
                lines.append(f"        {edge}")
    return "\n".join([*lines, "    }", *outside, "    ended --> [*]", "```"])


def with_diagram(text: str) -> str:
    """`text` with the present diagram between its markers. Raises MarkerError."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise MarkerError(f"no {BEGIN} ... {END}: add the two lines where the diagram belongs")
    return f"{before}{BEGIN}\n{diagram()}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m gateway.calls.diagram")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--write", metavar="FILE", type=Path, help="update the diagram in FILE")
    choice.add_argument("--check", metavar="FILE", type=Path, help="fail when FILE is out of date")
    chosen = parser.parse_args(arguments)
    file: Path | None = chosen.write or chosen.check
    if file is None:
        sys.stdout.write(diagram() + "\n")
        return 0
    text = file.read_text(encoding="utf-8")
    try:
        wanted = with_diagram(text)
    except MarkerError as error:
        sys.stderr.write(f"{file}: {error}\n")
        return 1
    if chosen.write:
        file.write_text(wanted, encoding="utf-8")
    elif wanted != text:
        sys.stderr.write(
            f"{file}: the state diagram is out of date "
            f"(run python -m gateway.calls.diagram --write {file})\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
