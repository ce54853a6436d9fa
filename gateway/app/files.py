"""Reads a node's files: configuration and dialplan, each checked against the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.config.loader import dialplan_path, load_config, read_document
from gateway.config.model import NodeConfig
from gateway.dialplan import Plan, check_against, plan_from


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """What a node is told to do."""

    config: NodeConfig
    plan: Plan


def read_files(config_file: Path) -> NodeFiles:
    """The configuration and its dialplan. Raises ConfigError, every problem located."""
    config = load_config(config_file)
    document = read_document(dialplan_path(config_file, config))
    plan = plan_from(document)
    check_against(plan, document, (trunk.name for trunk in config.sip.trunks))
    return NodeFiles(config, plan)
