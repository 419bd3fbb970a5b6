"""Strategies in processes of their own, here as Seats in the test's process and on virtual time: what they are told, what
becomes of their orders, and what one that dies, hangs or writes garbage does to the gateway and to the others (nothing).
"""
import struct

import pytest
from street import Street, body

from gateway import Desk, Seat
from gateway.strategy import (
    BAD_ORDER,
    DUPLICATE,
    MALFORMED,
    NO_SESSION,
    NOT_YOURS,
    RISK_QTY,
    RISK_RATE,
    SENT,
    STALE,
    TOO_MANY_OPEN,
    VERDICTS,
    WOULD_BLOCK,
)
from ipc.channel import Reader, Writer
from ipc.segment import RoleTaken, segment_path


class Venue:
    """Acknowledges orders and replacements, cancels when asked; fills with `fill`."""

    def __init__(self):
        self.session, self.orders, self.cancels, self.others = None, [], [], []

    def on_logon(self, session):
        self.session = session

    def on_message(self, session, msg):
        if msg.MsgType not in ("D", "F", "G"):
            self.others.append(msg.MsgType)
        elif msg.MsgType == "F":
            self.cancels.append(msg[41])
            self.report(msg[41], "4", more=[(41, msg[41])], as_id=msg[11])
        else:
            self.orders.append(msg[11])
            self.report(msg[11], "0" if msg.MsgType == "D" else "5", more=[] if msg.MsgType == "D" else [(41, msg[41])])

    def report(self, clordid, status, more=(), as_id=None):
        self.session.send("8", [(37, "1"), (17, "1"), (150, status), (39, status), (11, as_id or clordid), *more,
                                (55, "ABC"), (54, "1"), (151, "0"), (14, "0"), (6, "0")])

    def fill(self, clordid):
        self.report(clordid, "2")

    def quote(self, price):
        self.session.send("W", [(55, "ABC"), (268, "1"), (269, "0"), (270, price)])


class Notes:
    """A strategy that notes what it is told."""

    def __init__(self):
        self.told, self.verdicts, self.lost, self.engine, self.session = [], [], 0, None, None

    def on_start(self, engine):
        self.engine = engine

    def on_logon(self, session):
        self.session = session
        self.told.append("logon")

    def on_logout(self, session):
        self.told.append("logout")

    def on_message(self, session, msg):
        self.told.append((msg.MsgType, msg.get(11) or msg.get(270)))

    def on_reject(self, session, msg):
        self.told.append(("reject", msg.get(45)))

    def on_verdict(self, session, token, verdict):
        self.verdicts.append((token, VERDICTS[verdict]))

    def on_lost(self, count):
        self.lost += count


class Floor:
    """A Street whose gateway has a desk, and the seats at it."""

    def __init__(self, where, strategies=("maker", "taker"), inner=None, events=64, message=512, **limits):
        self.where, self.venue = where, limits.pop("venue", None) or Venue()
        given = [s if isinstance(s, dict) else {"name": s} for s in strategies]
        self.desk = Desk("d", given, directory=where, events=events, message=message)
        self.street = Street(self.desk, self.venue, **limits)
        self.desk.open()
        self.street.settle()
        self.seats = []

    def sit(self, name, strategy=None, **kw):
        seat = Seat(f"d.{name}", strategy if strategy is not None else Notes(), directory=self.where, **kw)
        self.seats.append(seat)
        self.turn()
        return seat

    def turn(self, ms=0):
        """Everything that can happen now has happened; `ms` pass."""
        for _ in range(3):
            for seat in self.seats:
                seat.step(self.street.now_ns)
            self.street.settle()
        if ms:
            self.street.pass_s(ms / 1000, every_ms=5)
            self.turn()
        return self

    def die(self, seat, ms=20):
        """As kill -9: the locks are free, nothing was said."""
        self.seats.remove(seat)
        seat.close()
        if ms:
            self.turn(ms)

    def stats(self, name):
        return self.desk.stats()[name]

    def accounted(self):
        for row in self.desk.stats().values():
            assert row["taken"] == row["hellos"] + row["sent"] + row["refused"]
            assert sum(row["verdicts"].values()) == row["sent"] + row["refused"]
        return True

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for seat in self.seats:
            seat.close()
        self.desk.close()
        self.street.close()


