"""Owns reading a node's two files together: configuration and dialplan, and that they fit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.config.document import ConfigError
from gateway.config.loader import dialplan_path, load_config, read_document
from gateway.config.model import NodeConfig
from gateway.dialplan import Plan, check_against, plan_from


@dataclass(frozen=True, slots=True)
class Node:
    """What a node runs with."""

    config: NodeConfig
    plan: Plan
    plan_file: Path


def load_node(path: Path, environment: Mapping[str, str] = os.environ) -> Node:
    """Reads configuration and dialplan. Raises ConfigError with every problem that can be told:
    `str(problem)` is `file:line:column: message (remedy)`."""
    config = load_config(path, environment)
    plan_file = dialplan_path(path, config)
    return Node(config, load_plan(plan_file, config), plan_file)


def load_plan(path: Path, config: NodeConfig) -> Plan:
    """Reads a dialplan and checks it against the configuration. Raises ConfigError."""
    document = read_document(path)
    plan = plan_from(document)
    check_against(plan, document, [trunk.name for trunk in config.sip.trunks])
    return plan


def problems_of(path: Path, environment: Mapping[str, str] = os.environ) -> list[str]:
    """One line per problem of a configuration and its dialplan; none: all is well."""
    try:
        load_node(path, environment)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []
