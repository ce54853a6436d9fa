"""Webhooks: the outbox's way to their receivers, in order per call, at least once."""

from gateway.webhooks.deliverer import Backlog, Deliverer
from gateway.webhooks.lane import notice
from gateway.webhooks.schedule import BackOff

__all__ = ["BackOff", "Backlog", "Deliverer", "notice"]