@pytest.fixture
def floor(tmp_path):
    with Floor(tmp_path) as f:
        yield f


def order(seat, **kw):
    session = seat.sessions[0]
    return session.order_new("ABC", kw.pop("Side", "1"), kw.pop("OrderQty", 100), 10 * 10**8, **kw)


def test_everybody_is_told_the_market_and_only_its_owner_of_an_order(floor):
    maker, taker = floor.sit("maker"), floor.sit("taker")
    floor.venue.quote("101.5")
    floor.turn()
    assert order(maker, ClOrdID="M1") == SENT and maker.sessions[0].last_token == 1
    floor.turn()
    floor.venue.fill("M1")
    floor.venue.quote("102")
    floor.turn()
    assert maker.strategy.target.told == ["logon", ("W", "101.5"), ("8", "M1"), ("8", "M1"), ("W", "102")]
    assert taker.strategy.target.told == ["logon", ("W", "101.5"), ("W", "102")]
    assert maker.strategy.target.verdicts == [(1, "SENT")] and floor.accounted()
    assert floor.stats("maker")["open"] == 0


def test_sessions_look_as_inside(floor):
    maker = floor.sit("maker")
    s, = maker.sessions
    assert (s.name, s.SenderCompID, s.TargetCompID, s.role) == ("GATEWAY->VENUE", "GATEWAY", "VENUE", "initiator")
    assert (s.BeginString, s.logged_on, s.state) == ("FIX.4.4", True, "established")
    assert abs(s.utc_ns - 1_790_000_000 * 10**9) < 10**13
    for call in (s.logout, s.test_request):
        with pytest.raises(RuntimeError, match="kept by the gateway"):
            call()


def test_an_order_is_the_octets_it_would_have_been_inside(floor):
    maker = floor.sit("maker")
    floor.street.out()
    order(maker, ClOrdID="M1", Account="ACC", TimeInForce="3")
    maker.sessions[0].order_replace("M1", "ABC", "1", 50, 11 * 10**8, ClOrdID="M2")
    maker.sessions[0].order_cancel("M2", "ABC", "1", 50, ClOrdID="M3")
    floor.turn()
    outside = [body(m) for m in floor.street.out()]
    inside = floor.street.here
    inside.order_new("ABC", "1", 100, 10 * 10**8, "M1", TimeInForce="3", Account="ACC")
    inside.order_replace("M1", "ABC", "1", 50, 11 * 10**8, "M2")
    inside.order_cancel("M2", "ABC", "1", 50, "M3")

    def plain(m):
        return "|".join(f for f in m.split("|") if not f.startswith("60="))
    assert list(map(plain, outside)) == [plain(body(m)) for m in floor.street.out()] and len(outside) == 3


def test_ClOrdIDs_made_outside_differ_between_strategies(floor):
    maker, taker = floor.sit("maker"), floor.sit("taker")
    for seat in (maker, taker, maker, taker):
        order(seat)
    floor.turn()
    ids = [int(x) for x in floor.venue.orders]
    assert len(set(ids)) == 4 and sorted(i % 64 for i in ids) == [1, 1, 2, 2]


def test_limits_are_the_gateways_and_the_verdict_comes_back(tmp_path):
    given = [{"name": "maker", "open": 2, "max_orders_per_second": 4}, {"name": "taker"}]
    with Floor(tmp_path, given, max_order_qty=500) as floor:
        maker, taker = floor.sit("maker"), floor.sit("taker")
        assert order(maker, OrderQty=501) == SENT           # into the channel, that is
        assert order(maker, OrderQty=-1) == BAD_ORDER       # not even there
        order(maker, ClOrdID="A"), order(maker, ClOrdID="A"), order(maker, ClOrdID="B"), order(maker, ClOrdID="C")
        taker.sessions[0].order_cancel("A", "ABC", "1")
        floor.turn()
        assert [v for _, v in maker.strategy.target.verdicts] == ["RISK_QTY", "SENT", "DUPLICATE", "SENT", "TOO_MANY_OPEN"]
        assert taker.strategy.target.verdicts == [(1, "NOT_YOURS")] and floor.venue.cancels == []
        floor.venue.fill("A")
        floor.turn()
        for k in range(3):
            order(maker, ClOrdID=f"D{k}")
            floor.turn()
            floor.venue.fill(f"D{k}")
            floor.turn()
        assert [v for _, v in maker.strategy.target.verdicts[5:]] == ["SENT", "SENT", "RISK_RATE"]
        floor.turn(ms=1000)
        order(maker)
        floor.turn()
        assert maker.strategy.target.verdicts[-1][1] == "SENT" and floor.accounted()
        names = ("RISK_QTY", "DUPLICATE", "TOO_MANY_OPEN", "RISK_RATE")
        assert {VERDICTS[v] for v in (RISK_QTY, DUPLICATE, TOO_MANY_OPEN, RISK_RATE)} == set(names)


