"""Owns bounded memory: lists that keep their beginning and their end, samples that thin out."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from gateway.ports import PortStats

T = TypeVar("T")

_SAMPLE = struct.Struct("<dIIIIIIIffII?")
MAX_SAMPLES = 900
"""Of a leg: the newest 300 stand one by one, older ones further apart as the call grows."""
_NEWEST = 300


class Kept(Generic[T]):
    """A list of at most `most` items and `most_bytes`. What is one too many is taken out behind the
    `first` ones: how something began and how it ended says most."""

    def __init__(self, most: int, most_bytes: int, first: int, size_of: Callable[[T], int]) -> None:
        self._items: list[T] = []
        self._most = most
        self._most_bytes = most_bytes
        self._first = first
        self._size_of = size_of
        self.bytes = 0
        self.left_out = 0

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: T) -> None:
        """Appends an item."""
        self._items.append(item)
        self.bytes += self._size_of(item)
        while len(self._items) > 1 and (
            len(self._items) > self._most or self.bytes > self._most_bytes
        ):
            gone = self._items.pop(min(self._first, len(self._items) - 1))
            self.bytes -= self._size_of(gone)
            self.left_out += 1


class Samples:
    """Counters of one leg, oldest first, a few bytes each."""

    def __init__(self) -> None:
        self._packed: list[bytes] = []

    def __len__(self) -> int:
        return len(self._packed)

    @property
    def bytes(self) -> int:
        """About how much memory they take."""
        return len(self._packed) * (_SAMPLE.size + 40)

    def add(self, at: float, stats: PortStats) -> None:
        """A sample, newer than all others."""
        self._packed.append(
            _SAMPLE.pack(
                at,
                _u32(stats.rx_packets),
                _u32(stats.rx_lost),
                _u32(stats.tx_packets),
                _u32(stats.remote_lost),
                _u32(stats.rejected_source),
                _u32(stats.srtp_failures),
                _u32(stats.malformed),
                stats.jitter_ms,
                stats.rtt_ms,
                _u32(stats.dtmf_received),
                _u32(stats.dtmf_sent),
                stats.direct,
            )
        )
        if len(self._packed) >= MAX_SAMPLES:
            self._thin_out()

    def _thin_out(self) -> None:
        """Older samples stand so far apart that about _NEWEST of them are left."""
        old, new = self._packed[:-_NEWEST], self._packed[-_NEWEST:]
        times = [float(_SAMPLE.unpack(packed)[0]) for packed in old]
        step = 1.0
        while (times[-1] - times[0]) / step > _NEWEST:
            step *= 2
        kept, due = [], times[0]
        for at, packed in zip(times, old, strict=True):
            if at >= due:
                kept.append(packed)
                due = at + step - 0.5
        self._packed = kept + new

    def __iter__(self) -> Iterator[tuple[float, PortStats]]:
        for packed in self._packed:
            at, rx, lost, tx, remote, rejected, srtp, bad, jitter, rtt, heard, sent, direct = (
                _SAMPLE.unpack(packed)
            )
            yield (
                at,
                PortStats(
                    rx_packets=rx,
                    rx_lost=lost,
                    tx_packets=tx,
                    rejected_source=rejected,
                    srtp_failures=srtp,
                    malformed=bad,
                    jitter_ms=round(jitter, 3),
                    rtt_ms=round(rtt, 3),
                    remote_lost=remote,
                    dtmf_received=heard,
                    dtmf_sent=sent,
                    direct=direct,
                ),
            )


def _u32(value: int) -> int:
    return min(max(value, 0), 0xFFFFFFFF)
