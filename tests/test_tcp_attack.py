"""Blind attackers, floods and lying routers (RFC 5961, 5927, 4987, 6528, 1191; RFC 9293 section 3.9.2.2)."""
import os
import random
import struct

import pytest
from segments import (
    ACK,
    FIN,
    MSS,
    OUR_ADDR,
    OUR_MAC,
    PEER,
    PEER_ADDR,
    PEER_MAC,
    PSH,
    RST,
    SYN,
    US,
    S,
    checksum,
    drain,
    f,
    mss,
    tcp_frame,
)

# -- RFC 5961

def test_an_exact_reset_resets(link):
    link.established()
    link.rx(RST, seq=PEER + 1)
    link.silent()
    assert link.conn.error == "reset"


@pytest.mark.parametrize("off", [1, 1000, 65534])
def test_a_reset_elsewhere_in_the_window_draws_one_challenge_ack(link, off):
    link.established()
    link.rx(RST, seq=PEER + 1 + off)
    link.tx(ACK, seq=US + 1, ack=PEER + 1)
    link.silent()
    assert link.conn.state == "ESTABLISHED" and link.counted()["tx_challenge_ack"] == 1


@pytest.mark.parametrize("off", [-1, -1000, 65535, 2**31])
def test_a_reset_outside_the_window_is_dropped(link, off):
    link.established()
    link.rx(RST, seq=PEER + 1 + off)
    link.silent()
    assert link.conn.state == "ESTABLISHED" and link.counted()["rx_bad_rst"] == 1


@pytest.mark.parametrize("off", [0, 1, 1000])
def test_a_syn_in_the_window_draws_a_challenge_ack(link, off):
    link.established()
    link.rx(SYN, seq=PEER + 1 + off)
    link.tx(ACK, seq=US + 1, ack=PEER + 1)
    assert link.conn.state == "ESTABLISHED" and link.counted()["rx_challenged"] == 1


def test_a_peer_that_lost_its_state_is_reset_by_its_own_answer(link):
    link.established()
    link.rx(SYN, seq=PEER + 5000)                       # it has rebooted and opens anew from the same port
    link.tx(ACK, seq=US + 1, ack=PEER + 1)
    link.rx(RST, seq=PEER + 1)                          # our ACK told it where to put its RST
    assert link.conn.error == "reset"


@pytest.mark.parametrize("ack", [2, 1000, 2**31 - 1, -70000, -2**31])
def test_text_with_an_ack_that_cannot_be_is_challenged_and_dropped(link, ack):
    link.established()
    link.rx(ACK, seq=PEER + 1, ack=US + 1 + ack, text=b"injected")
    link.tx(ACK, seq=US + 1, ack=PEER + 1)
    assert link.conn.waiting == 0 and link.counted()["rx_bad_ack"] == 1


def test_an_ack_a_window_old_is_still_good(link):
    link.established()
    link.conn.send(f(0, 100))
    link.sent()
    link.rx(ACK, seq=PEER + 1, ack=US + 101)
    link.rx(ACK, seq=PEER + 1, ack=US + 50, text=b"late")
    link.tx(ACK, seq=US + 101, ack=PEER + 5)
    assert link.conn.recv() == b"late"


