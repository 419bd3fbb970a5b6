"""A strategy raises: it is logged and counted, and by policy the gateway goes on, disables the strategy, or stops."""
import logging

import pytest
from street import Quiet, Street

from gateway import Strategy, strategy


class Broken(Quiet):
    """Raises for every second message."""

    def on_message(self, session, msg):
        super().on_message(session, msg)
        if len([t for t in self.told if t == "V"]) % 2:
            raise KeyError("no such thing")


def ask(street, n=1):
    for _ in range(n):
        assert street.there.send("V", [(262, "x")]) == strategy.SENT
    street.settle()


def test_it_goes_on(caplog):
    broken = Broken()
    with Street(broken) as street:
        street.settle()
        with caplog.at_level(logging.ERROR, "fixwire.gateway"):
            ask(street, 3)
        assert broken.told == ["logon", "V", "V", "V"]
        assert street.strategy.errors == 2 and street.strategy.enabled
        assert isinstance(street.strategy.last_error, KeyError)
        assert street.gateway.stats()["engine_errors"] == 2
        assert "Broken: on_message raised KeyError: 'no such thing'" in caplog.text
        assert "in on_message" in caplog.text                       # the traceback
        assert street.here.next_in == 5                             # a message whose callback raised is delivered
        assert street.here.logged_on


def test_it_is_disabled_and_its_session_stays(caplog):
    broken = Broken()
    with Street(broken, on_error="disable") as street:
        street.settle()
        ask(street, 3)
        assert broken.told == ["logon", "V"] and not street.strategy.enabled
        assert street.here.stats()["undelivered"] == 2
        street.pass_s(100)                                          # heartbeats go on
        assert street.here.logged_on and street.there.logged_on
        assert "is disabled; its sessions stay up" in caplog.text
        assert ("strategy disabled", 0) in [(event, reason) for _, _, event, reason in street.gateway.events()]


def test_nothing_of_a_disabled_strategy_is_sent_again():
    with Street(Broken(), on_error="disable") as street:
        street.settle()
        street.here.order_new("ABC", "1", 100, 10**9, ClOrdID="a")
        street.settle()
        street.there.resend_request(1)
        street.settle()
        assert [m.split("|35=")[1][0] for m in street.out()][-3:] == ["D", "4", "D"]      # as long as it is enabled
        ask(street)
        assert not street.strategy.enabled
        street.there.resend_request(1)
        street.settle()
        filled = street.out()
        assert [m.split("|35=")[1][0] for m in filled] == ["4"] and "|36=3|" in filled[0]
        assert street.here.stats()["not_resent"] == 1 and street.here.logged_on


def test_it_stops_the_gateway_with_a_logout(caplog):
    broken = Broken()
    with Street(broken, on_error="stop") as street:
        street.settle()
        with pytest.raises(KeyError, match="no such thing"):
            ask(street, 3)
            street.pass_s(3)
        assert street.gateway.stopped and not street.here.connected
        assert "|35=5|" in street.out()[-1]
        assert street.quiet.told[-1] == "logout" and not street.there.logged_on


@pytest.mark.parametrize("where", ["on_start", "on_logon", "on_reject", "on_timer", "on_logout", "on_stop"])
def test_every_callback_may_raise(where, caplog):
    quiet = Quiet()

    def fail(*_):
        raise ValueError(f"from {where}")
    quiet.on_start = lambda engine: engine.now_ns
    setattr(quiet, where, fail)
    with Street(quiet) as street:
        street.settle()
        street.here.send("D", [(11, "1")])
        street.settle()
        street.there.send("j", [(45, 2), (372, "D"), (380, 0)])
        street.settle()
        street.gateway.stop()
        street.pass_s(3)
        assert street.gateway.stopped and not street.here.connected
        assert f"{where} raised ValueError: from {where}" in caplog.text


def test_on_timer_comes_when_on_start_or_on_timer_said():
    class Ticks(Quiet):
        def on_start(self, engine):
            return engine.now_ns + 5_000_000_000

        def on_timer(self, now_ns):
            self.told.append(now_ns)
            return now_ns + 2_000_000_000 if len(self.told) < 4 else None
    ticks = Ticks()
    with Street(ticks) as street:
        street.settle().pass_s(20)
        first, *others = [t for t in ticks.told if t != "logon"]
        assert 0 <= first - 6_000_000_000 < 20_000_000 and len(others) == 2
        assert all(2_000_000_000 <= b - a < 2_020_000_000 for a, b in zip([first, *others], others, strict=False))


def test_ten_tracebacks_a_second(caplog):
    class Always(Quiet):
        def on_message(self, session, msg):
            raise ValueError("again")
    with Street(Always()) as street:
        street.settle()
        ask(street, 40)
        assert street.strategy.errors == 40
        assert caplog.text.count("Traceback") == 10


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_what_is_no_error_stops_whatever_the_policy(stop):
    class Leaves(Quiet):
        def on_message(self, session, msg):
            raise stop
    with Street(Leaves(), on_error="continue") as street:
        street.settle()
        with pytest.raises(stop):
            ask(street)
            street.pass_s(3)
        assert not street.there.logged_on


def test_what_is_no_strategy():
    with Street(Quiet()) as street:
        for thing in (object(), 5, Strategy, Strategy):
            with pytest.raises(TypeError, match="has no method on_message"):
                street.gateway.add_strategy(thing if not isinstance(thing, type) else object())
        with pytest.raises(ValueError, match="on_error is 'ignore'"):
            street.gateway.add_strategy(Quiet(), on_error="ignore")
        mine = street.gateway.add_strategy(Strategy())
        with pytest.raises(ValueError, match="belongs to an engine already"):
            street.venue.add_strategy(mine)


def test_a_python_subclass_of_Strategy_is_a_python_strategy():
    class Mine(Strategy):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_message(self, session, msg):
            self.seen.append(msg.MsgType)
    mine = Mine()
    with Street(mine) as street:
        street.settle()
        ask(street, 2)
        assert mine.seen == ["V", "V"] and street.strategy.target is mine


def test_a_connection_of_its_own_may_raise_too(caplog):
    """A strategy opens a connection on the gateway's stack; its callback raises, the session does not notice."""
    class Caller(Quiet):
        def on_start(self, engine):
            self.conn = engine.stack.connect("10.0.0.2", 7, on_data=self.data)

        def data(self, conn, octets):
            raise ValueError(f"got {octets!r}")
    with Street(Caller()) as street:
        street.venue.stack.listen(7, on_accept=lambda conn: conn.send(b"hello"))
        street.settle()
        assert "ValueError: got b'hello'" in caplog.text
        ask(street)
        assert street.here.logged_on


@pytest.mark.parametrize("call", ["step", "run", "close"])
def test_what_a_callback_may_not_do_to_its_engine(call):
    """Inside a step the engine cannot take another one, run, or give its memory back."""
    class Meddling(Quiet):
        def on_message(self, session, msg):
            with pytest.raises(RuntimeError, match=rf"{call}\(\) inside a callback of this engine"):
                getattr(street.gateway, call)()
            super().on_message(session, msg)
    meddling = Meddling()
    with Street(meddling) as street:
        street.settle()
        ask(street, 2)
        assert meddling.told == ["logon", "V", "V"] and street.strategy.errors == 0 and street.here.logged_on
