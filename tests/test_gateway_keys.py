"""Session keys of gateway.toml, each by what the session then does; `fixwire run` itself where a process matters."""
import contextlib
import os
import re
import signal
import struct

import netns
import pytest
from segments import ACK, MSS, PEER, SYN, US, mss
from street import Quiet, Street
from test_gateway_cli_run import configured

from gateway.cli import Mistake
from gateway.config import parse
from gateway.keys import SESSION_KEYS
from gateway.run import tcp_options
from gateway.sessions import SessionMaker, journal_name

HEAD = 'device = "afpacket:none"\naddress = "10.0.0.1/24"\n'
SESSION = '''
[[sessions]]
role = "initiator"
BeginString = "FIX.4.4"
SenderCompID = "GATEWAY"
TargetCompID = "VENUE"
host = "10.0.0.2"
port = 9878
'''


@contextlib.contextmanager
def street(keys="", directory=".", strategy=None, port=9878, **kw):
    """A street whose gateway has the session of a gateway.toml in `directory` with `keys` added.

    On port 9879 the venue's stack takes connections and says nothing.
    """
    config = parse(f"{HEAD}{SESSION.replace('9878', str(port))}{keys}".encode(), os.path.join(str(directory), "g.toml"))
    with contextlib.ExitStack() as stores, Street(strategy or Quiet(), connect=False, **kw) as made, \
            contextlib.ExitStack() as logs:
        made.venue.stack.listen(9879)
        made.maker = SessionMaker(made.gateway, config, stores, logs)
        made.here, *made.others = made.maker.add(config.sessions[0], made.strategy)
        made.step()
        yield made


def order(s, ClOrdID, price=10150000000, qty=100):
    return s.here.order_new("ABC", "1", qty, price, ClOrdID=ClOrdID)


def types(s):
    return [m.split("|35=")[1].split("|")[0] for m in s.out()]


JOURNAL = 'FileStorePath = "store"\nring_directory = "."\nring_octets = 65536\nsegment_octets = 131072\n'


def test_a_journal_goes_on_with_the_numbers(tmp_path):
    with street(JOURNAL, tmp_path) as s:
        s.settle()
        assert order(s, "a-1") == order(s, "a-2") == 0
        s.settle()
    assert sorted(os.listdir(tmp_path)) == ["fixwire-FIX.4.4-GATEWAY-VENUE.ring", "store"]
    with street(JOURNAL, tmp_path) as s:                # a venue that knows nothing gets all of it again
        assert (s.here.next_in, s.here.next_out) == (2, 4)
        s.here.renumber(next_in=1)
        s.settle()
        assert types(s) == ["A", "4", "D", "D", "4"] and s.quiet.told == ["logon", "D", "D"]


def test_numbers_only_fill_the_gap(tmp_path):
    with street('store = "none"') as s:
        s.settle()
        order(s, "a-1")
        s.settle()
        s.out()
        s.there.resend_request(1)
        s.settle()
        assert types(s) == ["4"]


def test_memory_keeps_what_its_size_says():
    with street("store_messages = 2") as s:
        s.settle()
        for n in range(4):
            order(s, f"a-{n}")
        s.settle()
        s.out()
        s.there.resend_request(2)
        s.settle()
        assert types(s) == ["4", "D", "D"]


def test_a_journal_in_use_is_a_mistake_with_its_line(tmp_path):
    with street(JOURNAL, tmp_path), pytest.raises(Mistake, match=r"g.toml:4: journal FIX.4.4-GATEWAY-VENUE is in use"), \
            street(JOURNAL, tmp_path):
        pass


def test_names_of_journals_are_file_names_and_differ():
    ids = [("A-B", "C"), ("A", "B-C"), ("A_2dB", "C"), ("../../x", "y"), ("A B", "Ä")]
    names = [journal_name("FIX.4.4", *pair) for pair in ids]
    assert len(set(names)) == len(ids) and names[3] == "FIX.4.4-.._2f.._2fx-y"
    assert all(set(name) <= set("abcdefxyABC0123456789FIX.-_") for name in names)


@pytest.mark.parametrize("keys, want", [
    ('SenderSubID = "desk 7"', "|50=desk 7|"), ('TargetSubID = "T"', "|57=T|"), ('SenderLocationID = "L"', "|142=L|"),
    ('TargetLocationID = "M"', "|143=M|"), ('Username = "me"', "|553=me|"), ('Password = "pw"', "|554=pw|"),
    ("HeartBtInt = 7", "|108=7|"), ("ResetOnLogon = true", "|141=Y|"), ("EnableNextExpectedMsgSeqNum = true", "|789=1|"),
    ("EnableLastMsgSeqNumProcessed = true", "|369=0|"), ("TimestampPrecision = 6", r".......|56=")])
def test_what_a_key_puts_into_the_logon(keys, want):
    with street(keys) as s:
        s.settle()
        assert want in re.sub(r"\.\d{6}\|", r".......|", s.out()[0])


def test_a_connection_without_a_logon_is_given_up():
    with street("LogonTimeout = 3", port=9879) as s:
        s.pass_s(2.5)
        assert s.here.state == "logon sent"
        s.pass_s(0.6)
        assert s.here.state == "disconnected"


