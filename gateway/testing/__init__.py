"""Test doubles that ship: legs, media, SIP plane and browsers that need no network, and a virtual
clock. They serve the gateway's own tests and those of its users' programs and dialplans."""

from gateway.testing.clock import (
    InlineExecutor,
    LoopClock,
    ManualClock,
    VirtualLoop,
    run_virtual,
    virtual_time,
)
from gateway.testing.legs import FakeBrowsers, FakeLeg, FakeSipPlane
from gateway.testing.media import FakeMedia
from gateway.testing.prompts import SpokenPrompts
from gateway.testing.rehearsal import Rehearsal

__all__ = [
    "FakeBrowsers",
    "FakeLeg",
    "FakeMedia",
    "FakeSipPlane",
    "InlineExecutor",
    "LoopClock",
    "ManualClock",
    "Rehearsal",
    "SpokenPrompts",
    "VirtualLoop",
    "run_virtual",
    "virtual_time",
]
