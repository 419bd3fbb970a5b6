"""A gateway that is killed and starts again knows whose its open orders are, and what was to become of them."""
import os
import signal

import compiled
import pytest
from children import Child
from test_gateway_outside import Floor, Notes, Venue, order

import fix

MAKER, TAKER = {"name": "maker"}, {"name": "taker"}
LEAVING = {**MAKER, "on_death": "leave"}


class Once(Venue):
    """Has had the orders of the life before: what is sent again is no news."""

    def on_message(self, session, msg):
        if msg.get(43) != "Y":
            super().on_message(session, msg)


def journal(where):
    return fix.Journal("gw", ring_directory=str(where), ring_octets=1 << 18)


def life(where, strategies=(LEAVING, TAKER), **more):
    """A gateway over that journal; its venue begins anew, so the journal's numbers of the peer do, too."""
    store = journal(where)
    store.renumber(next_in=1)
    floor = Floor(where, strategies, store=store, venue=Once(), **more)
    floor.store = store
    return floor


def killed(where, work, strategies=(LEAVING, TAKER), **more):
    """Such a gateway does `work(floor)` in a process that ends by SIGKILL."""
    def run(say):
        work(life(where, strategies, **more))
        os.kill(os.getpid(), signal.SIGKILL)
    assert Child(run).join() == -signal.SIGKILL


def placing(**idents):
    """Orders of maker and of taker, and of those the ones that are `filled`."""
    def work(floor):
        for name in ("maker", "taker"):
            seat = floor.sit(name)
            for ident in idents.get(name, ""):
                order(seat, ClOrdID=ident)
        floor.turn()
        for ident in idents.get("filled", ""):
            floor.venue.fill(ident)
        floor.turn()
    return work


@pytest.fixture
def after(tmp_path):
    """after(strategies): the next life, ended with the test."""
    floors = []

    def begin(*args, **more):
        floors.append(life(tmp_path, *args, **more))
        return floors[-1]
    yield begin
    for floor in floors:
        floor.__exit__()
        floor.store.close()


def test_executions_reach_the_strategy_whose_order_it_was(tmp_path, after):
    killed(tmp_path, placing(maker="AB", taker="T"))
    floor = after()
    assert (floor.stats("maker")["open"], floor.stats("taker")["open"]) == (2, 0)       # T is cancelled: its policy
    floor.venue.fill("A")                                       # before anybody is there again
    floor.street.settle()
    maker, taker = floor.sit("maker"), floor.sit("taker")
    floor.venue.fill("B")
    floor.turn()
    assert maker.strategy.target.told == [("8", "A"), "logon", ("8", "B")]
    assert taker.strategy.target.told[-1] == "logon" and ("8", "B") not in taker.strategy.target.told
    assert floor.stats("maker")["open"] == 0 and floor.venue.cancels == ["T"]


def test_the_policy_on_death_holds_for_them(tmp_path, after):
    killed(tmp_path, placing(maker="ABC", taker="T", filled="B"), (MAKER, {**TAKER, "on_death": "leave"}))
    floor = after((MAKER, {**TAKER, "on_death": "leave"}))
    assert floor.venue.cancels == ["A", "C"]
    assert (floor.stats("maker")["open"], floor.stats("maker")["cancels"], floor.stats("taker")["open"]) == (0, 2, 1)
    maker = floor.sit("maker")                                  # and what its successor sends is not touched
    assert order(maker, ClOrdID="D") == 0
    floor.turn(ms=50)
    assert floor.venue.cancels == ["A", "C"] and floor.stats("maker")["open"] == 1


def test_they_are_still_its_own_and_count(tmp_path, after):
    killed(tmp_path, placing(maker="AB"), ({**LEAVING, "open": 3}, TAKER))
    floor = after(({**LEAVING, "open": 3}, TAKER))
    maker, taker = floor.sit("maker"), floor.sit("taker")
    taker.sessions[0].order_cancel("A", "ABC", "1")
    for ident in "ACD":
        order(maker, ClOrdID=ident)
    maker.sessions[0].order_cancel("B", "ABC", "1")
    floor.turn()
    assert [v for _, v in taker.strategy.target.verdicts] == ["NOT_YOURS"]
    assert [v for _, v in maker.strategy.target.verdicts] == ["DUPLICATE", "SENT", "TOO_MANY_OPEN", "SENT"]
    assert floor.venue.cancels == ["B"] and floor.stats("maker")["open"] == 2 and floor.accounted()


def test_what_comes_again_about_a_done_order_finds_its_owner(tmp_path, after):
    """The gateway may die behind the callback and before the message's number is taken for handled."""
    killed(tmp_path, placing(maker="A", filled="A"))
    floor = after()
    assert floor.stats("maker")["open"] == 0
    floor.venue.fill("A")
    floor.turn()
    assert floor.sit("maker").strategy.target.told == [("8", "A"), "logon"]
    assert ("8", "A") not in floor.sit("taker").strategy.target.told


@pytest.mark.parametrize("again", [1, 3])
def test_killed_again_and_again(tmp_path, after, again):
    killed(tmp_path, placing(maker="A"))
    for n in range(again):
        killed(tmp_path, placing(maker=str(n)))
    floor = after()
    assert floor.stats("maker")["open"] == 1 + again
    for ident in ["A", *map(str, range(again))]:
        floor.venue.fill(ident)
    floor.turn()
    assert floor.stats("maker")["open"] == 0


