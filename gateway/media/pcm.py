"""Owns audio that is wholly in memory: samples, what may be done to them before they are played,
and how much of it is kept."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

MAX_DECIBEL = 40.0
"""A factor of 100: more than any recording is too quiet."""

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Pcm:
    """16-bit little-endian mono samples at `rate` Hz."""

    samples: bytes = field(repr=False)
    rate: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / 2 / self.rate


def trimmed(pcm: Pcm, seek_seconds: float) -> Pcm:
    """`pcm` without its first seconds; nothing is left of one that is shorter.

    Raises ValueError: negative, or no number.
    """
    if not (math.isfinite(seek_seconds) and seek_seconds >= 0):
        raise ValueError(f"cannot start {seek_seconds} seconds after the beginning")
    start = min(round(seek_seconds * pcm.rate), len(pcm.samples) // 2)
    return Pcm(pcm.samples[2 * start :], pcm.rate) if start else pcm


def scaled(pcm: Pcm, decibel: float) -> Pcm:
    """`pcm` louder (or, negative, quieter); what would be too loud is clipped, never wrapped round.

    Raises ValueError: more than MAX_DECIBEL, or no number.
    """
    if math.isnan(decibel) or decibel > MAX_DECIBEL:
        raise ValueError(f"cannot make audio {decibel} dB louder, only up to {MAX_DECIBEL:g} dB")
    if decibel == 0:
        return pcm
    whole = len(pcm.samples) // 2 * 2
    samples = np.frombuffer(pcm.samples[:whole], "<i2") * 10.0 ** (decibel / 20)
    return Pcm(np.rint(samples).clip(-32768, 32767).astype("<i2").tobytes(), pcm.rate)


class Kept(Generic[V]):
    """Values of which the least recently used go first, when there are too many or too large.

    Belongs to the asyncio thread. weight: what a value takes, in bytes.
    """

    def __init__(self, entries: int, size: int, weight: Callable[[V], int]) -> None:
        self._entries = entries
        self._size = size
        self._weight = weight
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._total = 0
        self._making: dict[Hashable, asyncio.Task[V]] = {}

    def find(self, key: Hashable) -> V | None:
        """What is kept under `key`."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: Hashable, value: V) -> None:
        """Keeps `value`; one that alone is too large is not kept."""
        self.drop(key)
        weight = self._weight(value)
        if weight > self._size:
            return
        self._values[key] = value
        self._total += weight
        while len(self._values) > self._entries or self._total > self._size:
            self.drop(next(iter(self._values)))

    def drop(self, key: Hashable) -> None:
        """Forgets `key`."""
        value = self._values.pop(key, None)
        if value is not None:
            self._total -= self._weight(value)

    async def once(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """What `make` gives, which runs once however many ask for `key` meanwhile.

        A caller who hangs up does not take it from another who waits for the same.
        """
        if key not in self._making:
            task = asyncio.create_task(make(), name="audio")
            self._making[key] = task
            task.add_done_callback(lambda done: self._made(key, done))
        return await asyncio.shield(self._making[key])

    def _made(self, key: Hashable, task: asyncio.Task[V]) -> None:
        del self._making[key]
        if not task.cancelled():
            task.exception()  # everyone who waited may have left: it counts as seen