def test_open_orders_follow_the_executions(floor):
    maker = floor.sit("maker")
    for k in range(4):
        order(maker, ClOrdID=f"O{k}")
    maker.sessions[0].order_replace("O0", "ABC", "1", 50, 10 * 10**8, ClOrdID="R0")     # replaced
    maker.sessions[0].order_cancel("O1", "ABC", "1")                                    # canceled
    floor.turn()
    assert floor.stats("maker")["open"] == 3                # R0 O2 O3
    floor.venue.fill("O2")
    floor.venue.report("O3", "8")
    floor.turn()
    assert floor.stats("maker")["open"] == 1
    floor.venue.session.send("9", [(37, "1"), (11, "X"), (41, "R0"), (39, "8"), (434, "1"), (102, "1")])    # unknown order
    floor.turn()
    assert floor.stats("maker")["open"] == 0
    floor.venue.fill("O2")                                  # late, and still its owner's
    floor.turn()
    assert maker.strategy.target.told[-1] == ("8", "O2")


def test_a_rejected_order_is_told_to_its_owner_and_done(floor):
    maker, taker = floor.sit("maker"), floor.sit("taker")
    order(maker, ClOrdID="M1")
    floor.turn()
    seq = floor.street.here.next_out - 1
    floor.venue.session.send("j", [(45, str(seq)), (372, "D"), (380, "0")])
    floor.turn()
    assert maker.strategy.target.told[-1] == ("reject", str(seq)) and floor.stats("maker")["open"] == 0
    assert ("reject", str(seq)) not in taker.strategy.target.told


def test_a_second_process_for_the_same_strategy_is_refused(floor):
    floor.sit("maker")
    with pytest.raises(RoleTaken):
        floor.sit("maker")
    with pytest.raises(ValueError, match="knows no strategy 'nobody', only maker, taker"):
        floor.sit("nobody")
    with pytest.raises(FileNotFoundError):
        Seat("e.maker", Notes(), directory=floor.where, timeout=0)


def test_a_second_gateway_of_the_same_name_is_refused_while_the_first_lives(floor):
    with pytest.raises(RoleTaken), Floor(floor.where):
        pass
    assert order(floor.sit("maker")) == SENT                # and the first one is none the worse
    floor.turn()
    assert floor.stats("maker")["sent"] == 1


# -- death

@pytest.mark.parametrize("policy, cancelled", [("cancel", ["A", "B"]), ("leave", [])])
def test_on_death_the_policy_applies_to_its_open_orders_only(tmp_path, policy, cancelled):
    with Floor(tmp_path, [{"name": "maker", "on_death": policy}, {"name": "taker"}]) as floor:
        maker, taker = floor.sit("maker"), floor.sit("taker")
        for name in "ABC":
            order(maker, ClOrdID=name)
        order(taker, ClOrdID="T")
        floor.turn()
        floor.venue.fill("C")
        floor.turn()
        floor.die(maker)
        row = floor.stats("maker")
        assert floor.venue.cancels == cancelled and row["cancels"] == len(cancelled) and row["deaths"] == 1
        assert row["open"] == 2 - len(cancelled) and floor.stats("taker")["open"] == 1 and not row["on"]


def test_orders_of_the_dead_are_cancelled_once_their_session_is_up_again(floor):
    maker = floor.sit("maker")
    order(maker, ClOrdID="A")
    floor.turn()
    floor.venue.session.logout()
    floor.turn(ms=50)
    floor.die(maker)
    assert floor.stats("maker")["cancels"] == 0
    floor.street.pass_s(5)
    floor.turn()
    assert floor.venue.cancels == ["A"] and floor.stats("maker")["open"] == 0


