"""When a session is open: daily or weekly hours in a time zone, as windows of UTC.

QuickFIX's StartTime, EndTime, StartDay, EndDay, TimeZone and Weekdays. A session's numbers belong to one window: the
first connection in a new one begins at 1. Equal start and end make windows that follow each other without a break.
"""
from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SECOND = 1_000_000_000
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Schedule:
    """Hours of a session: every day, on some weekdays, or from one day of the week to another.

    Schedule("08:00:00", "17:30:00", "America/New_York", weekdays=["monday", "friday"])
    Schedule("17:00:00", "17:00:00", "America/Chicago", start_day="sunday", end_day="friday")

    Days are English names or their first letters. A local time that a clock change skips or repeats is taken as it
    reads before the change. ValueError names a value that is wrong.
    """

    def __init__(self, start: str, end: str, zone: str = "UTC", *, start_day: str | None = None,
                 end_day: str | None = None, weekdays: Iterable[str] | None = None) -> None:
        self.start, self.end = clock_time("start", start), clock_time("end", end)
        self.zone: dt.tzinfo = dt.UTC if zone == "UTC" else zone_of(zone)
        if (start_day is None) != (end_day is None):
            raise ValueError("start_day and end_day belong together")
        if start_day is not None and weekdays is not None:
            raise ValueError("weekdays are for daily hours, start_day and end_day for weekly ones")
        self.start_day = None if start_day is None else day_number("start_day", start_day)
        self.end_day = None if end_day is None else day_number("end_day", end_day)
        self.weekdays = frozenset(range(7)) if weekdays is None else frozenset(day_number("weekdays", d) for d in weekdays)
        if not self.weekdays:
            raise ValueError("weekdays is empty: the session would never be open")

    def window(self, utc_ns: int) -> tuple[int, int]:
        """(from, to) in UTC nanoseconds: the window that holds `utc_ns`, or the next one."""
        for begin, end in self.windows(utc_ns):
            return begin, end
        raise AssertionError("a schedule has no end")

    def windows(self, utc_ns: int) -> Iterator[tuple[int, int]]:
        """Windows from that of `utc_ns` on, without end."""
        local = (EPOCH + dt.timedelta(seconds=utc_ns // SECOND)).astimezone(self.zone)
        day = local.date() - dt.timedelta(days=8)
        while True:
            if (day.weekday() in self.weekdays) if self.start_day is None else day.weekday() == self.start_day:
                begin, end = self._utc(day, self.start), self._utc(self._last_day(day), self.end)
                if end > utc_ns and end > begin:
                    yield begin, end
            day += dt.timedelta(days=1)

    def open(self, utc_ns: int) -> bool:
        """Is the session open then?"""
        begin, end = self.window(utc_ns)
        return begin <= utc_ns < end

    def _last_day(self, day: dt.date) -> dt.date:
        if self.start_day is None or self.end_day is None:
            return day if self.end > self.start else day + dt.timedelta(days=1)
        days = (self.end_day - self.start_day) % 7
        if days == 0 and self.end <= self.start:
            days = 7
        return day + dt.timedelta(days=days)

    def _utc(self, day: dt.date, time: dt.time) -> int:
        at = dt.datetime.combine(day, time, self.zone).astimezone(dt.UTC)
        return int((at - EPOCH).total_seconds()) * SECOND


def clock_time(name: str, text: str) -> dt.time:
    parts = text.split(":")
    if len(parts) == 3 and all(p.isdigit() and len(p) == 2 for p in parts):
        hour, minute, second = map(int, parts)
        if hour < 24 and minute < 60 and second < 60:
            return dt.time(hour, minute, second)
    raise ValueError(f"{name} is {text!r}, must be HH:MM:SS")


def day_number(name: str, text: str) -> int:
    found = [n for n, day in enumerate(DAYS) if len(text) >= 2 and day.startswith(text.lower())]
    if len(found) != 1:
        raise ValueError(f"{name} is {text!r}, must be a day such as 'monday' or 'mo'")
    return found[0]


def zone_of(name: str) -> dt.tzinfo:
    import zoneinfo
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"zone {name!r} is not a time zone this system knows") from None
