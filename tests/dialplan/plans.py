"""What tests of plans share: reading one, asking it, and seeing what is wrong with it."""

from __future__ import annotations

import functools
import textwrap
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.config.document import ConfigError, parse_document
from gateway.dialplan import (
    Decision,
    Destination,
    DialOut,
    DialTrunk,
    NoRoute,
    Origin,
    Plan,
    Refuse,
    Request,
    Route,
    decide,
    plan_from,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)  # a Tuesday


@functools.cache
def plan(text: str) -> Plan:
    """The plan in `text`, which may be indented."""
    return plan_from(parse_document(textwrap.dedent(text), "plan.yaml"))


def ask(text: str, callee: str, caller: str = "", **more: Any) -> Decision:
    """What the plan decides; the context is the caller's own unless given."""
    loaded = plan(text)
    origin = more.get("origin", Origin.BROWSER)
    more.setdefault("context", loaded.context_of(origin, more.get("source", caller)))
    more.setdefault("at", NOON)
    return decide(loaded, Request(caller=caller, callee=callee, **more))


def rule(decision: Decision) -> str | None:
    """The name of the rule that matched."""
    outcome = decision.outcome
    return None if isinstance(outcome, NoRoute) else outcome.rule.partition("] ")[2] or outcome.rule


def target(outcome: Route | NoRoute) -> Destination:
    """The one target that is dialled."""
    assert isinstance(outcome, Route), outcome
    assert isinstance(outcome.action, DialOut), outcome
    (found,) = outcome.action.targets
    return found


def trunk(outcome: Route | NoRoute) -> DialTrunk:
    """The one target that is dialled, which is a trunk's."""
    found = target(outcome)
    assert isinstance(found, DialTrunk), found
    return found


def number(decision: Decision) -> str:
    """The number that a trunk is asked for."""
    return trunk(decision.outcome).number


def shown(decision: Decision) -> str:
    """The caller's identity that a trunk is shown."""
    return trunk(decision.outcome).caller


def status(decision: Decision) -> int | None:
    """The SIP status of a refusal; None: the call goes somewhere."""
    if isinstance(decision.outcome, NoRoute):
        return 404
    action = decision.outcome.action
    return action.verdict.sip_status if isinstance(action, Refuse) else None


def problems(text: str) -> list[str]:
    """What is wrong with a plan, one printable line each."""
    with pytest.raises(ConfigError) as refused:
        plan_from(parse_document(textwrap.dedent(text), "plan.yaml"))
    return [str(problem) for problem in refused.value.problems]
