"""Owns what is known about the node's dialplan besides its rules: its file, when it was read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from gateway.app.files import compile_plan
from gateway.calls import CallRegistry
from gateway.clock import Clock
from gateway.config.model import NodeConfig
from gateway.dialplan import Plan


class NodePlan:
    """The dialplan of a node. See gateway.api.dialplan.Plans."""

    def __init__(
        self,
        registry: CallRegistry,
        clock: Clock,
        config: NodeConfig,
        programs: Iterable[str],
        file: Path | None,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._config = config
        self._programs = frozenset(programs)
        self._file = file
        self._read_at = clock.now().wall

    @property
    def plan(self) -> Plan:
        """The one in force."""
        return self._registry.plan

    @property
    def file(self) -> str | None:
        """Its file, without the folder; None: it was not read from one."""
        return None if self._file is None else self._file.name

    @property
    def read_at(self) -> datetime:
        """When that was read."""
        return self._read_at

    def use(self, plan: Plan) -> None:
        """New calls are routed by `plan`, which was just read."""
        self._read_at = self._clock.now().wall
        self._registry.use_plan(plan)

    def compiled(self, source: str) -> Plan:
        """The plan in `source`, checked like the node's own. Raises ConfigError."""
        return compile_plan(source, self.file or "dialplan", self._config, self._programs)
