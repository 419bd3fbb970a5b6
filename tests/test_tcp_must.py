"""MUSTs of RFC 9293 that no other conversation shows (docs/tcp-conformance.md maps each to its test)."""
import struct

import pytest
from segments import ACK, MSS, OUR_MAC, PEER, PEER_MAC, PSH, RST, SYN, US, checksum, f, mss

from stack import TcpError


def test_congestion_avoidance_grows_by_one_segment_a_round_trip(make_link):
    """MUST-19: beyond ssthresh, one SMSS for each window acknowledged."""
    link = make_link(congestion="newreno", snd_buf=1 << 18, max_ack_delay_ns=0).established(rtt=20_000)
    link.conn.send(f(0, 10 * MSS))
    while link.sent():
        pass
    link.wait(20_000)
    for _ in range(3):
        link.rx(ACK, seq=PEER + 1, ack=US + 1)              # three duplicates: ssthresh is now five segments
    link.wait(20_000)                                       # what was sent again has had the time to arrive
    link.rx(ACK, seq=PEER + 1, ack=US + 1 + 10 * MSS)
    while link.sent():
        pass
    done, windows = 10 * MSS, []
    for _ in range(4):
        windows.append(link.conn.info()["cwnd"] // MSS)
        link.conn.send(f(done, link.conn.info()["cwnd"]))
        while link.sent():
            pass
        link.wait(20_000)
        end = done + link.conn.info()["unacked"]
        while done < end:
            done = min(done + MSS, end)
            link.rx(ACK, seq=PEER + 1, ack=US + 1 + done)
    assert windows[0] == 5 and windows == sorted(windows) and 1 <= windows[-1] - windows[0] <= 4


def test_an_ack_cannot_be_delayed_for_half_a_second(make_link):
    link = make_link()
    with pytest.raises(ValueError, match="ack_delay_ns is 500000000, must be 0 to 499999999"):
        link.stack.connect("10.0.0.2", 80, ack_delay_ns=500_000_000)


def test_one_port_listens_and_connects_at_once(make_link):
    """MUST-42: LISTEN while other connections of that local port are in SYN-SENT or SYN-RECEIVED."""
    link = make_link().listen()
    link.rx(SYN, seq=PEER, opts=mss(MSS))
    link.tx(SYN | ACK, seq=US, ack=PEER + 1)
    out = link.stack.connect("10.0.0.2", 9000, local_port=50000)
    assert link.sent().flags == SYN and out.state == "SYN-SENT"
    link.rx(SYN, seq=PEER, sport=81)
    assert link.sent().dport == 81
    assert link.listener.counters["half_open"] == 2


@pytest.mark.parametrize("address", ["10.0.0.255", "255.255.255.255", "224.0.0.5", "0.0.0.0"])
def test_open_towards_no_single_host_is_refused(make_link, address):
    link = make_link()
    with pytest.raises(TcpError, match="not a unicast address"):
        link.stack.connect(address, 80)
    link.silent()


def test_ip_options_are_passed_over(link):
    """MUST-50: a datagram with options (NOPs and a record route) brings its segment all the same."""
    link.established()
    frame = link.frame(ACK | PSH, seq=PEER + 1, ack=US + 1, text=b"hello")
    ip, rest = frame[14:34], frame[34:]
    options = bytes([1, 7, 7, 4, 0, 0, 0, 0, 1, 1, 0, 0])
    ip = bytes([0x48]) + ip[1:2] + struct.pack("!H", 32 + len(rest)) + ip[4:10] + b"\0\0" + ip[12:] + options
    ip = ip[:10] + checksum(ip).to_bytes(2, "big") + ip[12:]
    link.rx_burst(OUR_MAC + PEER_MAC + b"\x08\x00" + ip + rest)
    link.tx(ACK, seq=US + 1, ack=PEER + 6)
    assert link.conn.recv() == b"hello"


def test_mss_is_announced_on_syn_and_nowhere_else(link):
    link.connect()
    link.rx(SYN | ACK, seq=PEER, ack=US + 1, opts=mss(MSS))
    link.tx(ACK, seq=US + 1, ack=PEER + 1, opts=b"")
    link.conn.send(b"x")
    link.tx(ACK | PSH, seq=US + 1, ack=PEER + 1, text=b"x", opts=b"")
    link.conn.abort()
    link.tx(RST | ACK, seq=US + 2, ack=PEER + 1, opts=b"")


def test_every_segment_comes_from_the_connections_own_address(link):
    link.accepted()
    assert link.conn.local == ("10.0.0.1", 50000)
    link.conn.send(b"x")
    assert link.sent().src == bytes([10, 0, 0, 1])
    link.rx(SYN, seq=PEER + 500)
    assert link.sent().src == bytes([10, 0, 0, 1])


def test_a_window_above_32767_is_a_large_one(link):
    """MUST-1"""
    link.established(window=65535, congestion="none", initial_window=100)
    link.conn.send(f(0, 60000))
    octets = 0
    while got := link.sent():
        octets += len(got.text)
    assert octets == 60000