@pytest.mark.parametrize("point, sent", [("record, before tx_burst", 2), ("tx_burst, before the numbers", 2),
                                         ("mid-record", 3)])
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the journal is stepped through with x86-64's trap flag")
def test_an_order_that_was_on_its_way(tmp_path, after, point, sent):
    """Recorded it counts, and its executions find their owner; not recorded it never was."""
    face = compiled.module("crash_face")

    def die_there(floor):
        seat = floor.sit("maker")
        face.arm(point, 1, 0.5, os.open(os.devnull, os.O_WRONLY))
        face.arm_store(floor.store)
        for n in range(sent):
            order(seat, ClOrdID=f"o{n}")
            floor.turn()
        raise AssertionError("it lives")
    killed(tmp_path, die_there, around=face.CrashDevice)
    floor = after()
    assert floor.stats("maker")["open"] == 2
    maker = floor.sit("maker")
    for n in range(sent):
        order(maker, ClOrdID=f"o{n}")
    floor.turn()
    assert [v for _, v in maker.strategy.target.verdicts] == ["DUPLICATE", "DUPLICATE", "SENT"][:sent]


def test_an_order_that_was_refused_never_was(tmp_path, after):
    killed(tmp_path, placing(maker="A"), max_order_qty=50)
    floor = after()
    assert floor.stats("maker")["open"] == 0
    maker = floor.sit("maker")
    order(maker, ClOrdID="A")
    floor.turn()
    assert maker.strategy.target.verdicts == [(1, "SENT")]


# -- the file

def test_other_strategies_at_the_desk(tmp_path, after):
    killed(tmp_path, placing(maker="AB", filled="B"))
    floor = after(({"name": "new", "open": 7}, {**LEAVING, "open": 1}))
    assert floor.stats("maker")["open"] == 1 and floor.stats("new")["open"] == 0
    floor.venue.fill("A")
    floor.turn()
    assert floor.sit("maker").strategy.target.told == [("8", "A"), "logon"]


@pytest.mark.parametrize("strategies, more, why", [
    ((TAKER,), {}, "2 orders of the strategy maker were open .* no such strategy now"),
    (({**MAKER, "open": 1},), {}, "2 orders of the strategy maker .* `open` has room for 1"),
    ((MAKER,), {"begin_string": "FIX.4.2"}, "an order of the session FIX.4.4 GATEWAY VENUE initiator was")])
def test_what_has_no_place_any_more_is_told(tmp_path, strategies, more, why):
    killed(tmp_path, placing(maker="AB"))
    with pytest.raises(ValueError, match=why):
        life(tmp_path, strategies, **more)
    assert [p for p in tmp_path.iterdir() if p.suffix == ".outside"]


@pytest.mark.parametrize("at, value", [(None, b""), (None, b"short"), (0, b"x"), (8, b"\x01"), (64, b"{"), (64, b"7 "),
                                       (-200, b"\xff" * 200)])
def test_a_file_that_is_none_of_ours(tmp_path, at, value):
    killed(tmp_path, placing(maker="AB"))
    path = tmp_path / "fixwire-d.outside"
    octets = bytearray(path.read_bytes())
    octets[slice(at, None) if at is None or at < 0 else slice(at, at + len(value))] = value
    path.write_bytes(octets if at is not None else value)
    with pytest.raises(ValueError, match="is no table of open orders of this version; remove it"):
        life(tmp_path)


def test_a_file_half_written_is_none(tmp_path, after):
    killed(tmp_path, placing(maker="A"))
    (tmp_path / "fixwire-d.outside.new").write_bytes(b"half")
    assert after((LEAVING, TAKER, {"name": "more"})).stats("maker")["open"] == 1


def test_nothing_open_no_file_and_without_a_journal_none_either(tmp_path):
    def left():
        return [p.name for p in tmp_path.iterdir() if p.suffix == ".outside"]
    with journal(tmp_path) as store, Floor(tmp_path, (LEAVING,), store=store) as floor:
        seat = floor.sit("maker")
        order(seat, ClOrdID="A")
        floor.turn()
        assert left() == ["fixwire-d.outside"]
        floor.venue.fill("A")
        floor.turn()
    assert left() == []
    with Floor(tmp_path) as floor:
        order(floor.sit("maker"), ClOrdID="A")
        floor.turn()
        assert left() == []


def test_a_clean_end_keeps_what_is_open(tmp_path, after):
    floor = life(tmp_path)
    placing(maker="A")(floor)
    floor.__exit__()
    floor.store.close()
    assert after().stats("maker")["open"] == 1


def test_it_takes_a_second_gateways_word_for_nothing(tmp_path, after):
    """The desk's name is taken while the first lives, so its file is not looked at."""
    from ipc.segment import RoleTaken
    floor = after()
    order(floor.sit("maker"), ClOrdID="A")
    floor.turn()
    with fix.Journal("other", ring_directory=str(tmp_path), ring_octets=1 << 18) as store, pytest.raises(RoleTaken):
        Floor(tmp_path, (LEAVING, TAKER), store=store)
    assert floor.stats("maker")["open"] == 1 and isinstance(floor.seats[0].strategy.target, Notes)
