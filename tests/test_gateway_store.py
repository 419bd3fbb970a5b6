"""Sessions of an engine with a journal, a dictionary and hours of their own."""
import pytest
from street import Quiet, Street

import fix
from fix import dictionary


def journal(path):
    return fix.Journal("gw", ring_directory=str(path), ring_octets=1 << 18)


def test_a_gateway_goes_on_with_its_numbers_and_sends_again_what_was_missed(tmp_path):
    with journal(tmp_path) as store, Street(Quiet(), store=store) as street:
        street.settle()
        for n in range(3):
            street.here.order_new("ABC", "1", 100, 10150000000, ClOrdID=f"a-{n}")
        street.settle()
        assert store.next_out == 5
        store.renumber(next_in=1)                       # the venue forgets; only our numbers go on
    with journal(tmp_path) as store, Street(Quiet(), store=store) as street:
        street.settle()                                 # a venue that knows nothing: it asks for all of it
        assert street.quiet.told == ["logon", "D", "D", "D"]
        sent = street.out()
        assert [m.split("|35=")[1][0] for m in sent] == ["A", "4", "D", "D", "D", "4"]
        assert all("|43=Y|" in m for m in sent[1:]) and "|11=a-2|" in sent[4]
        assert (street.here.next_out, street.there.next_in) == (6, 6)


def test_a_store_belongs_to_one_session(tmp_path):
    with journal(tmp_path) as store, Street(Quiet(), store=store) as street:
        with pytest.raises(ValueError, match="one session"):
            street.gateway.add_session("GATEWAY", "OTHER", role="initiator", host="10.0.0.2", port=9878,
                                       strategy=street.strategy, store=store)


def test_messages_are_checked_against_the_dictionary():
    rules = fix.Validator(dictionary.standard("FIX.4.4"))
    with Street(Quiet(), validator=rules) as street:
        street.settle()
        street.out()
        street.there.send("8", [(37, "1")])
        street.settle()
        rejected, = street.out()
        assert "|35=3|" in rejected and "|58=Required tag missing|371=" in rejected
        assert street.strategy.name and street.here.stats()["rejects_out"] == 1


@pytest.mark.parametrize("hours", [("08:00:00", "22:00:00"), ("14:13:25", "14:13:30")])     # open, and about to be
def test_numbers_that_are_given_are_those_of_the_window(hours):
    with Street(Quiet(), connect=False) as street:
        street.there.renumber(next_in=33, next_out=57)
        street.here = street.gateway.add_session("GATEWAY", "VENUE", role="initiator", host="10.0.0.2", port=9878,
                                                 next_in=57, next_out=33, strategy=street.strategy,
                                                 schedule=fix.Schedule(*hours))
        street.pass_s(5)
        assert "|35=A|34=33|" in street.out()[0] and street.here.logged_on and street.here.next_in == 58


def test_an_initiator_waits_for_its_hours_and_leaves_with_them():
    hours = fix.Schedule("14:13:25", "14:13:30")        # the street's clock begins at 14:13:21
    with Street(Quiet(), schedule=hours) as street:
        street.pass_s(3.5)
        assert not street.there.logged_on and street.gateway.stats()["engine_steps"] >= 0
        street.pass_s(1)
        assert street.there.logged_on
        street.pass_s(5)
        assert not street.there.logged_on and not street.here.logged_on
        street.pass_s(3)
        assert not street.here.connected
        assert [m for m in street.out() if "|58=The session's hours are over|" in m]


@pytest.mark.parametrize("days", [{}, dict(start_day="monday", end_day="monday")])      # the street's day is one
def test_a_window_that_follows_without_a_break_is_another_one(days):
    hours = fix.Schedule("14:13:25", "14:13:25", **days)
    with Street(Quiet(), schedule=hours, reconnect_s=1) as street:
        street.pass_s(3)
        assert street.here.logged_on and street.here.next_out == 2
        street.pass_s(1.5)
        assert [m for m in street.out() if "|58=The session's hours are over|" in m]
        street.pass_s(1)                                # the venue has no hours: it will not like the number
        assert "|35=A|34=1|" in street.out()[0] and street.here.stats()["resets"] == 2
