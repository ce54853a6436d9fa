"""What a node has besides calls, for tests of the API: dialplan, trunks, itself."""

from __future__ import annotations

from datetime import datetime

from gateway.app.files import compile_plan
from gateway.calls import CallRegistry
from gateway.config.model import NodeConfig
from gateway.contract.node import MediaClock, NodeView
from gateway.dialplan import Plan
from tests.identity.makers import START

CONFIG = NodeConfig.model_validate(
    {"dialplan": "plan.yaml", "sip": {"trunks": [
        {"name": "carrier", "host": "192.0.2.1", "username": "us", "password": "top secret"},
        {"name": "theirs", "host": "sip.example", "project": "sales", "transport": "tcp"},
    ]}}
)  # fmt: skip
TRUNKS = CONFIG.sip.trunks


def node_view() -> NodeView:
    """A node that has nothing to do."""
    return NodeView(
        node="here", version="1", started_at=START, state="ready", live_calls=0, max_calls=500,
        signed_in=0, media_ports=1, sip=[], recordings=0, records_waiting=0, records_lost=0,
        media_clock=MediaClock(ticks=50, late_ticks=0, skipped_ticks=0),
    )  # fmt: skip


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
