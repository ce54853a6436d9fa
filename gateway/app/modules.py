"""Owns importing what the configuration names as `module:name`."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path


class ImportProblem(Exception):  # noqa: N818 (a problem of the user's file, with its remedy)
    """What is wrong, and what to do about it."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def search_beside(config_file: Path) -> None:
    """Has modules looked for in the configuration's folder first."""
    folder = str(config_file.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)


def find(name: str) -> object:
    """The attribute called `module:name`; None: the module has none. Raises ImportProblem."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute, None)
    except Exception as error:  # whatever a user's module raises when it is imported
        raise raised(f"{module!r} cannot be imported", error) from error


def raised(what: str, error: Exception) -> ImportProblem:
    """The problem that a user's code raised `error`, and where."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    return ImportProblem(
        f"{what}: {type(error).__name__}: {error}",
        f"look at {where}; modules are looked for beside this file",
    )