def test_a_thousand_orders_of_the_dead_are_cancelled_a_few_a_step(tmp_path):
    given = [{"name": "maker", "orders": 1024, "inbox": 4096, "open": 2048}, {"name": "taker"}]
    with Floor(tmp_path, given) as floor:
        maker, taker = floor.sit("maker"), floor.sit("taker")
        for _ in range(1000):
            assert order(maker) == SENT
        floor.turn()
        assert floor.stats("maker")["open"] == 1000
        floor.die(maker, ms=0)
        before = floor.stats("maker")["cancels"]
        floor.street.now_ns += 10**7
        steps = 0
        while floor.stats("maker")["cancels"] < 1000:
            floor.street.step()
            now = floor.stats("maker")["cancels"]
            assert now - before <= 16
            before, steps = now, steps + 1
        assert steps >= 60
        order(taker)
        floor.turn()
        assert taker.strategy.target.verdicts[-1][1] == "SENT" and floor.accounted()


def test_what_the_dead_left_in_its_channel_is_refused_as_stale(floor):
    maker = floor.sit("maker")
    for _ in range(3):
        order(maker)
    floor.die(maker, ms=0)
    floor.desk.engine.step(floor.street.now_ns + 10**7)     # the lock is looked at before the channel: nothing was taken yet
    row = floor.stats("maker")
    assert row["sent"] + row["verdicts"].get("STALE", 0) == 3 and floor.accounted()


def test_stale_orders_wait_with_their_verdict_until_the_inbox_has_room(tmp_path):
    with Floor(tmp_path, [{"name": "maker", "inbox": 4}]) as floor:
        maker = floor.sit("maker")
        for _ in range(8):
            order(maker, ClOrdID=f"O{_}")
        for _ in range(5):
            floor.street.step()                             # its inbox is full: verdicts and executions
        row = floor.stats("maker")
        assert row["waiting"] > 0 and row["waits"] > 0
        floor.die(maker)
        assert floor.stats("maker")["waiting"] > 0
        again = floor.sit("maker")
        floor.turn()
        row = floor.stats("maker")
        assert row["waiting"] == 0 and row["sent"] + row["verdicts"]["STALE"] == 8 and floor.accounted()
        assert row["verdicts"]["STALE"] == [v for _, v in again.strategy.target.verdicts].count("STALE") > 0
        assert STALE == VERDICTS.index("STALE")


def test_a_death_that_nobody_saw_is_noticed_at_the_successors_hello(floor):
    maker = floor.sit("maker")
    order(maker, ClOrdID="A")
    floor.turn()
    floor.seats.remove(maker)
    maker.close()
    again = floor.sit("maker")                              # within the 10 ms between two looks
    assert floor.venue.cancels == ["A"] and floor.stats("maker")["deaths"] == 1
    assert order(again) == SENT
    floor.turn()
    assert again.strategy.target.verdicts[-1][1] == "SENT" and floor.stats("maker")["on"]


# -- resuming

def test_a_successor_goes_on_where_the_dead_one_left_off(floor):
    maker = floor.sit("maker")
    order(maker, ClOrdID="A")
    floor.turn()
    floor.die(maker, ms=0)
    floor.venue.fill("A")
    floor.venue.quote("1")
    floor.street.settle()
    again = floor.sit("maker")
    assert again.strategy.target.told == [("8", "A"), ("W", "1"), "logon"]
    assert again.strategy.target.lost == 0


def test_what_was_published_while_nobody_sat_there_comes_first(floor):
    maker = floor.sit("maker")
    floor.venue.quote("1")
    floor.turn()
    floor.die(maker, ms=0)
    floor.venue.quote("2")
    floor.street.settle()
    assert floor.sit("maker").strategy.target.told == [("W", "2"), "logon"]


def test_both_rings_are_read_in_the_gateways_order(floor):
    maker = floor.sit("maker")
    order(maker, ClOrdID="A")
    floor.turn()
    maker.strategy.target.told.clear()
    for send in (lambda: floor.venue.quote("1"), lambda: floor.venue.fill("A"), lambda: floor.venue.quote("2")):
        send()
        floor.street.settle()
    floor.turn()
    assert maker.strategy.target.told == [("W", "1"), ("8", "A"), ("W", "2")]


