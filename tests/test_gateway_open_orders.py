"""Orders that are open when the gateway is killed count against max_open_orders in its next life."""
import os
import signal

import compiled
import pytest
from children import Child
from street import Quiet, Street

import fix
from gateway import strategy


def journal(place):
    return fix.Journal("gw", ring_directory=str(place), ring_octets=1 << 18)


def desk(store, **more):
    """A gateway over that journal, logged on to a venue that has just begun anew."""
    s = Street(Quiet(), store=store, max_open_orders=more.pop("max_open_orders", 4), **more)
    return s.settle()


def new(s, ident):
    verdict = s.here.order_new("ABC", "1", 100, 10 * 10**8, ClOrdID=ident)
    s.settle()
    return strategy.VERDICTS[verdict]


def filled(s, ident):
    s.there.send("8", [(37, "1"), (11, ident), (39, "2"), (150, "2")])
    s.settle()


def killed(work):
    """Run `work` in a process that ends by SIGKILL."""
    child = Child(lambda say: (work(), os.kill(os.getpid(), signal.SIGKILL)))
    assert child.join() == -signal.SIGKILL


def trade(place, idents, done=(), **more):
    s = desk(journal(place), **more)
    for ident in idents:
        assert new(s, ident) == "SENT"
    for ident in done:
        filled(s, ident)


def after(place, **more):
    """What the next life counts. Its venue has no numbers of the life before, so the journal's are set back for it."""
    with journal(place) as store:
        store.renumber(next_in=1)
        with desk(store, **more) as s:
            return s.here.open_orders, [new(s, f"z{n}") for n in range(3)]


def test_what_is_open_at_a_kill_is_open_afterwards(tmp_path):
    killed(lambda: trade(tmp_path, "abcd", done="bd"))
    assert after(tmp_path) == (2, ["SENT", "SENT", "RISK_OPEN"])


def test_a_report_in_the_next_life_closes_it(tmp_path):
    killed(lambda: trade(tmp_path, "ab"))
    with journal(tmp_path) as store:
        store.renumber(next_in=1)
        with desk(store) as s:
            filled(s, "a"), filled(s, "a")
            assert s.here.open_orders == 1
    assert after(tmp_path)[0] == 1                              # and a clean end keeps it, too


@pytest.mark.parametrize("point, orders", [("record, before tx_burst", 2), ("tx_burst, before the numbers", 2),
                                           ("mid-record", 3)])
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the journal is stepped through with x86-64's trap flag")
def test_an_order_whose_record_was_the_last_thing(tmp_path, point, orders):
    """The second is recorded, and not yet noted as open; or it is stepped through, and the third's record is not whole."""
    face = compiled.module("crash_face")

    def die_there():
        store = journal(tmp_path)
        s = desk(store, around=face.CrashDevice)
        face.arm(point, 1, 0.5, os.open(os.devnull, os.O_WRONLY))
        face.arm_store(store)
        for n in range(orders):
            new(s, f"o{n}")
        raise AssertionError("it lives")
    killed(die_there)
    assert after(tmp_path)[0] == 2


def test_no_journal_no_memory_of_it(tmp_path):
    with desk(fix.MemoryStore()) as s:
        assert new(s, "a") == "SENT" and s.here.open_orders == 1
    assert list(tmp_path.iterdir()) == []


def test_another_limit_takes_the_open_ones_over(tmp_path):
    killed(lambda: trade(tmp_path, "abc"))
    assert after(tmp_path, max_open_orders=2) == (3, ["RISK_OPEN"] * 3)
    with journal(tmp_path) as store, pytest.raises(ValueError, match="3 orders were open .* room for 2"):
        desk(store, max_open_orders=1)
    assert after(tmp_path, max_open_orders=5) == (3, ["SENT", "SENT", "RISK_OPEN"])


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 64, b"x" * 4096])
def test_a_file_that_is_none_of_ours(tmp_path, damage):
    (tmp_path / "fixwire-gw.orders").write_bytes(damage)
    with journal(tmp_path) as store:
        if len(damage) < 64:                                    # a kill while it was made
            desk(store).close()
        else:
            with pytest.raises(ValueError, match="no table of open orders"):
                desk(store)


def test_a_journal_that_is_removed_takes_it_along(tmp_path):
    with journal(tmp_path) as store:
        desk(store).close()
        assert {p.name for p in tmp_path.iterdir()} == {"fixwire-gw.ring", "fixwire-gw.orders"}
        store.remove()
    assert list(tmp_path.iterdir()) == []
