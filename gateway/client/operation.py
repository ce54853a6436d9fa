"""Owns what the client's methods have in common: the operation that each is, and lists in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

PAGE = 200
"""How many of a list are asked for at once."""


def operation(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Says which operation of the OpenAPI document a method is; tests hold the two together."""

    def mark(method: Callable[P, R]) -> Callable[P, R]:
        method.__dict__["operation"] = name
        return method

    return mark


async def paged(
    ask: Callable[[str | None], Awaitable[tuple[Sequence[T], str | None]]],
) -> AsyncIterator[T]:
    """Everything of a list. ask: one page for a cursor, and the cursor of the next."""
    cursor: str | None = None
    while True:
        items, cursor = await ask(cursor)
        for item in items:
            yield item
        if cursor is None:
            return
