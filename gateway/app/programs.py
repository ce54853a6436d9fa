"""Owns finding the call programs that the configuration names."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

from gateway.apps import App
from gateway.calls.programs import Program
from gateway.config.document import ConfigError, Problem
from gateway.config.loader import read_document
from gateway.config.model import NodeConfig


def load_programs(config_file: Path, config: NodeConfig) -> Mapping[str, Program]:
    """Imports every App of `apps`; the configuration's folder is searched for modules first.

    Raises ConfigError with every located problem.
    """
    if not config.apps:
        return {}
    folder = str(config_file.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    document = read_document(config_file)
    programs: dict[str, Program] = {}
    problems: list[Problem] = []
    for place, name in enumerate(config.apps):
        found = _find(name)
        if isinstance(found, App):
            twice = sorted(found.programs.keys() & programs.keys())
            programs.update(found.programs)
            if not twice:
                continue
            message, remedy = f"program {twice[0]!r} is in two apps", "rename one"
        else:
            message, remedy = found
        problems.append(document.problem(("apps", place), message, remedy))
    if problems:
        raise ConfigError(*problems)
    return programs


def _find(name: str) -> App | tuple[str, str]:
    """The App called `module:name`, or what is wrong and what to do."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except Exception as error:  # whatever a user's module raises when it is imported
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        what = f"{module!r} cannot be imported: {type(error).__name__}: {error}"
        return what, f"look at {where}; modules are looked for beside this file"
    if not isinstance(found, App):
        return f"{module!r} has no App called {attribute!r}", "write app = App() in it"
    return found
