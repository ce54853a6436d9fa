"""The `gateway events` and `gateway verbs` commands: pages of the documentation."""

from __future__ import annotations

from gateway.api.event_reference import event_reference
from gateway.verbs.reference import reference


def events() -> None:
    """Prints every event with its fields, as Markdown (docs/events.md)."""
    print(event_reference(), end="")


def verbs() -> None:
    """Prints every verb with its fields and spellings, as Markdown (docs/verbs.md)."""
    print(reference(), end="")
