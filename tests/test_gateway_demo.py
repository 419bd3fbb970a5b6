"""`fixwire demo`: its promises about orders, fills and what it prints."""
import json

import pytest
from street import Quiet, Street

from gateway import demo
from gateway.exchange import SimulatedExchange, Trader

NINE = ("rx", "parse", "tcp", "fix_parse", "session", "strategy", "encode", "tcp_out", "tx", "total")


@pytest.mark.parametrize("strategy", ["native", "python"])
def test_every_order_is_filled_and_every_time_is_there(strategy, capsys):
    assert demo.main(["--orders", "3000", "--strategy", strategy, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["orders"] == found["executions"] == 3000
    assert found["warm_up"] == 1000 and found["wire_to_wire"]["count"] == 2000
    assert tuple(found["stages"]) == NINE
    for row in [*found["stages"].values(), found["wire_to_wire"]]:
        assert 0 <= row["min_ns"] <= row["p50_ns"] <= row["p99_ns"] <= row["p99_9_ns"] <= row["max_ns"]


def test_it_shows_the_session(capsys):
    assert demo.main(["--orders", "10"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = [line.split()[4] for line in lines if " -> " in line]
    assert shown.count("Logon") == shown.count("Logout") == 2
    assert shown.count("NewOrderSingle") == shown.count("ExecutionReport") == 3
    assert any(line.startswith("wire_to_wire") for line in lines)


def test_a_fill_with_another_ClOrdID_is_a_failure(capsys, monkeypatch):
    class Deaf(demo.PythonTrader):
        def on_message(self, session, msg):
            super().on_message(session, msg)
            self.out += self.sent == 5          # as if the exchange had filled what was never sent
    monkeypatch.setattr(demo, "PythonTrader", Deaf)
    monkeypatch.setattr(demo.Market, "run", lambda self: self.engine.run(beside=self.far, seconds=0.2))
    assert demo.main(["--orders", "10", "--strategy", "python", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["executions"] == 4
    assert "1 fills carried another ClOrdID" in err


def test_wrong_arguments(capsys):
    with pytest.raises(SystemExit) as stopped:
        demo.main(["--orders", "0"])
    assert stopped.value.code == 2
    assert "0 is not at least 1" in capsys.readouterr().err


def test_the_native_trader_checks_ClOrdIDs():
    class Liar(Quiet):
        def on_message(self, session, msg):
            session.send("8", [(37, 1), (17, 1), (150, "F"), (39, "2"), (11, msg.get_int(11) + 1), (55, "FIXW"), (54, "1"),
                               (32, 100), (31, "99.5"), (151, 0), (14, 100), (6, "99.5")])
    trader = Trader(5)
    with Street(trader, Liar()) as street:
        street.settle()
        assert (trader.sent, trader.executions, trader.mismatched) == (1, 0, 1)


@pytest.mark.parametrize("times, field", [(2, "not_distinct"), (1, "malformed")])
def test_the_exchange_checks_orders(times, field):
    exchange = SimulatedExchange()
    with Street(Quiet(), exchange) as street:
        street.settle()
        for _ in range(times):
            street.here.order_new("ABC", "1", 1, 100, ClOrdID=5 if times == 2 else "five")
            street.settle()
        assert getattr(exchange, field) == 1
