"""Observability: structured logs without digits, numbers and credentials."""

from gateway.observability.logs import configure_logs
from gateway.observability.redaction import redact

__all__ = ["configure_logs", "redact"]