def test_challenge_acks_are_limited_and_counted(link):
    link.established()
    for half in range(1, 4):
        link.now = (link.now // (S // 2) + 1) * (S // 2)
        for _ in range(50):
            link.rx(SYN, seq=PEER + 10)
        assert len(drain(link)) == 10
        assert link.counted()["challenge_limited"] == 40 * half


@pytest.mark.parametrize("probes", [0, 1, 7, 50])
def test_what_one_connection_draws_is_not_seen_on_another(link, probes):
    """CVE-2016-5696: guesses about a connection of others, counted by what is left for a connection of one's own."""
    link.established()
    own = link.stack.connect("10.0.0.2", 80, local_port=50001, now_ns=link.now)
    iss = link.sent().seq
    link.rx(SYN | ACK, seq=1000, ack=iss + 1, opts=mss(MSS), dport=50001)
    assert own.state == "ESTABLISHED" and len(drain(link)) == 1
    link.now = (link.now // S + 1) * S
    for _ in range(probes):
        link.rx(SYN, seq=PEER + 10)                     # in the window: each would be one less for us
    drain(link)
    for _ in range(150):
        link.rx(SYN, seq=1010, dport=50001)
    assert len(drain(link)) == 10


def test_blind_guesses_reset_nothing(make_link):
    """RST, SYN, ACK and text with random numbers, FIXWIRE_BLIND of them. RCV.NXT itself, one of 2**32, is left out."""
    link = make_link().established()
    count = int(os.environ.get("FIXWIRE_BLIND", 20000))
    rng = random.Random(1)
    for _start in range(0, count, 500):
        for _ in range(500):
            seq = rng.choice((rng.randrange(2**32), (PEER + 2 + rng.randrange(65000)) % 2**32))
            flags = rng.choice((RST, RST | ACK, SYN, SYN | ACK, ACK, ACK | PSH, FIN | ACK))
            if seq == (PEER + 1) % 2**32:
                continue
            assert link.peer.tx(tcp_frame(80, 50000, seq, rng.randrange(2**32), flags, 65535,
                                          text=b"x" * rng.randrange(10)))
        for _ in range(16):
            link.step()
        while link.peer.rx_burst(32, link.now):
            pass
        link.now += 10_000_000
    assert link.conn.state == "ESTABLISHED" and link.conn.waiting == 0
    seconds = count // 500 * 10_000_000 // S + 1
    assert link.counted()["tx_challenge_ack"] <= 10 * (2 * seconds + 1)
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"true")
    assert link.conn.recv() == b"true"


# -- SYN flood

def test_beyond_the_backlog_a_cookie_is_sent_and_memory_stays_flat(make_link):
    link = make_link(connections=8).listen(backlog=4)
    for i in range(1000):
        link.peer.tx(tcp_frame(1024 + i, 50000, i * 7919, 0, SYN, 65535, mss(MSS)))
        link.step()
        link.peer.rx_burst(32, link.now)
    k = link.counted()
    assert k["connections"] == 4 and k["cookies_sent"] == 996 and link.listener.counters["half_open"] == 4


def test_a_legitimate_client_connects_through_a_flood(make_link):
    link = make_link(connections=8).listen(backlog=2)
    for i in range(100):
        link.peer.tx(tcp_frame(1024 + i, 50000, i * 7919, 0, SYN, 65535, mss(MSS)))
        link.step()
        link.peer.rx_burst(32, link.now)
    link.rx(SYN, seq=PEER, opts=mss(1400))
    got = link.sent()
    assert got.flags == SYN | ACK and got.options == mss(MSS)
    link.iss = got.seq
    link.rx(ACK, seq=PEER + 1, ack=US + 1)
    conn = link.listener.accept()
    assert conn.state == "ESTABLISHED" and conn.info()["mss"] == 1400 and link.counted()["cookies_accepted"] == 1
    link.rx(ACK | PSH, seq=PEER + 1, ack=US + 1, text=b"hello")
    assert conn.recv() == b"hello"
    conn.send(b"back")
    while got := link.sent():
        last = got
    assert last.text == b"back"


def test_text_that_comes_with_the_cookie_arrives(make_link):
    link = make_link().listen(backlog=0)
    link.rx(SYN, seq=PEER, opts=mss(MSS))
    link.iss = link.sent().seq
    link.rx(ACK | PSH, seq=PEER + 1, ack=US + 1, text=b"hello")     # the bare ACK was lost
    assert link.listener.accept().recv() == b"hello"


@pytest.mark.parametrize("wrong", ["ack", "seq", "port", "late"])
def test_a_forged_or_old_cookie_opens_nothing(make_link, wrong):
    link = make_link().listen(backlog=0)
    link.rx(SYN, seq=PEER, opts=mss(MSS))
    link.iss = link.sent().seq
    if wrong == "late":
        link.wait(140 * S)
    link.rx(ACK, seq=PEER + 1 + (wrong == "seq"), ack=US + 1 + (wrong == "ack"), sport=81 if wrong == "port" else 80)
    if wrong == "late":
        assert link.sent().flags == RST
    link.silent()                                       # while cookies are about it may be text ahead of its ACK
    assert link.listener.accept() is None and link.counted()["rx_bad_cookie"] == 1


def test_a_cookie_is_good_across_the_end_of_its_period(make_link):
    link = make_link().listen(backlog=0)
    link.rx(SYN, seq=PEER, opts=mss(MSS))
    link.iss = link.sent().seq
    link.wait(63 * S)
    link.rx(ACK, seq=PEER + 1, ack=US + 1)
    assert link.listener.accept() is not None


def test_without_cookies_syns_beyond_the_backlog_are_counted(make_link):
    link = make_link().listen(backlog=1, syn_cookies=False)
    for port in (1, 2, 3):
        link.rx(SYN, seq=PEER, sport=port)
    assert link.counted()["rx_backlog"] == 2


# -- ICMP

def icmp(link, kind, code, seq, mtu=0, src=PEER_ADDR):
    """An ICMP error that quotes our segment `seq`."""
    quoted = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0x4000, 64, 6, 0, OUR_ADDR, PEER_ADDR)
    quoted = quoted[:10] + struct.pack("!H", checksum(quoted)) + quoted[12:]
    quoted += struct.pack("!HHI", link.sport, link.dport, link.live(seq))
    body = struct.pack("!BBHHH", kind, code, 0, 0, mtu) + quoted
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, 1, 0, src, OUR_ADDR)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    link.rx_burst(OUR_MAC + PEER_MAC + b"\x08\x00" + ip + body)


