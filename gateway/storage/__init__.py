"""Storage: the event log in memory; the database and the records in it (modules of their own)."""

from gateway.storage.event_log import Envelope, EventLog, EventsLost, Subscription, encode

__all__ = ["Envelope", "EventLog", "EventsLost", "Subscription", "encode"]
