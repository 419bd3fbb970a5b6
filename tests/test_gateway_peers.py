"""Backup hosts, templates of acceptors, and a strategy's word about what is sent again."""
import pytest
from street import Quiet, Street, shown
from test_gateway_keys import SESSION, order, street, types

from gateway.config import ConfigError, parse


def test_backup_hosts_are_tried_in_turn_and_the_wait_grows_by_the_round():
    with street('backup_hosts = ["10.0.0.2:9997", "10.0.0.2"]\nReconnectInterval = 1\nreconnect_max = 8', port=9998) as s:
        waits, last, at = [], s.here.stats()["connects"], 0.0
        for tick in range(200):
            s.pass_s(0.1)
            if s.here.stats()["connects"] != last:
                last, waits, at = s.here.stats()["connects"], [*waits, round(tick * 0.1 - at)], tick * 0.1
        assert waits[:8] == [1, 1, 1, 2, 2, 2, 4, 4]


def test_the_backup_that_answers_is_kept():
    with street('backup_hosts = ["10.0.0.2:9878"]', port=9998) as s:
        s.pass_s(1.5)
        assert s.here.logged_on and s.here.stats()["connects"] == 2
        s.there.logout()
        s.settle()
        s.pass_s(1.2)
        assert s.here.logged_on and s.here.stats()["connects"] == 3     # the same again, not the first


@pytest.mark.parametrize("keys, why", [
    ('backup_hosts = ["10.0.0.9:0"]', "must have a port from 1 to 65535"),
    ('backup_hosts = ["venue"]', "must be an IPv4 address"),
    ('backup_hosts = "10.0.0.9"', "must be a list of at most 7"),
    ('AcceptorTemplate = true', "AcceptorTemplate is for an acceptor"),
    ("template_sessions = 3", "template_sessions needs AcceptorTemplate = true"),
    ("reference_prices = {ABC = 1}", "reference_prices is for a price_band"),
    ('price_band = 5\nreference_prices = {ABC = "1"}', "must be a number"),
    ("min_price = 5\nmax_price = 4", "min_price is above max_price")])
def test_what_cannot_be_is_told(keys, why):
    with pytest.raises(ConfigError, match=why):
        parse(f'device = "afpacket:x"\naddress = "10.0.0.1/24"\n{SESSION}{keys}'.encode())


def test_a_template_and_strategies_outside_do_not_go_together():
    session = SESSION.replace("initiator", "acceptor").replace('"VENUE"', '"*"').replace('host = "10.0.0.2"\n', "")
    desk = '[ipc]\ndesk = "d"\ndirectory = "x"\n[[ipc.strategies]]\nname = "a"\n'
    with pytest.raises(ConfigError) as e:
        parse(f'device = "afpacket:x"\naddress = "10.0.0.1/24"\n{desk}{session}AcceptorTemplate = true'.encode())
    assert [p for p in e.value.problems if "AcceptorTemplate cannot be had with [ipc]" in p]


# -- templates

class Market(Street):
    """The venue's end is a template; the gateway's end has as many traders as are asked for."""

    def __init__(self, pool=2, **kw):
        super().__init__(Quiet(), connect=False)
        self.pool = self.venue.add_template("MARKET", strategy=self.venue_strategy, pool=pool, port=9900, **kw)

    def trader(self, name):
        made = self.gateway.add_session(name, "MARKET", role="initiator", host="10.0.0.2", port=9900,
                                        strategy=self.strategy)
        self.settle()
        return made


def test_whoever_logs_on_gets_a_session_of_the_pool():
    with Market() as m:
        assert [s.vacant for s in m.pool] == [True, True]
        one, two = m.trader("ONE"), m.trader("TWO")
        assert one.logged_on and two.logged_on
        assert [(s.name, s.logged_on) for s in m.pool] == [("MARKET->ONE", True), ("MARKET->TWO", True)]
        two.order_new("ABC", "1", 5, 100)
        m.settle()
        assert m.pool[1].next_in == 3 and m.pool[1].send("8", [(37, "1")]) == 0
        m.settle()
        assert (two.next_in, one.next_in) == (3, 2)


def test_the_pool_is_bounded_and_refusals_are_counted():
    with Market() as m:
        m.trader("ONE"), m.trader("TWO")
        three = m.trader("THREE")
        assert not three.logged_on and m.venue.stats()["engine_refused_pool"] == 1


def test_who_never_logs_on_keeps_no_place_of_the_pool():
    with Market(pool=1) as m:
        m.pool[0].renumber(next_in=20)
        low = m.trader("LOW")               # too low a number: refused by a Logout, which has a number too
        assert not low.logged_on and low.stats()["connects"] == 1
        assert any("|35=5|34=1|" in shown(octets) for _, _, way, octets in m.venue.messages() if way == "out")
        low.enabled = False
        m.settle()
        assert m.pool[0].vacant and m.pool[0].TargetCompID == "*"
        good = m.trader("GOOD")
        assert good.logged_on and (good.next_in, good.next_out, m.pool[0].next_in) == (2, 2, 2)
        assert m.venue.stats()["engine_refused_pool"] == 0
        good.logout()
        m.settle()
        assert not m.pool[0].vacant                         # whoever logged on once keeps session and numbers


def test_a_peer_that_comes_again_has_its_session_and_numbers():
    with Market(pool=1) as m:
        one = m.trader("ONE")
        one.logout()
        m.pass_s(1.5)
        assert one.logged_on and one.next_out == 4 and m.pool[0].next_in == 4
        assert "|35=A|34=3|" in m.out()[-1]


def test_another_version_or_another_target_gets_nothing():
    with Market() as m:
        for keywords in (dict(BeginString="FIX.4.2"), dict(TargetCompID="OTHER")):
            settings = dict(SenderCompID="X", TargetCompID="MARKET", role="initiator", host="10.0.0.2", port=9900,
                            strategy=None)
            made = m.gateway.add_session(**{**settings, **keywords})
            m.settle()
            assert not made.logged_on
        assert all(s.vacant for s in m.pool) and m.venue.stats()["engine_refused_pool"] == 0


def test_what_a_template_cannot_have():
    with Market() as m:
        for wrong in (dict(pool=0), dict(pool=9), dict(pool=1, name="x"), dict(pool=1, store=None)):
            with pytest.raises(ValueError):
                m.venue.add_template("M2", strategy=None, port=9901, **wrong)


# -- what is sent again

class Careful(Quiet):
    """Lets only what it is told be sent again."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.asked = answer, []

    def may_resend(self, session, msg):
        self.asked.append(msg[11])
        if self.answer is ValueError:
            raise ValueError("who knows")
        return msg[11] == self.answer


@pytest.mark.parametrize("answer, sent", [("a-1", ["4", "D", "4"]), ("a-2", ["4", "D"]), ("", ["4"]), (ValueError, ["4"])])
def test_a_strategy_decides_what_is_sent_again(answer, sent):
    careful = Careful(answer)
    with street(strategy=careful) as s:
        s.settle()
        order(s, "a-1"), order(s, "a-2")
        s.settle()
        s.out()
        s.there.resend_request(1)
        s.settle()
        assert types(s) == sent and careful.asked == ["a-1", "a-2"]
        assert s.here.stats()["not_resent"] == 2 - sent.count("D")
        assert s.here.logged_on and s.strategy.errors == (2 if answer is ValueError else 0)


def test_an_engine_without_room_for_the_pool():
    with Market() as m, pytest.raises(ValueError, match="pool is 2000"):
        m.venue.add_template("M2", strategy=None, port=9901, pool=2000)
