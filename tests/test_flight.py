"""The flight recorder: each frame with what became of it, dumped to pcapng on demand and at a fault."""
import os
import shutil
import signal
import subprocess
import time

import pytest
from segments import ACK, FIN, MS, MSS, PEER, PEER_MAC, RST, SACK_OK, SYN, US, Link, f, mss, sack
from test_gateway_cli_run import configured, run

from dpdk_py.capture import PcapReader
from dpdk_py.pair import pair
from gateway import Engine
from stack import Stack
from stack.verdicts import AGAIN, DELIVERED, RX_VERDICTS, TX_REASONS


def words(link):
    return [x["verdict"] for x in link.stack.recorder.frames()]


def handshake(make_link, **options):
    return make_link(flight=64, **options).established(opts=mss(MSS) + SACK_OK, rtt=20_000)


def test_every_frame_both_ways_with_its_verdict_in_the_order_of_things(make_link):
    link = handshake(make_link)
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"in order")
    link.rx(ACK, seq=PEER + 19, ack=US + 1, text=b"early")
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"in order", bad_sum=True)
    assert link.peer.tx(b"\xff" * 12 + b"\x88\xb5" + bytes(46))
    link.step()
    assert words(link) == [
        "sent: syn, SYN-SENT", "delivered: accepted, ESTABLISHED", "sent: ack, ESTABLISHED",
        "delivered: predicted, ESTABLISHED", "sent: ack, ESTABLISHED",
        "delivered: out_of_order, ESTABLISHED", "sent: dup_ack, ESTABLISHED",
        "dropped: checksum, CLOSED", "dropped: ethertype"]
    assert [x["out"] for x in link.stack.recorder.frames()] == [True, False, True, False, True, False, True, False, False]


def test_a_retransmission_says_which_kind(make_link):
    link = handshake(make_link, max_ack_delay_ns=0)
    link.conn.send(f(0, 4 * MSS))
    link.wait(20_000)
    link.rx(ACK, seq=PEER + 1, ack=US + 1, opts=sack((US + 1 + MSS, US + 1 + 4 * MSS)))
    assert words(link)[-2:] == ["delivered: accepted, ESTABLISHED", "sent: again, rack_retransmit, ESTABLISHED"]
    assert words(link).count("sent: new, text, ESTABLISHED") == 4


def test_arp_and_what_waits_for_it(make_link):
    link = Link(flight=16)
    link.stack.net.remove_neighbor("10.0.0.2")
    link.stack.connect("10.0.0.2", 80)
    assert words(link) == ["sent: arp", "waits for ARP: syn, SYN-SENT"]
    link.stack.net.add_neighbor("10.0.0.2", PEER_MAC)
    assert words(link)[-1] == "sent after ARP"


def test_a_full_device_refuses_and_an_address_without_a_way_has_none():
    near, far = pair(queue=1)
    stack = Stack(near, "10.0.0.1/24", seed=1, announce=False, flight=16)
    stack.net.add_neighbor("10.0.0.2", far.mac)
    stack.connect("10.0.0.2", 80, now_ns=0)
    stack.connect("10.0.0.2", 80, now_ns=0)
    stack.connect("192.0.2.1", 80, now_ns=0)
    assert [x["verdict"] for x in stack.recorder.frames()] == [
        "sent: syn, SYN-SENT", "refused, device full: syn, SYN-SENT", "refused, no route: syn, SYN-SENT"]


def test_only_the_last_are_kept_and_long_ones_are_cut(make_link):
    link = make_link(flight=8, flight_octets=64).established()
    for i in range(20):
        link.rx(ACK, seq=PEER + 1 + i * 100, ack=US + 1, text=f(i * 100, 100))
    kept = link.stack.recorder.frames()
    assert len(kept) == 8 and link.stack.recorder.counters()["recorded"] == 43
    assert {(len(x["octets"]), x["len"]) for x in kept} == {(64, 154), (54, 54)}
    assert [x["len"] for x in link.stack.flight()] == [100, 0] * 4


def test_a_frame_whose_place_was_taken_while_it_was_handled_leaves_the_new_one_alone(make_link):
    link = make_link(flight=1).established()
    for _ in range(2):              # the second time it is acknowledged before its own verdict, `duplicate`, is known
        link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"x")
    assert words(link) == ["sent: dup_ack, ESTABLISHED"]


def test_the_dump_is_read_by_our_own_reader_and_the_same_octets_again(make_link, tmp_path):
    link = handshake(make_link, flight_octets=100)
    link.conn.send(f(0, 300))
    link.stack.dump_flight(tmp_path / "a.pcapng", utc_offset_ns=10**18)
    link.stack.dump_flight(tmp_path / "b.pcapng")
    read = list(PcapReader(tmp_path / "a.pcapng"))
    kept = link.stack.recorder.frames()
    assert [(p.data, p.orig_len, p.ts_ns - 10**18, p.direction) for p in read] == [
        (x["octets"], x["len"], x["at_ns"], 2 if x["out"] else 1) for x in kept]
    assert read[-1].orig_len == 354 and len(read[-1].data) == 100
    assert (tmp_path / "a.pcapng").read_bytes() == (tmp_path / "b.pcapng").read_bytes()
    assert (tmp_path / "a.pcapng").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_tshark_reads_the_verdicts(make_link, tmp_path):
    link = handshake(make_link)
    link.conn.send(f(0, 2000))
    link.rx(RST, seq=PEER + 1)
    link.stack.dump_flight(tmp_path / "a.pcapng")
    done = subprocess.run(["tshark", "-n", "-r", tmp_path / "a.pcapng", "-T", "fields", "-e", "frame.comment", "-e",
                           "frame.len", "-e", "tcp.flags.syn"], text=True, capture_output=True, check=True, timeout=300)
    kept = link.stack.recorder.frames()
    assert [line.split("\t")[:2] for line in done.stdout.splitlines()] == [[x["verdict"], str(x["len"])] for x in kept]
    assert "malformed" not in done.stdout.lower() and kept[-1]["verdict"] == "delivered: accepted, CLOSED"


