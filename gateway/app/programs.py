"""Owns finding the call programs that the configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.app.modules import ImportProblem, find, search_beside
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
    search_beside(config_file)
    document = read_document(config_file)
    programs: dict[str, Program] = {}
    problems: list[Problem] = []
    for place, name in enumerate(config.apps):
        try:
            found = _app(name)
            twice = sorted(found.programs.keys() & programs.keys())
            if twice:
                raise ImportProblem(f"program {twice[0]!r} is in two apps", "rename one")
            programs.update(found.programs)
        except ImportProblem as problem:
            problems.append(document.problem(("apps", place), problem.message, problem.remedy))
    if problems:
        raise ConfigError(*problems)
    return programs


def _app(name: str) -> App:
    found = find(name)
    if not isinstance(found, App):
        module, _, attribute = name.partition(":")
        raise ImportProblem(
            f"{module!r} has no App called {attribute!r}", "write app = App() in it"
        )
    return found
