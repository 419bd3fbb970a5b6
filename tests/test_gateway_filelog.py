"""Message logs in QuickFIX's format: what a file then holds, and what happens where one cannot be written."""
import os
import re
import signal
import threading

import netns
import pytest
from street import UTC_OFFSET_NS, Quiet, Street
from test_gateway_cli_run import configured
from test_gateway_keys import order, street

from gateway.eventlog import EventLog, stamp
from gateway.filelog import FileLog

LOG = 'FileLogPath = "log"\n'
LINE = re.compile(rb"(\d{8}-\d\d:\d\d:\d\d\.\d{9}) : (8=FIX[^\n]*\x01)")


def lines(path):
    """[(time, message with |)] of a message log; every line is one."""
    found = [LINE.fullmatch(line) for line in path.read_bytes().splitlines()]
    assert all(found), path.read_bytes()
    return [(m[1].decode(), m[2].replace(b"\x01", b"|").decode()) for m in found]


def kinds(path):
    return [re.search(r"\|35=(\w+)\|.*?\|49=(\w)", message).groups() for _, message in lines(path)]


def test_every_message_of_both_directions_in_its_order(tmp_path):
    path = tmp_path / "log" / "FIX.4.4-GATEWAY-VENUE.messages.current.log"
    with street(LOG, tmp_path) as s:
        s.settle()
        first = s.now_ns
        order(s, "a-1")
        s.there.send("8", [(37, "1")]), s.there.send("8", [(37, "2")])
        s.settle()
        assert s.maker.filelog.stats()["errors"] == 0
    assert kinds(path) == [("A", "G"), ("A", "V"), ("D", "G"), ("8", "V"), ("8", "V")]
    times = [t for t, _ in lines(path)]
    assert times == sorted(times) and times[0] < stamp(first + UTC_OFFSET_NS) and times[-1].startswith("20260921-14:13:21.0")
    assert os.stat(path).st_mode & 0o137 == 0


def test_two_messages_of_one_segment_are_two_lines(tmp_path):
    path = tmp_path / "log" / "FIX.4.4-GATEWAY-VENUE.messages.current.log"
    with street(LOG, tmp_path) as s:
        s.settle()
        s.there.send("8", [(37, "1")]), s.there.send("8", [(37, "2")])
        assert len(s.near.rx_burst()) == 2              # lost; what is sent again fills one segment
        s.pass_s(1)
        assert s.here.stats()["app_in"] == 2
    assert kinds(path)[2:] == [("8", "V"), ("8", "V")]
    assert len({when for when, _ in lines(path)[2:]}) == 1


def test_messages_are_the_octets_of_the_wire(tmp_path):
    with street(LOG, tmp_path) as s:
        s.settle()
        order(s, "x" * 3000)                            # more than a slot of the ring
        s.settle()
        wire = s.out()
    logged = [m for _, m in lines(tmp_path / "log" / "FIX.4.4-GATEWAY-VENUE.messages.current.log") if "|49=GATEWAY|" in m]
    assert logged == wire and len(wire[-1]) > 3000


def test_a_log_goes_on_and_garbage_is_left_out(tmp_path):
    path = tmp_path / "log" / "FIX.4.4-GATEWAY-VENUE.messages.current.log"
    for n in (1, 2):
        with street(LOG + "ResetOnLogon = true", tmp_path) as s:
            s.settle()
        assert len(lines(path)) == 2 * n


def test_a_full_ring_loses_lines_and_nothing_else(tmp_path):
    """The file is a pipe nobody reads from, so the thread stands still: the engine counts and goes on."""
    path = tmp_path / "FIX.4.4-GATEWAY-VENUE.messages.current.log"
    os.mkfifo(path)
    with Street(Quiet()) as s:
        log = FileLog(s.gateway, 65536)
        log.add(s.here, str(tmp_path))
        s.settle()
        for n in range(1500):
            assert order(s, f"{n}") == 0
            s.step()
        s.settle()
        lost, found = s.gateway.stats()["engine_file_log_lost"], []
        reader = threading.Thread(target=lambda: found.append(path.read_bytes()))
        reader.start()
        log.close()
        reader.join()
        assert lost > 0 and s.there.next_in == 1502
        assert len(LINE.findall(found[0])) == found[0].count(b"\n") == 1502 - lost


