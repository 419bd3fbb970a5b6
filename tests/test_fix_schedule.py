"""Hours of a session: windows of UTC from local times, and what a session does at their ends."""
import datetime as dt
import random

import pytest
from messages import Peer

from fix import MemoryStore, Schedule

SECOND = 1_000_000_000


def ns(text):
    return int(dt.datetime.fromisoformat(text).timestamp()) * SECOND


def window(schedule, text):
    return tuple(dt.datetime.fromtimestamp(x // SECOND, dt.UTC).strftime("%a %d %H:%M") for x in schedule.window(ns(text)))


@pytest.mark.parametrize("now, want", [
    ("2026-11-18T07:00:00+00:00", ("Wed 18 08:00", "Wed 18 17:30")),
    ("2026-11-18T08:00:00+00:00", ("Wed 18 08:00", "Wed 18 17:30")),
    ("2026-11-18T17:29:59+00:00", ("Wed 18 08:00", "Wed 18 17:30")),
    ("2026-11-18T17:30:00+00:00", ("Thu 19 08:00", "Thu 19 17:30")),
])
def test_daily_hours(now, want):
    assert window(Schedule("08:00:00", "17:30:00"), now) == want


def test_hours_over_midnight_and_round_the_clock():
    assert window(Schedule("22:00:00", "04:00:00"), "2026-11-18T01:00:00+00:00") == ("Tue 17 22:00", "Wed 18 04:00")
    always = Schedule("21:00:00", "21:00:00")
    assert window(always, "2026-11-18T20:59:59+00:00") == ("Tue 17 21:00", "Wed 18 21:00")
    assert window(always, "2026-11-18T21:00:00+00:00") == ("Wed 18 21:00", "Thu 19 21:00")


def test_weekdays():
    work = Schedule("08:00:00", "17:00:00", weekdays=["mo", "tuesday", "Wed", "th", "fr"])
    assert window(work, "2026-11-20T18:00:00+00:00") == ("Mon 23 08:00", "Mon 23 17:00")


@pytest.mark.parametrize("now, want", [
    ("2026-11-21T12:00:00+00:00", ("Sun 22 23:00", "Fri 27 23:00")),
    ("2026-11-25T12:00:00+00:00", ("Sun 22 23:00", "Fri 27 23:00")),
    ("2026-11-27T23:00:00+00:00", ("Sun 29 23:00", "Fri 04 23:00")),
])
def test_a_week_in_chicago(now, want):
    assert window(Schedule("17:00:00", "17:00:00", "America/Chicago", start_day="sunday", end_day="friday"), now) == want


def test_a_week_without_a_break():
    week = Schedule("17:00:00", "17:00:00", start_day="sunday", end_day="sunday")
    assert window(week, "2026-11-18T00:00:00+00:00") == ("Sun 15 17:00", "Sun 22 17:00")


def test_clocks_that_change():
    london = Schedule("01:30:00", "03:30:00", "Europe/London")
    assert window(london, "2026-03-28T00:00:00+00:00") == ("Sat 28 01:30", "Sat 28 03:30")
    assert window(london, "2026-03-28T12:00:00+00:00") == ("Sun 29 01:30", "Sun 29 02:30")       # 01:30 is skipped
    assert window(london, "2026-03-30T00:00:00+00:00") == ("Mon 30 00:30", "Mon 30 02:30")


def test_windows_never_overlap_and_hold_their_moment():
    rng = random.Random(2)
    for _ in range(60):
        start, end = (f"{rng.randrange(24):02}:{rng.randrange(60):02}:00" for _ in range(2))
        weekly = dict(start_day="mo", end_day=rng.choice(["mo", "we", "su"])) if rng.random() < 0.5 else {}
        schedule = Schedule(start, end, rng.choice(["UTC", "Europe/London", "America/New_York"]), **weekly)
        at = ns("2026-01-01T00:00:00+00:00") + rng.randrange(31_000_000) * SECOND
        windows = schedule.windows(at)
        before = next(windows)
        assert before[1] > at and schedule.open(at) == (before[0] <= at)
        for _ in range(10):
            after = next(windows)
            assert before[0] < before[1] <= after[0] < after[1]
            before = after


@pytest.mark.parametrize("arguments, complaint", [
    (("8:00", "17:00:00"), "start is '8:00'"), (("08:00:00", "24:00:00"), "end is '24:00:00'"),
    (("08:00:00", "17:00:00", "Mars/Olympus"), "zone 'Mars/Olympus'"),
])
def test_wrong_values_are_named(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        Schedule(*arguments)


@pytest.mark.parametrize("options, complaint", [
    (dict(start_day="mo"), "belong together"), (dict(start_day="x", end_day="mo"), "start_day is 'x'"),
    (dict(weekdays=[]), "weekdays is empty"), (dict(start_day="mo", end_day="fr", weekdays=["mo"]), "weekly ones"),
])
def test_wrong_days_are_named(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        Schedule("08:00:00", "17:00:00", **options)


# --- the session: its clock begins at 22:13:20 UTC

def test_a_session_ends_with_its_hours_and_begins_again_at_one():
    peer = Peer("acceptor", logged_on=True, schedule=Schedule("08:00:00", "22:14:00"))
    peer.sends("35=0|34=2|")
    peer.passes(39)
    peer.sends("35=0|34=3|")
    peer.waiting.clear()
    peer.passes(2)
    peer.gets("35=5|34=4|52=20231114-22:14:00.000|58=The session's hours are over|")
    peer.sends("35=5|34=4|")
    peer.closed("out of hours")
    peer.drops()
    peer.connects()
    peer.closed("out of hours")
    peer.drops()
    peer.now_ns += 10 * 3600 * SECOND
    peer.connects()
    peer.sends("35=A|34=1|98=0|108=30|")
    peer.gets("35=A|34=1|98=0|108=30|")
    assert peer.session.next_in == 2


def test_a_second_connection_of_a_window_goes_on():
    store = MemoryStore()
    peer = Peer("acceptor", logged_on=True, schedule=Schedule("08:00:00", "23:00:00"), store=store)
    peer.sends("35=0|34=2|")
    peer.drops()
    peer.connects()
    peer.sends("35=A|34=3|98=0|108=30|")
    peer.gets("35=A|34=2|98=0|108=30|")
    assert store.next_in == 4


def test_a_session_may_send_so_much_and_no_more():
    peer = Peer("initiator", logged_on=True, throttle_messages=3, throttle_ns=SECOND)
    for _ in range(3):
        peer.session.send("35=B|58=x|")
    with pytest.raises(Exception, match="throttled"):
        peer.session.send("35=B|58=x|")
    peer.sends("35=1|34=2|112=A|")                      # heartbeats are not counted
    assert peer.session.next_out == 6
    peer.now_ns += SECOND
    peer.session.send("35=B|58=x|")
    assert peer.session.stats()["throttled"] == 1