@pytest.mark.parametrize("fault", ["reset", "timeout", "aborted", "exception"])
def test_a_fault_leaves_a_file_by_itself(make_link, tmp_path, fault):
    link = handshake(make_link, flight_dir=tmp_path, user_timeout_ns=300 * MS, rto_min_ns=50 * MS)
    if fault == "reset":
        link.rx(RST, seq=PEER + 1)
    elif fault == "timeout":
        link.conn.send(b"x")
        link.wait(400 * MS)
    elif fault == "aborted":
        link.conn.abort()
        link.step()
    else:
        link.conn.on_data = lambda conn, data: 1 // 0
        with pytest.raises(ZeroDivisionError):
            link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"x")
    file, = tmp_path.iterdir()
    assert file.name.endswith(f"-000-{fault}.pcapng") and len(list(PcapReader(file))) >= 4
    assert link.stack.recorder.counters()["dumps"] == 1


def test_an_orderly_end_leaves_none(make_link, tmp_path):
    link = handshake(make_link, flight_dir=tmp_path)
    link.conn.close()
    link.rx(FIN | ACK, seq=PEER + 1, ack=US + 2)
    assert not list(tmp_path.iterdir()) and link.stack.recorder.counters()["faults"] == 0


def test_a_storm_of_faults_is_one_file_a_second_and_a_lost_directory_is_counted(make_link, tmp_path):
    link = make_link(flight=64, flight_dir=tmp_path).listen()
    for i in range(10):
        link.sport, link.dport = 50000, 1000 + i
        link.rx(SYN, seq=PEER, opts=mss(MSS))
        link.iss = link.sent().seq - 0
        link.rx(ACK, seq=PEER + 1, ack=(link.iss + 1) % 2**32)
        link.rx(RST, seq=PEER + 1)
    counters = link.stack.recorder.counters()
    assert counters["faults"] == 10 and len(list(tmp_path.iterdir())) == counters["dumps"] == 1
    shutil.rmtree(tmp_path)
    link.wait(1001 * MS)
    assert link.stack.recorder.counters()["failed"] == 1


class Asks:
    """A strategy that asks for the recording by the signal, or stops the gateway by an exception."""

    def __init__(self, fails):
        self.fails = fails

    def on_start(self, engine):
        if self.fails:
            engine.stack.connect("10.0.0.2", 80)
            raise RuntimeError("planted")
        os.kill(os.getpid(), signal.SIGUSR1)

    def on_message(self, session, msg):
        pass


@pytest.mark.parametrize("why", ["demand", "exception"])
def test_the_gateway_leaves_a_file_at_the_signal_and_when_an_exception_stops_it(tmp_path, why):
    near, far = pair()
    before = signal.getsignal(signal.SIGUSR1)
    with near, far, Engine(near, "10.0.0.1/24", seed=1, tcp={"flight_dir": tmp_path}) as engine:
        engine.add_strategy(Asks(why == "exception"), on_error="stop")
        if why == "exception":
            with pytest.raises(RuntimeError, match="planted"):
                engine.run(seconds=0.05)
        else:
            engine.run(seconds=0.05)
    file, = tmp_path.iterdir()
    assert file.name.endswith(f"-000-{why}.pcapng")
    times = [packet.ts_ns for packet in PcapReader(file)]
    assert all(abs(t - time.time_ns()) < 3600 * 10**9 for t in times)          # UTC, not the engine's clock
    assert signal.getsignal(signal.SIGUSR1) == before


def test_the_key_of_the_configuration(tmp_path):
    path = configured(tmp_path, more='flight_recorder = "nowhere"')
    done = run(path)
    assert done.returncode == 2 and "nowhere is no directory" in done.stderr


def test_nonsense_is_refused(make_link, tmp_path):
    with pytest.raises(ValueError, match="flight_octets is 10, must be 64 to 65535"):
        make_link(flight=8, flight_octets=10)
    with pytest.raises(ValueError, match="no directory"):
        make_link(flight_dir=tmp_path / "nowhere")
    link = make_link()
    assert link.stack.recorder is None and link.stack.flight() == []
    with pytest.raises(RuntimeError, match="without a flight recorder"):
        link.stack.dump_flight(tmp_path / "a")
    with pytest.raises(OSError, match="nowhere"):
        make_link(flight=8).stack.dump_flight(tmp_path / "nowhere" / "a")


def test_every_name_is_one_tcp_has():
    assert set(DELIVERED) < set(RX_VERDICTS) and set(AGAIN) < set(TX_REASONS)
