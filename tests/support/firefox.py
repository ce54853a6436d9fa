"""Firefox through WebDriver BiDi, which it speaks itself: Debian's binary, no driver program."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.browsers import ECHOES_OFF, Tab
from tests.support.processes import Program, ProgramError

COMMAND_TIMEOUT = 60.0  # seconds; the longest script of a test
KEY_BACKSPACE, KEY_CONTROL = "\ue003", "\ue009"  # WebDriver 17.4.2

_PREFERENCES: dict[str, bool | int | str] = {
    # A microphone without hardware and without a question to the user: a steady 1 kHz tone.
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    # Candidates of 127.0.0.1, by address instead of by an mDNS name.
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    # Nothing that calls home (what --remote-debugging-port does not switch off already).
    "app.normandy.enabled": False,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.push.connection.enabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "media.gmp-provider.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disabled": True,
    "network.trr.mode": 5,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.server": "",
    "browser.backup.enabled": False,
}


class BidiError(AssertionError):
    """Firefox refused a command, or a script threw."""


class _Session:
    """One BiDi connection: commands with answers, and the log events of all tabs."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.problems: dict[str, list[str]] = {}
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            answer = json.loads(message.data)
            if answer.get("method") == "log.entryAdded":
                self._note(answer["params"])
            elif answer.get("id") in self._waiting:
                self._waiting.pop(answer["id"]).set_result(answer)
        for future in self._waiting.values():
            future.set_exception(BidiError("the connection is gone"))
        self._waiting.clear()

    def _note(self, entry: dict[str, Any]) -> None:
        if entry["level"] == "error":
            context = entry["source"].get("context", "")
            self.problems.setdefault(context, []).append(str(entry.get("text")))

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(COMMAND_TIMEOUT):
            answer = await answered
        if answer["type"] != "success":
            raise BidiError(f"{method}: {answer['error']}: {answer['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def close(self) -> None:
        await self._socket.close()
        await self._reader


class FirefoxTab(Tab):
    """One tab."""

    def __init__(self, session: _Session, context: str) -> None:
        self._session, self._context = session, context

    async def open(self, url: str) -> None:
        """Loads a page and waits for its load event."""
        await self._session.command(
            "browsingContext.navigate", context=self._context, url=url, wait="complete"
        )

    async def evaluate(self, script: str) -> Any:
        """The JSON value of a JavaScript expression; promises are awaited."""
        text = await self._evaluate(f"Promise.resolve({script}).then(v => JSON.stringify(v))")
        return json.loads(text["value"]) if "value" in text else None

    async def _evaluate(self, script: str) -> dict[str, Any]:
        answer = await self._session.command(
            "script.evaluate",
            expression=script,
            target={"context": self._context},
            awaitPromise=True,
            userActivation=True,
        )
        if answer["type"] == "exception":
            raise BidiError(f"{answer['exceptionDetails']['text']} in {script[:200]}")
        result: dict[str, Any] = answer["result"]
        return result

    async def click(self, selector: str) -> None:
        """Clicks the element of a CSS selector with the pointer."""
        quoted = json.dumps(selector)
        node = await self._evaluate(
            f"(e => (e.scrollIntoView({{block: 'center'}}), e))(document.querySelector({quoted}))"
        )
        origin = {"type": "element", "element": {"sharedId": node["sharedId"]}}
        await self._act(
            type="pointer",
            actions=[
                {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
                {"type": "pointerDown", "button": 0},
                {"type": "pointerUp", "button": 0},
            ],
        )

    async def fill(self, selector: str, text: str) -> None:
        """Replaces the text of an input field."""
        await self.click(selector)
        keys = [
            ("keyDown", KEY_CONTROL), ("keyDown", "a"), ("keyUp", "a"), ("keyUp", KEY_CONTROL),
            ("keyDown", KEY_BACKSPACE), ("keyUp", KEY_BACKSPACE),
        ]  # fmt: skip
        keys += [(way, key) for key in text for way in ("keyDown", "keyUp")]
        await self._act(type="key", actions=[{"type": way, "value": key} for way, key in keys])

    async def _act(self, **source: Any) -> None:
        await self._session.command(
            "input.performActions", context=self._context, actions=[{"id": "hand", **source}]
        )
        await self._session.command("input.releaseActions", context=self._context)

    async def close(self) -> None:
        """Closes the tab at once, as a user does."""
        await self._session.command("browsingContext.close", context=self._context)

    @property
    def problems(self) -> list[str]:
        """JavaScript errors so far: thrown by the page, or written with console.error."""
        return self._session.problems.get(self._context, [])


class Firefox:
    """A headless Firefox; its fake microphone always gives 1 kHz."""

    name = "firefox"
    microphone_hz = 1000.0
    microphone_db = -22.9

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._program: Program | None = None
        self._http: aiohttp.ClientSession | None = None
        self._session: _Session | None = None

    async def start(self) -> None:
        """Starts it; returns when it takes commands."""
        binary = shutil.which("firefox-esr") or shutil.which("firefox")
        if binary is None:
            raise ProgramError("firefox-esr (Debian package firefox-esr) is not installed")
        profile = self._directory / "profile"
        profile.mkdir(parents=True)
        (profile / "user.js").write_text(
            "".join(
                f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in _PREFERENCES.items()
            )
        )
        self._program = Program(
            [
                binary,
                "--headless",
                "--no-remote",
                "--profile",
                profile,
                "--remote-debugging-port",
                "0",
            ],
            self._directory,
            "firefox",
            {"HOME": str(self._directory), "MOZ_CRASHREPORTER_DISABLE": "1"},
        )
        await self._program.start()
        address = await self._program.ready(self._address, within=60)
        self._http = aiohttp.ClientSession()
        self._session = _Session(await self._http.ws_connect(f"{address}/session", max_msg_size=0))
        await self._session.command("session.new", capabilities={})
        await self._session.command("session.subscribe", events=["log.entryAdded"])
        await self._session.command(
            "script.addPreloadScript", functionDeclaration=f"() => {{ {ECHOES_OFF} }}"
        )

    def _address(self) -> str:
        assert self._program is not None
        found = re.search(r"WebDriver BiDi listening on (ws://\S+)", self._program.log)
        return found[1] if found else ""

    async def tab(self) -> FirefoxTab:
        """A new, empty tab."""
        assert self._session is not None, "start it first"
        created = await self._session.command("browsingContext.create", type="tab")
        return FirefoxTab(self._session, created["context"])

    async def stop(self) -> None:
        """Ends it with everything that it started."""
        if self._session is not None:
            await self._session.close()
        if self._http is not None:
            await self._http.close()
        if self._program is not None:
            await self._program.stop()
