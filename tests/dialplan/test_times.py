"""Times: weekdays, hours, dates and holidays as a clock on that zone's wall shows them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.dialplan.times import parse_dates
from tests.dialplan.plans import ask, problems, rule

PLAN = """
zone: Europe/Berlin
holidays:
  german: [12-25, 12-26, 2026-04-03]
  breaks: [12-24..01-06, 2026-08-01..2026-08-15]
times:
  office: {{days: mon-fri, hours: ["09:00-12:30", "13:30-18:00"], not_on: [german, breaks]}}
  night: {{hours: 22:00-06:00, days: fri}}
  either: [{{days: sat}}, {{days: sun, hours: 10:00-12:00}}]
  party: {{only_on: breaks}}
contexts:
  browser:
    - {{name: it, time: {time}, echo: }}
"""


def holds(time: str, at: str) -> bool:
    text = PLAN.format(time=time)
    return rule(ask(text, "1", at=datetime.fromisoformat(at))) == "it"


@pytest.mark.parametrize(
    ("time", "at", "expected"),
    [
        ("office", "2026-11-24T09:00+01:00", True),
        ("office", "2026-11-24T08:59+01:00", False),
        ("office", "2026-11-24T12:29+01:00", True),
        ("office", "2026-11-24T12:30+01:00", False),  # the end is outside
        ("office", "2026-11-24T17:59:59+01:00", True),
        ("office", "2026-11-22T10:00+01:00", False),  # a Sunday
        ("office", "2026-12-25T10:00+01:00", False),
        ("office", "2027-12-24T10:00+01:00", False),
        ("office", "2027-01-05T10:00+01:00", False),  # over the turn of the year
        ("office", "2027-01-07T10:00+01:00", True),
        ("office", "2026-08-14T10:00+02:00", False),
        ("office", "2027-08-13T10:00+02:00", True),  # that year's only
        ("office", "2026-11-24T08:00+00:00", True),  # nine in Berlin
        ("office", "2026-07-15T07:00+00:00", True),  # nine in Berlin in summer
        ("office", "2026-07-15T16:00+00:00", False),
        ("night", "2026-11-27T22:00+01:00", True),
        ("night", "2026-11-28T05:59+01:00", True),  # Friday's night, on Saturday
        ("night", "2026-11-28T22:00+01:00", False),
        ("night", "2026-11-27T05:00+01:00", False),  # Thursday's night
        ("either", "2026-11-28T03:00+01:00", True),
        ("either", "2026-11-29T11:00+01:00", True),
        ("either", "2026-11-29T13:00+01:00", False),
        ("party", "2026-12-31T23:59+01:00", True),
        ("party", "2026-12-23T23:59+01:00", False),
        ("{dates: 2026-12-24}", "2026-12-23T23:00+00:00", True),  # already the 24th in Berlin
        ("{zone: America/New_York, hours: 09:00-17:00}", "2026-11-24T13:59+00:00", False),
        ("{zone: America/New_York, hours: 09:00-17:00}", "2026-11-24T14:00+00:00", True),
        ("{hours: 00:00-24:00, days: sat-mon}", "2026-11-23T23:59+01:00", True),
        ("{hours: 00:00-24:00, days: sat-mon}", "2026-11-24T00:00+01:00", False),
        ("{dates: 02-29}", "2028-02-29T12:00+01:00", True),
    ],
)
def test_when(time: str, at: str, expected: bool) -> None:
    assert holds(time, at) is expected


def test_a_rule_with_a_time_needs_one() -> None:
    assert rule(ask(PLAN.format(time="office"), "1", at=None)) is None


def test_two_moments_that_are_one_route_alike() -> None:
    """The hour that comes twice in autumn, in both zones."""
    for text in ("2026-10-25T02:30+02:00", "2026-10-25T00:30+00:00"):
        assert holds("{hours: 02:00-03:00}", text)
    assert holds("{hours: 02:00-03:00}", "2026-10-25T01:30+00:00")  # again, an hour later


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ("{days: someday}", "no weekday"),
        ("{hours: 9-17}", "no hours"),
        ("{hours: 09:00-25:00}", "hours that no day has"),
        ("{hours: 09:60-10:00}", "hours that no day has"),
        ("{hours: 09:00-09:00}", "hours without length"),
        ("{dates: 24.12.2026}", "no date"),
        ("{dates: 2026-02-29}", "a day that no calendar has"),
        ("{dates: 2026-12-24..2026-12-01}", "runs backwards"),
        ("{dates: 2026-12-24..12-31}", "one year"),
        ("{zone: Mars/Olympus}", "no time zone"),
        ("{zone: ../../etc/passwd}", "no time zone"),
        ("{not_on: french}", "no holidays 'french' (holidays of this plan: breaks, german)"),
        ("lunch", "no time 'lunch' (times of this plan: either, night, office, party)"),
    ],
)
def test_times_that_are_none_are_located(time: str, message: str) -> None:
    found = problems(PLAN.format(time=time))
    assert len(found) == 1
    assert message in found[0]
    assert found[0].startswith("plan.yaml:13:")


def test_the_turn_of_the_year_belongs_to_a_span() -> None:
    span = parse_dates("12-24..01-06")
    inside = [datetime(2026, 12, 24), datetime(2026, 12, 31), datetime(2027, 1, 6)]
    assert all(day.replace(tzinfo=UTC).date() in span for day in inside)
    assert datetime(2027, 1, 7, tzinfo=UTC).date() not in span
