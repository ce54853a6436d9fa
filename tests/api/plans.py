"""A node's dialplan for tests of the API, as `gateway.app` has it, but without a file."""

from __future__ import annotations

from datetime import datetime

from gateway.app.files import compile_plan
from gateway.calls import CallRegistry
from gateway.config.model import NodeConfig
from gateway.dialplan import Plan
from tests.identity.makers import START

CONFIG = NodeConfig.model_validate(
    {"dialplan": "plan.yaml", "sip": {"trunks": [
        {"name": "carrier", "host": "192.0.2.1", "username": "us", "password": "top secret"},
        {"name": "theirs", "host": "sip.example", "project": "sales", "transport": "tcp"},
    ]}}
)  # fmt: skip
TRUNKS = CONFIG.sip.trunks


class KnownPlan:
    """A gateway.api.dialplan.Plans."""

    file = "plan.yaml"
    read_at: datetime = START

    def __init__(self, registry: CallRegistry) -> None:
        self._registry = registry

    @property
    def plan(self) -> Plan:
        return self._registry.plan

    def compiled(self, source: str) -> Plan:
        return compile_plan(source, self.file, CONFIG, ())