@pytest.mark.parametrize("kind, code", [(3, 0), (3, 1), (3, 5), (11, 0), (12, 0), (3, 2), (3, 3)])
def test_icmp_never_ends_an_open_connection(link, kind, code):
    link.established()
    link.conn.send(b"x")
    link.sent()
    icmp(link, kind, code, US + 1)
    assert link.conn.state == "ESTABLISHED" and link.conn.events() == ["unreachable"]


@pytest.mark.parametrize("code, ends", [(0, False), (1, False), (5, False), (2, True), (3, True)])
def test_a_hard_error_ends_an_attempt_and_a_soft_one_does_not(link, code, ends):
    link.connect()
    icmp(link, 3, code, US)
    assert link.conn.events() == (["unreachable", "closed"] if ends else ["unreachable"])
    assert link.conn.error == ("unreachable" if ends else None)


def test_icmp_that_quotes_a_number_not_in_flight_is_ignored_and_counted(link):
    link.established()
    link.conn.send(b"x")
    link.sent()
    for off in (-1, 5, 2**31):
        icmp(link, 3, 3, US + 1 + off)
    assert link.conn.events() == [] and link.counted()["icmp_ignored"] == 3


def test_source_quench_is_silently_discarded(link):
    link.established()
    link.conn.send(f(0, 5000))
    while link.sent():
        pass
    before = link.conn.info()
    icmp(link, 4, 0, US + 1)
    assert link.conn.info() == before and link.conn.events() == []


def test_fragmentation_needed_makes_segments_smaller_and_sends_them_again(link):
    link.established()
    link.conn.send(f(0, 3 * MSS))
    while link.sent():
        pass
    icmp(link, 3, 4, US + 1, mtu=1000)
    assert link.conn.info()["mss"] == 960
    sent, have = bytearray(3 * MSS), set()
    done = 0
    for _ in range(50):
        while got := link.sent():
            at = (got.seq - link.live(US + 1)) % 2**32
            assert len(got.text) <= 960
            sent[at:at + len(got.text)] = got.text
            have.update(range(at, at + len(got.text)))
        while done in have:
            done += 1
        link.rx(ACK, seq=PEER + 1, ack=US + 1 + done)
    assert done == 3 * MSS and sent == f(0, 3 * MSS)
    assert link.counted()["tx_pmtu_retransmit"] >= 1 and link.conn.info()["timeouts"] == 0


def test_an_old_router_names_no_mtu_and_the_next_plateau_is_taken(link):
    link.established()
    link.conn.send(f(0, MSS))
    link.sent()
    icmp(link, 3, 4, US + 1, mtu=0)
    assert link.conn.info()["mss"] == 1492 - 40


@pytest.mark.parametrize("mtu", [1500, 9000, 65535])
def test_an_mtu_that_is_no_smaller_changes_nothing(link, mtu):
    link.established()
    link.conn.send(f(0, MSS))
    link.sent()
    icmp(link, 3, 4, US + 1, mtu=mtu)
    link.silent()
    assert link.conn.info()["mss"] == MSS


@pytest.mark.parametrize("mtu", [1, 68, 100])
def test_an_absurd_mtu_leaves_room_for_text(link, mtu):
    link.established()
    link.conn.send(f(0, MSS))
    link.sent()
    icmp(link, 3, 4, US + 1, mtu=mtu)
    assert link.conn.info()["mss"] == 64


def test_a_next_hop_that_never_answers_arp_ends_the_attempt(make_link):
    link = make_link()
    link.stack.net.remove_neighbor("10.0.0.2")
    conn = link.stack.connect("10.0.0.2", 80, now_ns=0)
    link.wait(20 * S)
    assert conn.error == "unreachable" and conn.state == "CLOSED"
