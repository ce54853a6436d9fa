"""Minutes of a day end calls that are under way; in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config.identity import Caps
from gateway.errors import GatewayError
from gateway.identity.values import Grant, Identity
from gateway.testing import virtual_time
from tests.api.registry import FakeBrowserLeg, Node


def somebody(minutes: float) -> Identity:
    """A user with so many minutes."""
    return Identity(user="bob", grants=(Grant.of("user:bob", Caps(minutes_per_day=minutes)),))


async def _call(node: Node, identity: Identity) -> FakeBrowserLeg:
    leg = FakeBrowserLeg(node.media)
    with node.calls.admit(identity, "echo") as admission:
        await node.calls.place(leg, admission)
    leg.media()
    return leg


@virtual_time
async def test_a_call_ends_when_the_minutes_are_used_up() -> None:
    node = Node()
    leg = await _call(node, somebody(2))
    await asyncio.sleep(119)
    assert not leg.ended
    await asyncio.sleep(2)
    assert leg.ended
    assert leg.verdict is not None
    assert leg.verdict.code == "minutes_used_up"
    with pytest.raises(GatewayError, match="used up"):
        await _call(node, somebody(2))
    await node.close()


@virtual_time
async def test_calls_at_once_share_the_minutes() -> None:
    node = Node()
    first = await _call(node, somebody(4))
    await asyncio.sleep(60)
    second = await _call(node, somebody(4))
    await asyncio.sleep(30)
    node.calls.hangup(next(iter(node.registry.calls)))
    await asyncio.sleep(1)
    assert first.ended
    assert not second.ended
    await asyncio.sleep(118)  # 91 and 149 of the 240 seconds
    assert not second.ended
    await asyncio.sleep(3)
    assert second.ended
    await node.close()


@virtual_time
async def test_calls_that_began_at_once_use_no_more_than_the_minutes() -> None:
    """The first had all of them before it when it began."""
    node = Node()
    legs = [await _call(node, somebody(4)) for _ in range(2)]
    await asyncio.sleep(118)
    assert not any(leg.ended for leg in legs)
    await asyncio.sleep(4)
    assert all(leg.ended for leg in legs)
    await node.close()
