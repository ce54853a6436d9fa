"""Reads a node's files: configuration and dialplan, each checked against the other."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.config.loader import dialplan_path, load_config, read_plan
from gateway.config.model import NodeConfig
from gateway.dialplan import Plan, check_against, plan_from


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """What a node is told to do, and where its dialplan was read."""

    config: NodeConfig
    plan: Plan
    plan_file: Path


def read_files(config_file: Path) -> NodeFiles:
    """The configuration and its dialplan. Raises ConfigError, every problem located."""
    config = load_config(config_file)
    plan_file = dialplan_path(config_file, config)
    return NodeFiles(config, load_plan(plan_file, config), plan_file)


def load_plan(plan_file: Path, config: NodeConfig | None = None) -> Plan:
    """The dialplan, checked against `config` if given. Raises ConfigError. Takes up to a second
    for 10,000 rules: a node reads it in a thread of its own."""
    with _without_collections():
        document = read_plan(plan_file)
        plan = plan_from(document)
        if config is not None:
            check_against(plan, document, (trunk.name for trunk in config.sip.trunks))
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
