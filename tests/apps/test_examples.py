"""The example programs, rehearsed as their users would."""

from __future__ import annotations

import asyncio

import pytest

from examples import call_back
from examples.menu import app
from gateway.errors import BUSY, NORMAL
from gateway.events import CallEnded
from gateway.testing import FakeLeg, Rehearsal, virtual_time

ASK = "Press one for our opening hours, two to test your keys."
AGAIN = "Are you still there?"
WRONG = "Sorry, that is not on the menu."


@virtual_time
async def test_the_menu_tells_opening_hours() -> None:
    async with Rehearsal(app.programs["menu"]) as caller:
        await caller.hears(ASK)
        caller.press("1")
        await caller.hears("We are open from nine to five.")
        assert (await caller.end()).code == "normal"


@virtual_time
async def test_the_menu_asks_again_and_gives_up() -> None:
    async with Rehearsal(app.programs["menu"]) as caller:
        await caller.hears(ASK)
        caller.press("9")
        await caller.hears(WRONG, ASK, AGAIN, ASK)
        await caller.hears("Please call again.")
        await caller.end()


@virtual_time
async def test_the_menu_plays_keys_back_as_tones() -> None:
    async with Rehearsal(app.programs["menu"]) as caller:
        await caller.hears(ASK)
        caller.press("2")
        await caller.hears("Press some keys, and pound at the end.")
        caller.press("42A#")
        await caller.hears("This is what you pressed.")
        await caller.end()
        assert caller.tones == "42A"


@virtual_time
async def test_a_code_is_read_twice_to_those_who_have_one() -> None:
    async with Rehearsal(app.programs["code"], caller="alice") as caller:
        twice = ("Your code is:", "four seven one one") * 2
        await caller.hears(*twice, "Goodbye.")
        await caller.end()
    async with Rehearsal(app.programs["code"], caller="mallory") as stranger:
        assert (await stranger.end()).text == "Unknown caller"
        assert not stranger.heard


@virtual_time
async def test_a_rehearsal_fails_where_the_program_says_something_else() -> None:
    async with Rehearsal(app.programs["menu"]) as caller:
        with pytest.raises(AssertionError, match="the caller hears"):
            await caller.hears("Welcome.")
    async with Rehearsal(app.programs["code"], caller="mallory") as caller:
        with pytest.raises(AssertionError, match="never said"):
            await caller.hears("Your code is:")


# ---- call-back ------------------------------------------------------------------------------

OFFER = "Nobody is free. Press one, and we call you back."
PROMISE = "We call you in a minute. Goodbye."
BACK = "You asked us to call you back. We connect you."
HOME = "+12125550100"


def answers_at_once(phone: FakeLeg) -> None:
    phone.rings()
    phone.answers()


def support(caller: str = HOME) -> Rehearsal:
    programs = call_back.app.programs
    return Rehearsal(programs["support"], caller=caller, programs=programs)


@virtual_time
async def test_a_caller_is_called_back_a_minute_after_hanging_up() -> None:
    async with support() as caller:
        caller.browsers.sessions["support"] = 1
        caller.phones.script = answers_at_once
        began = caller.now.monotonic
        await caller.hears(OFFER)
        assert caller.now.monotonic - began == pytest.approx(20, abs=0.1)  # a tab rang so long
        caller.press("1")
        await caller.hears(PROMISE)
        promised = caller.now.monotonic
        assert (await caller.end()).text == "Will be called back"

        back = await caller.called_out()
        assert back.now.monotonic - promised == pytest.approx(60, abs=0.1)
        [target] = back.phones.targets
        assert (target.trunk, target.number) == ("provider", HOME)
        await back.hears(BACK)
        await asyncio.sleep(1.5)
        tab = back.browsers.legs[-1]
        assert back.browsers.rung[-1][:2] == ("support", HOME)
        tab.answers()
        await asyncio.sleep(0.1)
        assert {(back.leg.port, tab.port), (tab.port, back.leg.port)} <= back.media.connections
        tab.ends(NORMAL)
        assert (await back.end()).code == "normal"
        assert back.leg.ended


@virtual_time
async def test_a_call_back_that_finds_nobody_free_says_so() -> None:
    async with support() as caller:
        caller.phones.script = answers_at_once
        await caller.hears(OFFER)
        caller.press("1")
        await caller.hears(PROMISE)
        await caller.end()
        back = await caller.called_out()
        await back.hears(BACK, "Still nobody is free. We are sorry. Goodbye.")
        assert (await back.end()).code == "normal"


@virtual_time
async def test_who_does_not_answer_the_call_back_is_not_called_again() -> None:
    async with support() as caller:
        caller.phones.script = lambda phone: phone.ends(BUSY)
        await caller.hears(OFFER)
        caller.press("1")
        await caller.hears(PROMISE)
        await caller.end()
        await asyncio.sleep(600)
        assert len(caller.phones.legs) == 1
        ends = [item.event for item in caller.log.replay(0) if isinstance(item.event, CallEnded)]
        assert [end.verdict.code for end in ends] == ["normal", "busy"]


@virtual_time
async def test_nobody_is_called_back_who_did_not_ask() -> None:
    async with support() as caller:
        await caller.hears(OFFER)
        caller.press("9")
        await caller.hears("That is no choice.", OFFER, "Goodbye.")
        assert (await caller.end()).text == "No call-back wanted"
        await asyncio.sleep(600)
        assert not caller.phones.legs


@virtual_time
async def test_a_caller_who_withholds_the_number_is_told() -> None:
    async with support(caller="") as caller:
        await caller.hears(OFFER)
        caller.press("1")
        await caller.hears("We do not see your number. Please call again.")
        await caller.end()
