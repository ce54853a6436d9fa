"""A program that asks the API in a process of its own, and tells how long each answer took."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import cycle
from typing import Any

import aiohttp

PAUSE = 0.02  # seconds between an answer and the next question: about 40 questions per second

Question = tuple[str, str, str, dict[str, Any] | None]
"""Its name, method, path and body."""


def questions(calls: list[str]) -> list[Callable[[int], Question]]:
    """What is asked in turn, about one call after the other."""

    def one(number: int) -> str:
        return f"/v1/calls/{calls[number % len(calls)]}"

    return [
        lambda _: ("list live calls", "GET", "/v1/calls", None),
        lambda n: ("show a call", "GET", one(n), None),
        lambda n: ("mute", "POST", f"{one(n)}/verbs", {"mute": {"leg": "callee"}}),
        lambda n: ("unmute", "POST", f"{one(n - 1)}/verbs", {"unmute": {"leg": "callee"}}),
        lambda _: ("list records", "GET", "/v1/cdrs?limit=50", None),
        lambda n: ("send a digit", "POST", f"{one(n)}/verbs?wait=0", {"send_dtmf": "5"}),
    ]


async def ask(url: str, key: str, seconds: float) -> dict[str, list[float]]:
    """Milliseconds of each answer, by the question's name. Raises RuntimeError: one failed."""
    took: defaultdict[str, list[float]] = defaultdict(list)
    async with aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {key}"}) as http:
        async with http.get("/v1/calls?limit=1000") as response:
            calls = [call["id"] for call in (await response.json())["calls"]]
        end, number = time.monotonic() + seconds, 0
        for question in cycle(questions(calls)):
            if time.monotonic() >= end:
                return dict(took)
            name, method, path, body = question(number)
            headers = {"Idempotency-Key": f"{number}"} if name == "mute" else {}
            begun = time.perf_counter()
            async with http.request(method, path, json=body, headers=headers) as response:
                told = await response.read()
            took[name].append((time.perf_counter() - begun) * 1000)
            if response.status >= 400:
                raise RuntimeError(f"{name}: {response.status} {told.decode()[:300]}")
            number += name == "unmute"
            await asyncio.sleep(PAUSE)
    return dict(took)


def main() -> None:
    """Prints the times as JSON. The key is in BENCH_KEY."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(ask(options.url, os.environ["BENCH_KEY"], options.seconds))))


if __name__ == "__main__":
    main()
