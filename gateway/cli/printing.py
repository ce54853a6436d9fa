"""Owns how the command line prints: tables, and text of peers that could be anything."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import timedelta

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNBOUNDED = 10_000
"""Columns of what is no terminal: nothing is cut off or wrapped there."""


def console() -> Console:
    """Standard output."""
    return Console(width=None if sys.stdout.isatty() else _UNBOUNDED, highlight=False)


def plain(text: object) -> Text:
    """A text as it is: no markup, and nothing that a terminal would obey."""
    shown = "-" if text in (None, "") else str(text)
    return Text("".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}"
                        for each in shown))  # fmt: skip


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table without lines. A column whose name begins with `>` is aligned to the right."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        made.add_column(name.removeprefix(">"), justify="right" if name[0] == ">" else "left")
    for row in rows:
        made.add_row(*[cell if isinstance(cell, Text) else plain(cell) for cell in row])
    return made


def lines(found: Iterable[BaseModel]) -> None:
    """One JSON object a line."""
    for each in found:
        print(each.model_dump_json(by_alias=True))


def span(seconds: float) -> str:
    """A duration: 1:05, 1:00:05."""
    whole = str(timedelta(seconds=max(0, round(seconds))))
    return whole.removeprefix("0:").removeprefix("0") if whole.startswith("0:") else whole
