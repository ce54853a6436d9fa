"""Owns one example of each verb: as a step, as a plan writes it, and as a program does. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Example:
    """The same verb three times. `step` is what REST and webhooks take, as JSON."""

    step: Mapping[str, Any]
    yaml: str
    python: str


EXAMPLES: Mapping[str, Example] = MappingProxyType(
    {
        "answer": Example({"answer": {}}, "answer:", "await call.answer()"),
        "ring": Example(
            {"ring": {"early_media": True}},
            "ring: {early_media: true}",
            "await call.ring(early_media=True)",
        ),
        "reject": Example(
            {"reject": {"status": 486, "reason": "Busy here"}},
            "reject: {status: 486, reason: Busy here}",
            'await call.reject(486, "Busy here")',
        ),
        "hangup": Example({"hangup": "Goodbye"}, "hangup: Goodbye", 'call.hangup("Goodbye")'),
        "dial": Example(
            {
                "dial": {
                    "strategy": "sequence",
                    "targets": [
                        {"user": "alice", "ring_timeout": 20},
                        {"trunk": "provider", "number": "+12125550143"},
                    ],
                    "whisper": "A call for sales.",
                }
            },
            "dial:\n"
            "    strategy: sequence\n"
            "    targets:\n"
            "      - {user: alice, ring_timeout: 20}\n"
            "      - {trunk: provider, number: +12125550143}\n"
            "    whisper: A call for sales.",
            "result = await call.dial(\n"
            '    strategy="sequence",\n'
            "    targets=[\n"
            '        {"user": "alice", "ring_timeout": 20},\n'
            '        {"trunk": "provider", "number": "+12125550143"},\n'
            "    ],\n"
            '    whisper="A call for sales.",\n'
            ")",
        ),
        "bridge": Example(
            {"bridge": "c-aHQkMvgI9e9aiU-0"},
            "bridge: c-aHQkMvgI9e9aiU-0",
            'await call.bridge("c-aHQkMvgI9e9aiU-0")',
        ),
        "play": Example(
            {"play": {"file": "sounds/welcome.ogg", "stop_on": "#"}},
            'play: {file: sounds/welcome.ogg, stop_on: "#"}',
            'await call.play("sounds/welcome.ogg", stop_on="#")',
        ),
        "say": Example(
            {"say": {"text": "2026-12-24", "as": "date", "language": "en-GB"}},
            "say: {text: 2026-12-24, as: date, language: en-GB}",
            'await call.say("2026-12-24", spoken_as="date", language="en-GB")',
        ),
        "gather": Example(
            {
                "gather": {
                    "question": "Your four digits, please.",
                    "min_digits": 4,
                    "max_digits": 4,
                    "attempts": 3,
                    "nothing_came": "Are you still there?",
                }
            },
            "gather:\n"
            "    question: Your four digits, please.\n"
            "    min_digits: 4\n"
            "    max_digits: 4\n"
            "    attempts: 3\n"
            "    nothing_came: Are you still there?",
            "keys = await call.gather(\n"
            '    "Your four digits, please.",\n'
            "    min_digits=4,\n"
            "    max_digits=4,\n"
            "    attempts=3,\n"
            '    nothing_came="Are you still there?",\n'
            ")",
        ),
        "send_dtmf": Example(
            {"send_dtmf": {"digits": "1,23#", "duration_ms": 200}},
            'send_dtmf: {digits: "1,23#", duration_ms: 200}',
            'await call.send_dtmf("1,23#", duration_ms=200)',
        ),
        "pause": Example({"pause": 1.5}, "pause: 1.5", "await call.pause(1.5)"),
        "hold": Example(
            {"hold": {"leg": "callee", "music": "sounds/waiting.ogg"}},
            "hold: {leg: callee, music: sounds/waiting.ogg}",
            'await call.hold("callee", music="sounds/waiting.ogg")',
        ),
        "unhold": Example(
            {"unhold": {"leg": "callee"}}, "unhold: {leg: callee}", 'await call.unhold("callee")'
        ),
        "mute": Example({"mute": {}}, "mute:", "await call.mute()"),
        "unmute": Example({"unmute": {}}, "unmute:", "await call.unmute()"),
        "record": Example(
            {"record": {"consent": True, "format": "ogg", "beep": True}},
            "record: {consent: true, format: ogg, beep: true}",
            'recorded = await call.record(consent=True, format="ogg", beep=True)',
        ),
        "set": Example(
            {"set": {"tier": "gold"}}, "set: {tier: gold}", 'await call.set(tier="gold")'
        ),
        "goto": Example(
            {"goto": {"context": "closed"}}, "goto: closed", 'await call.goto("closed")'
        ),
        "http": Example(
            {
                "http": {
                    "url": "https://crm.example/calls",
                    "timeout": 3,
                    "fallback": [{"say": "Please call again later."}],
                }
            },
            "http:\n"
            "    url: https://crm.example/calls\n"
            "    timeout: 3\n"
            "    fallback: [say: Please call again later.]",
            "fetched = await call.http(\n"
            '    "https://crm.example/calls",\n'
            "    timeout=3,\n"
            '    fallback=[{"say": "Please call again later."}],\n'
            ")",
        ),
    }
)
"""By the verb's name. The tests hold the three forms of each together."""
