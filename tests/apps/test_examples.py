"""The example programs, rehearsed as their users would."""

from __future__ import annotations

import pytest

from examples.menu import app
from gateway.testing import Rehearsal, virtual_time

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
        await caller.hears("Your code is: 4, 7, 1, 1.", "Your code is: 4, 7, 1, 1.", "Goodbye.")
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
            await caller.hears("Your code is: 1.")