def test_the_wait_between_connections():
    with street("ReconnectInterval = 2\nreconnect_max = 4") as s:
        s.there.enabled = False
        s.settle()
        seen = []
        for _ in range(5):
            s.pass_s(1.9)
            seen.append(s.here.stats()["connects"])
        assert seen == [1, 2, 2, 3, 3]


def test_throttle():
    with street("throttle_messages = 2\nthrottle_interval = 0.5") as s:
        s.settle()
        assert [order(s, f"a-{n}") for n in range(3)] == [0, 0, 9] and s.here.stats()["throttled"] == 1
        s.pass_s(0.6)
        assert order(s, "a-3") == 0


def test_limits_of_orders():
    with street("max_order_qty = 100\nmax_notional = 1000.5\nmax_orders_per_second = 2") as s:
        s.settle()
        assert [order(s, "a", qty=101), order(s, "b", price=1001000000), order(s, "c", 10**9), order(s, "d", 10**9),
                order(s, "e", 10**9)] == [5, 6, 0, 0, 7]


def test_the_dictionary_of_the_version(tmp_path):
    with street("UseDataDictionary = true") as s:
        s.settle()
        s.there.send("8", [(37, "1")])
        s.settle()
        assert "|58=Required tag missing|" in s.out()[-1]
    with street("UseDataDictionary = true\nValidateRequiredFields = false") as s:
        s.settle()
        s.there.send("8", [(37, "1")])
        s.settle()
        assert s.strategy.messages == 1


def test_a_dictionary_that_cannot_be_read_is_a_mistake(tmp_path):
    (tmp_path / "F.xml").write_text("<!DOCTYPE fix><fix/>")
    with pytest.raises(Mistake, match=r"g.toml:4: .*F.xml:1: DOCTYPE"), street('DataDictionary = "F.xml"', tmp_path):
        pass
    with pytest.raises(Mistake, match=r"g.toml:4: .*G.xml: No such file"), street('DataDictionary = "G.xml"', tmp_path):
        pass


@pytest.mark.parametrize("keys, said, timeout_s", [
    ("", False, 300), ("user_timeout_option = true", True, 600), ("user_timeout = 20", False, 20),
    ("user_timeout = 20.5\nuser_timeout_option = true", True, 20.5),
])
def test_the_user_timeout_of_connections_and_its_option(make_link, keys, said, timeout_s):
    config = parse(f"{HEAD}{keys}\n{SESSION}".encode(), "g.toml")
    link = make_link(**tcp_options(config, ".")).connect()
    own = mss(MSS) + struct.pack("!BBH", 28, 4, 21 if timeout_s == 20.5 else 300)
    link.rx(SYN | ACK, seq=PEER, ack=US + 1, opts=mss(MSS) + struct.pack("!BBH", 28, 4, 600))
    link.tx(ACK, seq=US + 1, ack=PEER + 1, opts=own[4:] if said else None)
    assert link.conn.info()["user_timeout_ns"] == timeout_s * 10**9


def test_hours():
    with street('StartTime = "14:13:25"\nEndTime = "14:13:30"\nTimeZone = "UTC"') as s:     # it is 14:13:21
        s.pass_s(3.5)
        assert not s.there.logged_on
        s.pass_s(1)
        assert s.there.logged_on


def test_every_argument_is_one_of_add_session():
    """A key whose argument add_session does not know would only fail where somebody uses it."""
    values = {"DefaultApplVerID": "9", "TimestampPrecision": 3}
    with street() as s:
        for name, key in SESSION_KEYS.items():
            if key.argument:
                value = values.get(name, "x") if key.default is None else key.default
                with pytest.raises(ValueError, match="has these CompIDs already"):
                    s.gateway.add_session("GATEWAY", "VENUE", role="initiator", host="10.0.0.2", port=1, strategy=None,
                                          **{key.argument: value})


# -- the process

@pytest.mark.netns
def test_a_gateway_run_again_goes_on_with_its_numbers(tmp_path):
    """The venue stays up and keeps its numbers: a gateway that began at 1 would be sent away."""
    netns.require()
    with netns.Link() as link:
        link.peer.sh(f"ip addr flush dev {link.peer.ifname}")
        venue = configured(tmp_path, "venue.toml", device=f"afpacket:{link.peer.ifname}", address="10.77.0.9/24",
                           role="acceptor", us="THEM", them="US", strategy='strategy = "strategies:Venue"')
        buyer = configured(tmp_path, "buyer.toml", device=f"afpacket:{link.us.ifname}",
                           strategy='strategy = "strategies.py:Buyer"')
        with open(buyer, "a") as f:
            f.write(JOURNAL + 'durability = "machine"\n')
        far = link.peer.python("-m", "gateway", "run", str(venue), ready="ready")
        for _ in range(2):
            near = link.us.python("-m", "gateway", "run", str(buyer)).finish(timeout=60)
            assert near.stdout.splitlines() == [f"fill {n}" for n in range(1, 11)]
            assert " error" not in near.stderr
        far.signal(signal.SIGTERM)
        far.finish()