def test_a_file_that_is_moved_away_is_opened_anew(tmp_path):
    path, moved = tmp_path / "log" / "FIX.4.4-GATEWAY-VENUE.messages.current.log", tmp_path / "old.log"
    with street(LOG, tmp_path) as s:
        s.settle()
        while not path.exists():
            s.step()
        path.rename(moved)
        sent = 0
        while not path.exists():                        # within a second, by the thread's clock
            assert order(s, f"{sent}") == 0
            sent += 1
            s.settle()
    assert len(lines(moved)) + len(lines(path)) == 2 + sent


def test_a_disk_that_takes_nothing_stops_nothing(tmp_path):
    directory = tmp_path / "log"
    with street(LOG, tmp_path) as s:
        (directory / "FIX.4.4-GATEWAY-VENUE.messages.current.log").mkdir()
        s.settle()
        assert order(s, "a") == 0
        s.settle()
        s.maker.logs.close()
        assert s.here.logged_on and s.maker.filelog.stats()["errors"] >= 1


def test_each_peer_of_a_template_has_its_file(tmp_path):
    with Street(Quiet(), connect=False) as s:
        pool = s.venue.add_template("MARKET", strategy=None, pool=2, port=9900)
        with FileLog(s.venue) as log:
            for session in pool:
                log.add(session, str(tmp_path))
            for name in ("ONE", "A/B"):
                s.gateway.add_session(name, "MARKET", role="initiator", host="10.0.0.2", port=9900, strategy=None)
            s.settle()
    assert sorted(os.listdir(tmp_path)) == [f"FIX.4.4-MARKET-{p}.messages.current.log" for p in ("A_B", "ONE")]


def test_events_of_a_session_in_quickfix_format(tmp_path):
    with street(LOG, tmp_path) as s:
        events = EventLog(s.gateway, s.maker.logged)
        s.settle()
        s.here.logout()
        s.settle()
        events.take()
        events.write()
    found = (tmp_path / "log" / "FIX.4.4-GATEWAY-VENUE.event.current.log").read_text().splitlines()
    assert [line.partition(" : ")[2] for line in found] == [
        "connecting", "connected", "logon", "logout", "disconnect (reason 13)"]
    assert all(re.match(r"20260921-14:13:2\d\.\d{9} : ", line) for line in found)


def test_a_directory_that_cannot_be(tmp_path):
    (tmp_path / "log").write_text("")
    from gateway.cli import Mistake
    with pytest.raises(Mistake, match=r"g.toml:4: .*log"), street(LOG, tmp_path):
        pass


@pytest.mark.netns
def test_a_running_gateway_writes_its_logs(tmp_path):
    netns.require()
    with netns.Link() as link:
        link.peer.sh(f"ip addr flush dev {link.peer.ifname}")
        venue = configured(tmp_path, "venue.toml", device=f"afpacket:{link.peer.ifname}", address="10.77.0.9/24",
                           role="acceptor", us="THEM", them="US", strategy='strategy = "strategies:Venue"')
        buyer = configured(tmp_path, "buyer.toml", device=f"afpacket:{link.us.ifname}",
                           strategy='strategy = "strategies.py:Buyer"')
        for path in (venue, buyer):
            with open(path, "a") as f:
                f.write(LOG)
        far = link.peer.python("-m", "gateway", "run", str(venue), ready="ready")
        link.us.python("-m", "gateway", "run", str(buyer)).finish(timeout=60)
        far.signal(signal.SIGTERM)
        far.finish()
    log = tmp_path / "log"
    ours, theirs = (kinds(log / f"FIX.4.4-{name}.messages.current.log") for name in ("US-THEM", "THEM-US"))
    assert sorted(ours) == sorted(theirs) and ours.count(("D", "U")) == 10 and ours.count(("8", "T")) == 10
    assert " : logon\n" in (log / "FIX.4.4-US-THEM.event.current.log").read_text()
