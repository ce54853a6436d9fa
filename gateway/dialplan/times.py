"""Owns dates, weekdays and hours in a named time zone, and the holidays in between. Pure."""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from datetime import date, datetime, timedelta

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DATE = re.compile(r"(?:(\d{4})-)?(\d{2})-(\d{2})")
_HOURS = re.compile(r"(\d{2}):(\d{2})-(\d{2}):(\d{2})")
_LEAP_YEAR = 2024
_DAY_MINUTES = 24 * 60


class TimeError(ValueError):
    """No time; the text is `what is wrong: what to do`."""


@dataclass(frozen=True, slots=True)
class Dates:
    """One day or a span of days, both ends included. Without a year: every year."""

    first: tuple[int, int, int]  # year (0: every year), month, day
    last: tuple[int, int, int]

    def __contains__(self, day: date) -> bool:
        if self.first[0]:
            return self.first <= (day.year, day.month, day.day) <= self.last
        here = (0, day.month, day.day)
        if self.first <= self.last:
            return self.first <= here <= self.last
        return here >= self.first or here <= self.last  # over the turn of the year


@dataclass(frozen=True, slots=True)
class Hours:
    """Minutes of the day from `start` up to, not including, `end`; over midnight if end < start."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Window:
    """When: all that is given has to hold. Empty: always."""

    zone: zoneinfo.ZoneInfo
    days: frozenset[int] = frozenset(range(7))  # 0: Monday
    hours: tuple[Hours, ...] = ()
    dates: tuple[Dates, ...] = ()
    not_on: tuple[Dates, ...] = ()

    def mismatch(self, at: datetime) -> str | None:
        """Why `at` (any zone) is outside; None: it is inside."""
        local = at.astimezone(self.zone)
        if not self.hours:
            return self._wrong_day(local.date())
        minute = local.hour * 60 + local.minute
        reason = "outside the hours"
        for hours in self.hours:
            day = local.date()
            if hours.start < hours.end:
                inside = hours.start <= minute < hours.end
            else:
                inside = minute >= hours.start or minute < hours.end
                if minute < hours.end:  # the night belongs to the day on which it began
                    day -= timedelta(days=1)
            if inside:
                wrong = self._wrong_day(day)
                if wrong is None:
                    return None
                reason = wrong
        return reason

    def _wrong_day(self, day: date) -> str | None:
        if day.weekday() not in self.days:
            return "not on this weekday"
        if self.dates and not any(day in dates for dates in self.dates):
            return "not on this date"
        if any(day in dates for dates in self.not_on):
            return "a holiday"
        return None


def parse_zone(name: str) -> zoneinfo.ZoneInfo:
    """The time zone `name` of the tz database. Raises TimeError."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise TimeError(f"no time zone {name!r}: write a name such as Europe/Berlin") from None


def parse_dates(text: str) -> Dates:
    """`2026-12-24`, `12-24` (every year), or two of a kind with `..` between. Raises TimeError."""
    first, dots, last = text.partition("..")
    begin = _parse_date(first)
    end = _parse_date(last) if dots else begin
    if bool(begin[0]) != bool(end[0]):
        raise TimeError("a span with one year: give both dates a year, or none")
    if begin[0] and end < begin:
        raise TimeError("a span that runs backwards: turn it round")
    return Dates(begin, end)


def _parse_date(text: str) -> tuple[int, int, int]:
    found = _DATE.fullmatch(text)
    if found is None:
        raise TimeError("no date: write 2026-12-24, 12-24 (every year) or 2026-12-24..2026-12-31")
    year, month, day = int(found[1] or 0), int(found[2]), int(found[3])
    try:
        date(year or _LEAP_YEAR, month, day)
    except ValueError:
        raise TimeError("a day that no calendar has: correct it") from None
    return year, month, day


def parse_days(text: str) -> frozenset[int]:
    """`mon`, `mon-fri` or `sat-mon`. Raises TimeError."""
    first, dash, last = text.lower().partition("-")
    if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
        raise TimeError("no weekday: write mon, tue, wed, thu, fri, sat, sun, or mon-fri")
    begin = WEEKDAYS.index(first)
    end = WEEKDAYS.index(last) if dash else begin
    return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))


def parse_hours(text: str) -> Hours:
    """`09:00-18:00`, or `22:00-06:00` over midnight. Raises TimeError."""
    found = _HOURS.fullmatch(text)
    if found is None:
        raise TimeError("no hours: write 09:00-18:00")
    start, end = (
        int(found[hour]) * 60 + int(found[hour + 1]) if int(found[hour + 1]) < 60 else -1
        for hour in (1, 3)
    )
    if not (0 <= start < _DAY_MINUTES and 0 <= end <= _DAY_MINUTES):
        raise TimeError("hours that no day has: 00:00 is the earliest, 24:00 the latest")
    if start == end:
        raise TimeError("hours without length: leave them out for the whole day")
    return Hours(start, end)