def test_a_notice_is_acknowledged_only_after_its_callback(floor):
    """Killed inside it, the successor gets it again."""
    places, inbox = [], floor.desk.strategies["maker"][1]

    class Looks(Notes):
        def on_message(self, session, msg):
            places.append((msg.MsgType, inbox.capacity - inbox.free))
    maker = floor.sit("maker", Looks())
    order(maker, ClOrdID="A")
    floor.street.settle()
    maker.step(floor.street.now_ns)
    assert places == [("8", 1)] and inbox.free == inbox.capacity


def test_who_falls_behind_the_broadcast_is_told_exactly_how_much_it_lost(floor):
    maker = floor.sit("maker")
    before = len(maker.strategy.target.told)
    for k in range(200):                                    # the broadcast keeps 64
        floor.venue.quote(str(k + 1))
        floor.street.settle()
    floor.turn()
    told = maker.strategy.target.told[before:]
    assert maker.strategy.target.lost == maker.lost > 0 and len(told) + maker.lost == 200
    assert told[-1] == ("W", "200")


def test_who_hangs_loses_executions_counted_and_is_told(tmp_path):
    with Floor(tmp_path, [{"name": "maker", "inbox": 8}, {"name": "taker"}]) as floor:
        maker, taker = floor.sit("maker"), floor.sit("taker")
        order(maker, ClOrdID="A")
        floor.turn()
        for _ in range(20):
            floor.venue.report("A", "1")                    # maker does not look
        floor.street.settle()
        order(taker)
        floor.street.settle()
        taker.step(floor.street.now_ns)
        assert taker.strategy.target.verdicts[-1][1] == "SENT"
        assert floor.stats("maker")["lost"] == 12
        floor.turn(ms=20)
        assert maker.strategy.target.lost == 12
        assert len([t for t in maker.strategy.target.told if t == ("8", "A")]) == 1 + 8


# -- garbage

GOOD = struct.pack("<IIqqBBBBcccc32s32s32s32s", 2, 0, 100, 10**9, 1, 0, 3, 0, b"1", b"2", b"0", b"1", b"A", b"", b"ABC", b"")
LENGTH = 4096 + 256         # of the first request in the channel, 32 bits

def raw(floor, name="maker"):
    return Writer(f"d.{name}.orders", create=False, directory=floor.where)


def test_garbage_in_the_channel_is_refused_and_counted(floor):
    taker = floor.sit("taker")
    floor.sit("maker")
    floor.die(floor.seats[1], ms=0)
    with raw(floor) as w:
        hello = bytearray(len(GOOD))
        hello[0] = 1
        w.send(hello)
        wrong = [b"", b"x", bytes(len(GOOD)), GOOD[:-1], b"\xff" * len(GOOD)]
        for at, octet in ((0, 9), (24, 33), (24, 0), (26, 200), (28, 1), (28, 0), (29, 0x7f), (30, 1), (31, 255), (32, 1),
                          (96, 0x01), (96, 0), (96, 0x80)):
            bad = bytearray(GOOD)
            bad[at] = octet
            wrong.append(bytes(bad))
        assert w.send_batch(wrong) == len(wrong)
        floor.turn()
        far = bytearray(GOOD)
        far[4:8] = (1).to_bytes(4, "little")
        w.send(far)
        w.send(GOOD)
        floor.turn()
        row = floor.stats("maker")
        assert row["verdicts"] == {"MALFORMED": len(wrong), "NO_SESSION": 1, "SENT": 1} and floor.accounted()
        assert (MALFORMED, NO_SESSION, NOT_YOURS, WOULD_BLOCK) == (10, 15, 14, 2)
    order(taker)
    floor.turn()
    assert taker.strategy.target.verdicts[-1][1] == "SENT"


def test_requests_before_a_hello_are_refused(floor):
    with raw(floor) as w:
        w.send(GOOD)
        floor.turn()
    assert floor.stats("maker")["verdicts"] == {"MALFORMED": 1} and floor.venue.orders == []


@pytest.mark.parametrize("kind, at, value", [
    ("orders", 4096, 1 << 40), ("orders", 4096, 0), ("orders", LENGTH, 1 << 31), ("orders", LENGTH, 537),
    ("inbox", 4096 + 128, 1 << 40), ("inbox", 4096 + 128, 100)])
