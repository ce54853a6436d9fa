"""The gateway's web page as a person uses it: dials, presses keys, reads what it says."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.support.browsers import Tab
from tests.support.tones import Audio

SET_UP_SECONDS = 15.0
REMARK_SECONDS = 5.0  # for what the page should say at once

_INSERT = """
new Promise((done) => {
  const { dtmf } = window.gatewayPhone;
  const listen = (event) => {
    if (event.tone !== "") return;
    dtmf.removeEventListener("tonechange", listen);
    done(true);
  };
  dtmf.addEventListener("tonechange", listen);
  dtmf.insertDTMF(%s, %d, %d);
})
"""
_RECEIVED = """
[...document.querySelectorAll("#digits-received > li")].map((item) => ({ ...item.dataset }))
"""


@dataclass(frozen=True, slots=True)
class ReceivedDigit:
    """A digit as the page lists it. `duration_ms` is None until it has ended."""

    digit: str
    duration_ms: int | None
    by_websocket: bool
    by_channel: bool


class PhonePage:
    """One tab with the page open."""

    def __init__(self, tab: Tab, url: str) -> None:
        self.tab = tab
        self._url = url

    async def open(self, user: str = "") -> None:
        """Opens the page; signs in as `user` where one is given."""
        await self.tab.open(self._url)
        connected = "document.querySelector('#connection').dataset.connection === 'open'"
        await self.tab.wait_for(connected, SET_UP_SECONDS, "the page is connected")
        if user:
            await self.tab.fill("#user", user)
            await self.tab.click("#sign-in")
            await self.tab.wait_for_text("#identity", user, REMARK_SECONDS)

    async def dial(self, to: str) -> None:
        """Enters a destination and presses the call button."""
        await self.tab.fill("#to", to)
        await self.tab.click("#call")

    async def call(self, to: str) -> None:
        """Calls and waits for the answer."""
        await self.dial(to)
        await self.wait_for_state("answered", within=SET_UP_SECONDS)

    async def hang_up(self) -> None:
        """Ends the call by its button."""
        await self.tab.click("#hangup")
        await self.wait_for_state("ended", within=REMARK_SECONDS)

    async def leave(self) -> None:
        """Ends the call if there is one; it may be ending by itself."""
        await self.tab.evaluate("document.querySelector('#hangup').click()")
        await self.wait_for_state("idle", "ended", within=REMARK_SECONDS)

    async def state(self) -> str:
        """idle, connecting, ringing, early, answered, held or ended."""
        return str(await self.tab.evaluate("document.querySelector('#state').dataset.state"))

    async def wait_for_state(self, *states: str, within: float) -> None:
        """Waits until the call is in one of `states`; tells the page's error otherwise."""
        wanted = json.dumps(states)
        script = f"{wanted}.includes(document.querySelector('#state').dataset.state)"
        try:
            await self.tab.wait_for(script, within, f"call state {' or '.join(states)}")
        except AssertionError as late:
            said = await self.tab.text("#error")
            raise AssertionError(
                f"{late}; state {await self.state()!r}, error {said!r}, {self.tab.problems}"
            ) from None

    async def insert(self, tones: str, duration_ms: int, gap_ms: int) -> None:
        """RTCDTMFSender.insertDTMF; returns when the browser has played out all tones."""
        # "answered" may be on the page a moment before the browser has taken the SDP answer.
        await self.tab.wait_for("window.gatewayPhone.dtmf?.canInsertDTMF", REMARK_SECONDS)
        await self.tab.evaluate(_INSERT % (json.dumps(tones), duration_ms, gap_ms))

    async def received(self) -> list[ReceivedDigit]:
        """The digits from the far end that the page lists."""
        return [
            ReceivedDigit(
                item["digit"],
                int(item["duration"]) if "duration" in item else None,
                item.get("websocket") == "true",
                item.get("channel") == "true",
            )
            for item in await self.tab.evaluate(_RECEIVED)
        ]

    async def wait_for_digits(self, digits: str, within: float) -> list[ReceivedDigit]:
        """Waits until as many digits have ended, by both ways; asserts that they are these."""
        done = f"""
            [...document.querySelectorAll("#digits-received > li[data-phase=ended]")].filter(
              ({{ dataset }}) => dataset.websocket && dataset.channel).length >= {len(digits)}"""
        try:
            await self.tab.wait_for(done, within, f"{len(digits)} digits on the page")
        except AssertionError as late:
            raise AssertionError(f"{late}; it lists {await self.received()}") from None
        received = await self.received()
        assert "".join(item.digit for item in received) == digits
        return received

    async def record(self, seconds: float) -> Audio:
        """Records what the tab hears of the far end."""
        return await self.tab.record(seconds)
