"""Storage: the event log in memory."""

from gateway.storage.event_log import Envelope, EventLog, EventsLost, Subscription, encode

__all__ = ["Envelope", "EventLog", "EventsLost", "Subscription", "encode"]
