"""Observability: structured logs without digits, numbers and credentials."""
