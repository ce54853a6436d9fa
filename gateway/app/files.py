"""Reads a node's files: configuration and dialplan, each checked against the other."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.app.programs import load_programs
from gateway.app.speech import load_prompts
from gateway.calls.programs import Program
from gateway.config.document import PLAN_CAPS, Document, parse_document
from gateway.config.loader import dialplan_path, load_config, read_plan
from gateway.config.model import NodeConfig
from gateway.dialplan import Plan, check_against, plan_from
from gateway.media.prompts import Prompts


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """What a node is told to do, and where its dialplan was read."""

    config: NodeConfig
    plan: Plan
    plan_file: Path
    programs: Mapping[str, Program]
    prompts: Prompts
    folder: Path  # of the configuration


def read_files(config_file: Path) -> NodeFiles:
    """The configuration, its call programs, speech and dialplan. Raises ConfigError, every problem
    located."""
    config = load_config(config_file)
    programs = load_programs(config_file, config)
    plan_file = dialplan_path(config_file, config)
    plan = load_plan(plan_file, config, programs)
    prompts = load_prompts(config_file, config)
    return NodeFiles(config, plan, plan_file, programs, prompts, config_file.resolve().parent)


def load_plan(
    plan_file: Path, config: NodeConfig | None = None, programs: Iterable[str] = ()
) -> Plan:
    """The dialplan, checked against `config` and the names of `programs` if given. Raises
    ConfigError. Takes up to a second for 10,000 rules: a node reads it in a thread of its own."""
    with _without_collections():
        return _checked(read_plan(plan_file), config, programs)


def compile_plan(text: str, name: str, config: NodeConfig, programs: Iterable[str]) -> Plan:
    """As `load_plan`, from a text; `name`: its file, for problems."""
    with _without_collections():
        return _checked(parse_document(text, name, PLAN_CAPS), config, programs)


def _checked(document: Document, config: NodeConfig | None, programs: Iterable[str]) -> Plan:
    plan = plan_from(document)
    if config is not None:
        trunks = (trunk.name for trunk in config.sip.trunks)
        check_against(plan, document, trunks, programs)
    return plan


@contextmanager
def _without_collections() -> Iterator[None]:
    """No cyclic garbage collection: it would look through all new rules over and over, which
    doubles the time, and stop every other thread meanwhile."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
