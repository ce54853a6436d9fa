"""Calls: the pure state machine, the supervisor that performs its effects, and the registry."""

from gateway.calls.call import Call, LegView
from gateway.calls.registry import CallRegistry, CallSettings

__all__ = ["Call", "CallRegistry", "CallSettings", "LegView"]
