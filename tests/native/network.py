"""What a network does to a packet train: loses, overtakes and repeats packets.

An arrival is a packet with the time at which it came.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable
from itertools import groupby

from tests.native.trains import Packet, Train

Arrivals = list[tuple[int, Packet]]  # microseconds, in order


def _positions(packets: list[Packet]) -> list[list[int]]:
    """The indices of each digit's packets, in order."""
    events = [(p.digit, i) for i, p in enumerate(packets) if p.digit >= 0]
    return [[i for _, i in group] for _, group in groupby(events, key=lambda pair: pair[0])]


def _pick_lost(packets: list[Packet], which: Callable[[list[int]], Iterable[int]]) -> set[int]:
    return {index for digit in _positions(packets) for index in which(digit)}


def all_but_end(survivor: int) -> Callable[[list[Packet]], set[int]]:
    """Only the `survivor`th of the three end packets of each digit arrives."""

    def lost(packets: list[Packet]) -> set[int]:
        return _pick_lost(packets, lambda d: [i for i in d if i != d[-3 + survivor]])

    return lost


def at_random(percent: int, seed: int) -> Callable[[list[Packet]], set[int]]:
    """Each packet is lost with this probability."""

    def lost(packets: list[Packet]) -> set[int]:
        dice = random.Random(seed)
        return {i for i in range(len(packets)) if dice.random() * 100 < percent}

    return lost


# Indices of lost packets, by name.
STRUCTURED_LOSS: dict[str, Callable[[list[Packet]], set[int]]] = {
    "none": lambda packets: set(),
    "first": lambda packets: _pick_lost(packets, lambda d: d[:1]),
    "middle": lambda packets: _pick_lost(packets, lambda d: [d[len(d) // 2]]),
    "last": lambda packets: _pick_lost(packets, lambda d: d[-1:]),
    "all but the first end": all_but_end(0),
    "all but the second end": all_but_end(1),
    "all but the last end": all_but_end(2),
}


def reorder(packets: list[Packet], lost: set[int], by: int, phase: int = 0) -> Arrivals:
    """Every (by + 2)th packet is overtaken by the `by` packets that follow it."""
    order: list[tuple[float, int]] = []
    for index in range(len(packets)):
        overtaken = by > 0 and index % (by + 2) == phase and index + by < len(packets)
        order.append((index + by + 0.5 if overtaken else float(index), index))
    order.sort()
    return [
        (packets[int(place)].at_us, packets[index])
        for place, index in order
        if index not in lost and packets[index].digit >= 0
    ]


def arrive(train: Train, *, drop: Collection[int] = ()) -> Arrivals:
    """The event packets in time, without those numbered in `drop` (audio is not counted)."""
    events = [p for p in train.packets if p.digit >= 0]
    return [(p.at_us, p) for i, p in enumerate(events) if i not in drop]


def duplicate(arrivals: Arrivals, copies_at_us: int = 3000) -> Arrivals:
    """Each packet arrives twice, the copy a little later."""
    copies = [(at_us + copies_at_us, packet) for at_us, packet in arrivals]
    return sorted([*arrivals, *copies], key=lambda arrival: arrival[0])


def delay(arrivals: Arrivals, delays_us: list[int]) -> Arrivals:
    """Each packet is delayed by its own time (repeated cyclically) without overtaking another."""
    out: Arrivals = []
    latest = 0
    for index, (at_us, packet) in enumerate(arrivals):
        latest = max(latest, at_us + delays_us[index % len(delays_us)])
        out.append((latest, packet))
    return out
