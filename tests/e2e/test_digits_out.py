"""insertDTMF in real browsers, judged by the RFC 4733 packets that reach the telephone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.phone_page import PhonePage
from tests.e2e.site import EVENTS, Site
from tests.support.browsers import Browser
from tests.support.processes import wait_until
from tests.support.sipp import Sipp
from tests.support.telephone_events import Analysis, analyse_events

pytestmark = [pytest.mark.browser, pytest.mark.sip, pytest.mark.asyncio(loop_scope="session")]

CLOCK = 8000  # Hz, of telephone-event beside PCMU
WITHIN_MS = 20  # W2: one packet time
ALL_KEYS = "0123456789*#ABCD"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def call(site: Site, browser: Browser) -> AsyncIterator[PhonePage]:
    """One call to SIPp, which echoes, for all digits of this module."""
    tab = await browser.tab()
    page = PhonePage(tab, site.gateway.url)
    await page.open()
    await page.call("sipp")
    yield page
    await page.leave()
    await tab.close()


async def send_and_capture(
    site: Site, telephone: Sipp, page: PhonePage, tones: str, duration_ms: int, gap_ms: int
) -> Analysis:
    """Has the browser send tones; gives what the telephone got once the last one has ended."""
    since = site.sniffer.mark()
    await page.insert(tones, duration_ms, gap_ms)
    count = len(tones.replace(",", ""))

    def analysis() -> Analysis:
        return analyse_events(site.rtp_to_sipp(telephone, since), CLOCK, EVENTS)

    def all_ended() -> bool:
        events = analysis().events
        return len(events) >= count and len(events[-1].ends) >= 3

    try:
        await wait_until(all_ended, 3, f"{count} digits at the telephone")
    except AssertionError as late:
        got = analysis()
        raise AssertionError(f"{late}; got {got.digits!r} of {got.durations_ms} ms") from None
    return analysis()


@pytest.mark.parametrize(
    ("tones", "duration_ms", "gap_ms"),
    [
        (ALL_KEYS, 100, 70),
        ("159#", 40, 30),
        ("11", 40, 30),
        ("DA*0", 70, 30),
        ("2", 100, 70),
        ("77", 500, 70),
        ("9", 2000, 70),
        ("5", 6000, 70),
    ],
)
async def test_tones_reach_the_telephone_exactly(
    site: Site, call: PhonePage, tones: str, duration_ms: int, gap_ms: int
) -> None:
    got = await send_and_capture(site, site.echo, call, tones, duration_ms, gap_ms)
    assert got.digits == tones
    for digit, length in zip(tones, got.durations_ms, strict=True):
        assert abs(length - duration_ms) <= WITHIN_MS, (
            f"{digit}: {length:.0f} ms on the wire, {duration_ms} asked for; "
            f"all: {got.durations_ms}"
        )
    got.assert_conforms()


async def test_a_comma_is_a_pause_of_two_seconds(site: Site, call: PhonePage) -> None:
    got = await send_and_capture(site, site.echo, call, "1,2", 100, 70)
    assert got.digits == "12"
    assert 1950 <= got.gaps_ms[0] <= 2500, got.gaps_ms
    got.assert_conforms()


async def test_an_independent_receiver_reads_every_key(site: Site, page: PhonePage) -> None:
    before = len(site.phone.digits)
    await page.call("baresip")
    await page.insert(ALL_KEYS, 100, 70)
    await wait_until(
        lambda: len(site.phone.digits) >= before + len(ALL_KEYS), 5, "baresip reads all keys"
    )
    assert site.phone.digits[before:] == ALL_KEYS


async def test_digits_pass_before_the_answer(site: Site, page: PhonePage) -> None:
    answered = site.early.messages.count("SIP/2.0 200 OK")
    await page.dial("early")
    await page.wait_for_state("early", within=10)
    got = await send_and_capture(site, site.early, page, "42#", 100, 70)
    assert got.digits == "42#"
    assert await page.state() == "early"
    assert site.early.messages.count("SIP/2.0 200 OK") == answered, "the call was answered already"
    await page.wait_for_state("answered", within=10)


async def test_keys_of_the_dial_pad_send_tones_and_are_listed(site: Site, page: PhonePage) -> None:
    await page.call("sipp")
    since = site.sniffer.mark()
    await page.tab.fill("#tone-length", "150")
    for key in "7#":
        await page.tab.click(f'.key[data-digit="{key}"]')
    await page.wait_for_digits("7#", within=5)  # SIPp's echo of them
    got = analyse_events(site.rtp_to_sipp(site.echo, since), CLOCK, EVENTS)
    assert got.digits == "7#"
    assert all(abs(length - 150) <= WITHIN_MS for length in got.durations_ms), got.durations_ms
    listed = (
        "[...document.querySelectorAll('#digits-sent > li')].map(e => e.dataset.digit).join('')"
    )
    assert await page.tab.evaluate(listed) == "7#"