def test_counters_and_lengths_that_cannot_be_end_that_strategy_only_and_its_successor_starts_anew(floor, kind, at, value):
    maker, taker = floor.sit("maker"), floor.sit("taker")
    order(maker, ClOrdID="A")
    floor.turn()
    with open(segment_path(f"d.maker.{kind}", floor.where), "r+b") as f:
        if at == LENGTH:                    # of the next request, and that it is there
            at += floor.desk.strategies["maker"][0].number * 4
            f.seek(4096)
            f.write(struct.pack("<Q", floor.desk.strategies["maker"][0].number + 1))
        f.seek(at)
        f.write(struct.pack("<I" if value < 1 << 32 and at > LENGTH else "<Q", value))
    floor.street.pass_s(0.02, every_ms=5)
    assert floor.stats("maker")["damaged"] == 1 and not floor.stats("maker")["on"]
    order(taker)
    floor.street.settle()
    taker.step(floor.street.now_ns)
    assert taker.strategy.target.verdicts[-1][1] == "SENT"
    floor.seats.remove(maker)
    maker.close()
    floor.turn(ms=20)
    assert floor.venue.cancels == ["A"]
    again = floor.sit("maker")
    order(again, ClOrdID="B")
    floor.turn()
    assert again.strategy.target.verdicts[-1][1] == "SENT" and floor.stats("maker")["damaged"] == 1


def test_a_flood_is_taken_a_burst_a_step_and_the_others_get_their_turn(tmp_path):
    with Floor(tmp_path, [{"name": "maker", "open": 8, "inbox": 8192}, {"name": "taker"}]) as floor:
        maker, taker = floor.sit("maker"), floor.sit("taker")
        while order(maker) == SENT:
            pass
        assert maker.sessions[0].stats()["refused"] == 1        # WOULD_BLOCK: the channel is full
        order(taker)
        floor.street.step()
        assert floor.stats("taker")["sent"] == 1 and floor.stats("maker")["taken"] <= 1 + 2 * 16
        floor.turn()
        assert floor.stats("maker")["waiting"] == 0 and floor.accounted()


def test_a_message_longer_than_a_notice_is_counted_not_cut(tmp_path):
    with Floor(tmp_path, message=200) as floor:
        maker = floor.sit("maker")
        floor.venue.session.send("W", [(55, "ABC"), (58, "x" * 200)])
        floor.venue.quote("7")
        floor.turn()
        assert floor.desk.oversize == 1 and maker.strategy.target.told == ["logon", ("W", "7")]


def test_a_session_that_comes_after_the_desk_was_opened_is_kept_from_the_seats(floor):
    near, venue, first = floor.street.gateway, floor.street.venue, floor.venue.session
    for k in range(3):
        venue.add_session("VENUE", f"LATE{k}", role="acceptor", port=9879, strategy=floor.street.venue_strategy)
        near.add_session(f"LATE{k}", "VENUE", role="initiator", host="10.0.0.2", port=9879, strategy=floor.street.strategy)
    maker = floor.sit("maker")
    floor.turn()
    floor.venue.session = first                 # it answers where it logged on last
    assert floor.desk.unlisted == 3 and [s.name for s in maker.sessions] == [near.sessions[0].name]
    assert order(maker, ClOrdID="M1") == SENT
    floor.turn()
    assert ("8", "M1") in maker.strategy.target.told and floor.accounted()


def test_a_strategy_inside_is_told_as_well(tmp_path):
    inner, venue = Notes(), Venue()
    near = Street(inner, venue, connect=False)
    known = near.gateway.strategies[0]
    desk = Desk("d", [{"name": "maker"}], inner=known, directory=tmp_path)
    near.gateway.add_session("GATEWAY", "VENUE", role="initiator", host="10.0.0.2", port=9878,
                             strategy=near.gateway.add_strategy(desk))
    desk.open()
    near.settle()
    venue.quote("5")
    near.settle()
    assert inner.told == ["logon", ("W", "5")]
    desk.close()
    near.close()


def test_the_gateways_end_is_told_and_its_names_are_gone(floor):
    maker = floor.sit("maker")
    floor.street.gateway.stop()
    floor.turn(ms=3000)
    assert maker.strategy.target.told[-1] == "logout"
    floor.desk.close()
    with pytest.raises(FileNotFoundError):
        Reader("d.maker.orders", directory=floor.where, timeout=0)
