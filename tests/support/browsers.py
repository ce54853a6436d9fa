"""Real browsers as the tests use them: tabs that open, click, type and record what they hear."""

from __future__ import annotations

import abc
import base64
import json
from collections.abc import Sequence
from typing import Any, Protocol

from tests.support.processes import wait_until
from tests.support.tones import Audio, decode

ECHOES_OFF = """
(() => {
  const devices = navigator.mediaDevices;
  if (!devices) return;
  const ask = devices.getUserMedia.bind(devices);
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  devices.getUserMedia = (wish) => {
    const { audio, ...rest } = wish;
    const exact = typeof audio === "object" ? { ...audio, ...plain } : audio && plain;
    return ask({ ...rest, audio: exact });
  };
})()
"""
"""Run before the page: browsers clean up speech and would take a steady tone for noise."""

LEAD = 0.4  # seconds until a recorder has settled; they are not given back
_RECORD = """
(async () => {
  const audio = document.getElementById(%(element)s);
  if (!audio.srcObject?.active) return "";
  const recorder = new MediaRecorder(audio.srcObject);
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  const stopped = new Promise((resolve) => (recorder.onstop = resolve));
  recorder.start();
  await new Promise((resolve) => setTimeout(resolve, %(milliseconds)d));
  recorder.stop();
  await stopped;
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096)
    text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return btoa(text);
})()
"""


class Tab(abc.ABC):
    """One tab. Elements are named by their id."""

    @abc.abstractmethod
    async def open(self, url: str) -> None:
        """Loads a page and waits for its load event."""

    @abc.abstractmethod
    async def click(self, selector: str) -> None:
        """Clicks the element of a CSS selector with the pointer."""

    @abc.abstractmethod
    async def fill(self, selector: str, text: str) -> None:
        """Replaces the text of an input field."""

    @abc.abstractmethod
    async def evaluate(self, script: str) -> Any:
        """The JSON value of a JavaScript expression; promises are awaited."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Closes the tab at once, as a user does."""

    @property
    @abc.abstractmethod
    def problems(self) -> Sequence[str]:
        """JavaScript errors so far: thrown by the page, or written with console.error."""

    async def text(self, selector: str) -> str:
        """The text of an element, or the value of an input field."""
        element = f"document.querySelector({json.dumps(selector)})"
        return str(await self.evaluate(f"(e => (e.value ?? e.textContent).trim())({element})"))

    async def wait_for(self, script: str, within: float, what: str = "") -> Any:
        """Waits until a JavaScript expression is true and returns its value."""
        return await wait_until(lambda: self.evaluate(script), within, what or script)

    async def wait_for_text(self, selector: str, part: str, within: float) -> str:
        """Waits until an element's text contains `part` (in any case); returns the text."""
        seen = ""

        async def look() -> bool:
            nonlocal seen
            seen = await self.text(selector)
            return part.lower() in seen.lower()

        try:
            await wait_until(look, within, f"{selector} says {part!r}")
        except AssertionError as late:
            raise AssertionError(f"{late}; it says {seen!r}") from None
        return seen

    async def record(self, seconds: float, element: str = "remote-audio") -> Audio:
        """Records what an audio element plays, as the page itself can (MediaRecorder).

        Gives audio of no length while the element has no live track.
        """
        length = int((LEAD + seconds) * 1000)
        script = _RECORD % {"element": json.dumps(element), "milliseconds": length}
        return decode(base64.b64decode(await self.evaluate(script))).part(LEAD)


class Browser(Protocol):
    """A running browser. Its fake microphone gives a tone of that frequency and level (dBFS)."""

    name: str
    microphone_hz: float
    microphone_db: float

    async def start(self) -> None:
        """Starts it; returns when it takes commands."""
        ...

    async def stop(self) -> None:
        """Ends it with everything that it started."""
        ...

    async def tab(self) -> Tab:
        """A new, empty tab."""
        ...
