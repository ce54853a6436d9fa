"""Chromium through Playwright: Debian's binary, a WAV file for a microphone, no network."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from playwright.async_api import Browser as PlaywrightBrowser
from playwright.async_api import BrowserContext, ConsoleMessage, Page, Playwright, async_playwright

from tests.support.browsers import ECHOES_OFF, Tab
from tests.support.processes import ProgramError
from tests.support.tones import sine, write_wav

TIMEOUT_MS = 15_000

_FLAGS = (
    "--no-sandbox",  # tests run as root, where Chromium's sandbox does not
    "--disable-gpu",
    # Nothing that calls home.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    # A microphone without hardware and without a question to the user.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
)


class ChromiumTab(Tab):
    """One tab, in a profile of its own."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self._context, self._page = context, page
        self._problems: list[str] = []
        page.on("pageerror", lambda error: self._problems.append(str(error)))
        page.on("console", self._on_console)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._problems.append(message.text)

    async def open(self, url: str) -> None:
        """Loads a page and waits for its load event."""
        await self._page.goto(url)

    async def click(self, selector: str) -> None:
        """Clicks the element of a CSS selector with the pointer."""
        await self._page.click(selector)

    async def fill(self, selector: str, text: str) -> None:
        """Replaces the text of an input field."""
        await self._page.fill(selector, text)

    async def evaluate(self, script: str) -> Any:
        """The JSON value of a JavaScript expression; promises are awaited."""
        return await self._page.evaluate(script)

    async def close(self) -> None:
        """Closes the tab at once, as a user does."""
        await self._page.close()
        await self._context.close()

    @property
    def problems(self) -> list[str]:
        """JavaScript errors so far: thrown by the page, or written with console.error."""
        return self._problems


class Chromium:
    """A headless Chromium whose microphone is a sine of `microphone_hz`."""

    name = "chromium"
    microphone_db = -15.0

    def __init__(self, directory: Path, microphone_hz: float = 600) -> None:
        self.microphone_hz = microphone_hz
        self._directory = directory
        self._playwright: Playwright | None = None
        self._browser: PlaywrightBrowser | None = None

    async def start(self) -> None:
        """Starts it; returns when it takes commands."""
        binary = shutil.which("chromium")
        if binary is None:
            raise ProgramError("chromium (Debian package chromium) is not installed")
        self._directory.mkdir(parents=True, exist_ok=True)
        # Ten seconds that end on a whole cycle: Chromium plays the file round and round.
        tone = sine(self.microphone_hz, self.microphone_db, 10)
        microphone = write_wav(self._directory / "microphone.wav", tone)
        self._playwright = await async_playwright().start()
        self._browser = await self._playwright.chromium.launch(
            executable_path=binary,
            headless=True,
            args=[*_FLAGS, f"--use-file-for-fake-audio-capture={microphone}"],
        )

    async def tab(self) -> ChromiumTab:
        """A new, empty tab."""
        assert self._browser is not None, "start it first"
        context = await self._browser.new_context()
        context.set_default_timeout(TIMEOUT_MS)
        await context.add_init_script(ECHOES_OFF)
        return ChromiumTab(context, await context.new_page())

    async def stop(self) -> None:
        """Ends it with everything that it started."""
        if self._browser is not None:
            await self._browser.close()
        if self._playwright is not None:
            await self._playwright.stop()
