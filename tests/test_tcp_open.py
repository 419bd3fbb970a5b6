"""Opening a connection: CLOSED, LISTEN, SYN-SENT, SYN-RECEIVED (RFC 9293 sections 3.5, 3.10.7.1 to 3.10.7.3)."""
import pytest
from segments import (
    ACK,
    FIN,
    MS,
    MSS,
    PEER,
    PSH,
    RST,
    SACK_OK,
    SYN,
    URG,
    US,
    S,
    mss,
    ts,
    wscale,
)

# -- CLOSED

@pytest.mark.parametrize("flags, reply", [
    (SYN, (RST | ACK, 0, PEER + 1)), (FIN, (RST | ACK, 0, PEER + 1)), (0, (RST | ACK, 0, PEER))])
def test_closed_answers_a_segment_without_ack_by_rst_at_0(link, flags, reply):
    link.rx(flags, seq=PEER)
    link.tx(reply[0], seq=0, ack=reply[2])
    link.silent()


def test_closed_answers_an_ack_by_rst_at_its_number(link):
    link.rx(ACK | PSH, seq=PEER, ack=77, text=b"hello")
    link.tx(RST, seq=77)
    assert link.counted()["rx_no_connection"] == 1


@pytest.mark.parametrize("flags", [RST, RST | ACK, RST | SYN])
def test_closed_never_answers_a_reset(link, flags):
    link.rx(flags, seq=PEER, ack=77)
    link.silent()


# -- active open

def test_active_open(link):
    link.connect()
    link.rx(SYN | ACK, seq=PEER, ack=US + 1, opts=mss(MSS))
    link.tx(ACK, seq=US + 1, ack=PEER + 1)
    link.silent()
    assert link.conn.state == "ESTABLISHED" and link.conn.events() == ["connected"]


def test_our_syn_offers_mss_sack_and_window_scale(make_link):
    link = make_link(rcv_buf=1 << 20)
    link.start_where_isn_wraps(True)
    link.stack.connect("10.0.0.2", 80, local_port=50000)
    link.tx(SYN, seq=US, opts=mss(MSS) + SACK_OK + wscale(5), window=65535)


def test_our_syn_offers_timestamps_where_asked(make_link):
    link = make_link()
    link.start_where_isn_wraps(True)
    link.stack.connect("10.0.0.2", 80, local_port=50000, timestamps=True, window_scale=False)
    got = link.tx(SYN, seq=US)
    assert got.options[:8] == mss(MSS) + b"\x04\x02\x08\x0a" and len(got.options) == 16 and got.options[12:] == bytes(4)


def test_syn_is_repeated_with_doubled_timeout_until_r2(link):
    link.connect(syn_timeout_ns=10 * S)
    for wait in (1, 2, 4):
        link.wait(wait * S - 1)
        link.silent()
        link.wait(1)
        link.tx(SYN, seq=US)
    link.wait(3 * S)
    link.silent()
    assert link.conn.state == "CLOSED" and link.conn.events() == ["timeout", "closed"]


def test_r2_of_a_syn_is_three_minutes_by_default(link):
    link.connect()
    link.wait(179 * S)
    assert link.conn.state == "SYN-SENT"
    link.wait(2 * S)
    assert link.conn.events() == ["timeout", "closed"]
    while link.sent():
        pass


def test_a_refused_connection(link):
    link.connect()
    link.rx(RST | ACK, seq=0, ack=US + 1)
    link.silent()
    assert link.conn.events() == ["refused", "closed"] and link.conn.error == "refused"


def test_syn_sent_ignores_a_reset_that_does_not_acknowledge_our_syn(link):
    link.connect()
    link.rx(RST, seq=PEER)
    link.rx(RST | ACK, seq=PEER, ack=US)
    link.rx(RST | ACK, seq=PEER, ack=US + 2)
    link.silent()
    assert link.conn.state == "SYN-SENT" and link.counted()["rx_bad_rst"] == 3


@pytest.mark.parametrize("off", [0, 2, 2**31])
def test_syn_sent_resets_an_ack_of_what_was_never_sent(link, off):
    link.connect()
    link.rx(SYN | ACK, seq=PEER, ack=US + off)
    link.tx(RST, seq=US + off)
    assert link.conn.state == "SYN-SENT"
    link.rx(SYN | ACK, seq=PEER, ack=US + 1)
    link.tx(ACK, seq=US + 1, ack=PEER + 1)


def test_syn_sent_drops_an_ack_without_syn(link):
    link.connect()
    link.rx(ACK, seq=PEER, ack=US + 1)
    link.silent()
    assert link.conn.state == "SYN-SENT" and link.counted()["rx_no_match"] == 1


def test_text_and_fin_with_the_syn_ack_are_not_lost(link):
    link.connect()
    link.rx(SYN | ACK | FIN, seq=PEER, ack=US + 1, text=b"early")
    link.tx(ACK, seq=US + 1, ack=PEER + 7)
    link.silent()
    assert link.conn.recv() == b"early" and link.conn.state == "CLOSE-WAIT"


def test_text_sent_while_opening_leaves_with_the_last_ack_of_the_handshake(link):
    link.connect()
    assert link.conn.send(b"early") == 5
    link.silent()
    link.rx(SYN | ACK, seq=PEER, ack=US + 1)
    link.tx(ACK | PSH, seq=US + 1, ack=PEER + 1, text=b"early")
    link.silent()


def test_close_while_syn_sent_forgets_the_attempt(link):
    link.connect()
    link.conn.close()
    assert link.conn.state == "CLOSED"
    link.rx(SYN | ACK, seq=PEER, ack=US + 1)
    link.tx(RST, seq=US + 1)


# -- simultaneous open (figure 7)

def test_simultaneous_open(link):
    link.connect()
    link.rx(SYN, seq=PEER, opts=mss(MSS))
    link.tx(SYN | ACK, seq=US, ack=PEER + 1, opts=mss(MSS))
    assert link.conn.state == "SYN-RECEIVED"
    link.rx(SYN | ACK, seq=PEER, ack=US + 1, opts=mss(MSS))
    link.silent()
    assert link.conn.state == "ESTABLISHED" and link.conn.events() == ["connected"]


def test_simultaneous_open_ended_by_a_bare_ack(link):
    link.connect()
    link.rx(SYN, seq=PEER, opts=mss(MSS))
    link.tx(SYN | ACK, seq=US, ack=PEER + 1)
    link.rx(ACK, seq=PEER + 1, ack=US + 1)
    link.silent()
    assert link.conn.state == "ESTABLISHED"


def test_a_reset_ends_a_simultaneous_open_as_refused(link):
    link.connect()
    link.rx(SYN, seq=PEER)
    link.tx(SYN | ACK, seq=US, ack=PEER + 1)
    link.rx(RST, seq=PEER + 1)
    assert link.conn.events() == ["refused", "closed"]


def test_close_in_syn_received_sends_fin_when_established(link):
    link.connect()
    link.rx(SYN, seq=PEER)
    link.tx(SYN | ACK, seq=US, ack=PEER + 1)
    link.conn.close()
    link.silent()
    link.rx(ACK, seq=PEER + 1, ack=US + 1)
    link.tx(FIN | ACK, seq=US + 1, ack=PEER + 1)
    assert link.conn.state == "FIN-WAIT-1"


# -- passive open

def test_passive_open(link):
    link.listen()
    link.rx(SYN, seq=PEER, opts=mss(MSS))
    link.tx(SYN | ACK, seq=US, ack=PEER + 1, opts=mss(MSS))
    assert link.listener.accept() is None and link.listener.counters["half_open"] == 1
    link.rx(ACK, seq=PEER + 1, ack=US + 1)
    link.silent()
    conn = link.listener.accept()
    assert conn.state == "ESTABLISHED" and conn.remote == ("10.0.0.2", 80) and conn.local == ("10.0.0.1", 50000)
    assert link.listener.counters == {"accepted": 1, "refused": 0, "half_open": 0}


def test_a_syn_ack_repeats_only_options_the_peer_offered(make_link):
    for offered, answered in ((b"", mss(MSS)), (mss(MSS) + SACK_OK, mss(MSS) + SACK_OK),
                              (mss(MSS) + wscale(3), mss(MSS) + wscale(0)),
                              (mss(MSS) + SACK_OK + wscale(3), mss(MSS) + SACK_OK + wscale(0))):
        link = make_link().listen()
        link.rx(SYN, seq=PEER, opts=offered)
        link.tx(SYN | ACK, seq=US, ack=PEER + 1, opts=answered)


def test_a_syn_ack_echoes_the_timestamp(make_link):
    link = make_link(timestamps=True).listen()
    link.rx(SYN, seq=PEER, opts=mss(MSS) + ts(1234, 0))
    got = link.tx(SYN | ACK, seq=US, ack=PEER + 1)
    assert got.options[4:8] == ts(0, 0)[:4] and got.options[12:16] == (1234).to_bytes(4, "big")


def test_a_lost_syn_ack_is_repeated_on_the_syn_and_on_time(link):
    link.listen()
    link.rx(SYN, seq=PEER)
    link.tx(SYN | ACK, seq=US, ack=PEER + 1)
    link.rx(SYN, seq=PEER)
    link.tx(SYN | ACK, seq=US, ack=PEER + 1)
    link.wait(1 * S)
    link.tx(SYN | ACK, seq=US, ack=PEER + 1)
    link.rx(ACK, seq=PEER + 1, ack=US + 1)
    assert link.listener.accept().state == "ESTABLISHED"


def test_a_half_open_connection_gives_its_slot_back_in_the_end(link):
    link.listen(syn_timeout_ns=5 * S)
    link.rx(SYN, seq=PEER)
    assert link.counted()["connections"] == 1
    link.wait(6 * S)
    assert link.counted()["connections"] == 0 and link.listener.counters["half_open"] == 0
    while link.sent():
        pass


def test_text_with_the_last_ack_of_the_handshake_arrives(link):
    link.listen()
    link.rx(SYN, seq=PEER)
    link.tx(SYN | ACK, seq=US, ack=PEER + 1)
    link.rx(ACK | PSH, seq=PEER + 1, ack=US + 1, text=b"hello")
    link.tx(ACK, seq=US + 1, ack=PEER + 6)
    assert link.listener.accept().recv() == b"hello"


def test_a_reset_returns_syn_received_to_listen(link):
    link.listen()
    link.rx(SYN, seq=PEER)
    link.tx(SYN | ACK, seq=US, ack=PEER + 1)
    link.rx(RST, seq=PEER + 1)
    link.silent()
    assert link.listener.counters["half_open"] == 0 and link.listener.accept() is None
    link.rx(SYN, seq=PEER)
    assert link.sent().flags == SYN | ACK


def test_syn_received_resets_an_ack_of_what_was_never_sent(link):
    link.listen()
    link.rx(SYN, seq=PEER)
    link.tx(SYN | ACK, seq=US, ack=PEER + 1)
    link.rx(ACK, seq=PEER + 1, ack=US + 2)
    link.tx(RST, seq=US + 2)
    assert link.listener.accept() is None


def test_listen_ignores_a_reset_resets_an_ack_and_drops_the_rest(link):
    link.listen()
    link.rx(RST, seq=PEER)
    link.silent()
    link.rx(ACK, seq=PEER, ack=7)
    link.tx(RST, seq=7)
    link.rx(FIN, seq=PEER)
    link.rx(URG | PSH, seq=PEER, text=b"x")
    link.silent()
    assert link.counted()["rx_no_match"] == 2


def test_listeners_do_not_disturb_what_is_open(link):
    link.accepted()
    other = link.stack.listen(50001)
    link.rx(SYN, seq=PEER, dport=50001, sport=81)
    assert link.sent().sport == 50001
    link.listener.close()
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"still")
    link.tx(ACK, seq=US + 1, ack=PEER + 6)
    assert link.conn.state == "ESTABLISHED" and other.counters["half_open"] == 1


def test_closing_a_listener_resets_what_is_half_open(link):
    link.listen()
    link.rx(SYN, seq=PEER)
    link.tx(SYN | ACK, seq=US, ack=PEER + 1)
    link.listener.close()
    link.tx(RST | ACK, seq=US + 1, ack=PEER + 1)
    link.rx(SYN, seq=PEER)
    link.tx(RST | ACK, seq=0, ack=PEER + 1)


def test_two_peers_on_one_port_are_two_connections(link):
    link.listen()
    for sport in (80, 81):
        link.rx(SYN, seq=PEER, sport=sport)
        link.iss = None
        link.tx(SYN | ACK, seq=US, ack=PEER + 1)
        link.rx(ACK, seq=PEER + 1, ack=US + 1, sport=sport)
    assert [link.listener.accept().remote[1] for _ in range(2)] == [80, 81]


# -- forged SYNs

def test_forged_syns_leave_slots_for_who_is_real(make_link):
    link = make_link(connections=8, max_ack_delay_ns=0).listen()
    for sport in range(1000, 1008):
        link.rx(SYN, seq=PEER, sport=sport)
    assert link.listener.counters["half_open"] == 4 and link.counted()["tx_cookie"] == 4
    while link.sent():
        pass
    link.rx(SYN, seq=PEER, opts=mss(MSS))
    link.iss = None
    link.tx(SYN | ACK, seq=US, ack=PEER + 1)
    link.rx(ACK, seq=PEER + 1, ack=US + 1)
    assert link.listener.accept().state == "ESTABLISHED"
    for port in range(4):
        assert link.stack.connect("10.0.0.2", port + 1).state == "SYN-SENT"
    assert link.listener.counters["half_open"] == 3


def test_a_cookie_that_comes_back_takes_the_slot_of_the_oldest_half_open(make_link):
    link = make_link(connections=2).listen()
    link.rx(SYN, seq=PEER, sport=1000)
    link.sent()
    link.stack.connect("10.0.0.2", 81)
    link.sent()
    link.rx(SYN, seq=PEER, opts=mss(MSS))
    link.iss = None
    link.tx(SYN | ACK, seq=US, ack=PEER + 1)
    link.rx(ACK, seq=PEER + 1, ack=US + 1)
    assert link.listener.accept().remote == ("10.0.0.2", 80)
    assert link.listener.counters["half_open"] == 0


# -- MSS

@pytest.mark.parametrize("opts, want", [(b"", 536), (mss(MSS), MSS), (mss(9000), MSS), (mss(1000), 1000), (mss(1), 64)])
def test_eff_snd_mss(make_link, opts, want):
    link = make_link().established(opts=opts)
    link.conn.send(bytes(want + 1))
    assert len(link.sent().text) == want and len(link.sent().text) == 1


def test_the_mss_we_announce_follows_the_mtu(make_link):
    link = make_link(mtu=576)
    link.start_where_isn_wraps(True)
    link.stack.connect("10.0.0.2", 80, local_port=50000)
    assert link.sent().options[:4] == mss(536)


# -- whom we talk to

@pytest.mark.parametrize("src", [bytes([224, 0, 0, 1]), bytes([255, 255, 255, 255]), bytes([127, 0, 0, 1])])
def test_a_syn_from_an_address_nobody_has_is_dropped(link, src):
    link.listen()
    link.rx(SYN, seq=PEER, src=src)
    link.silent()
    assert link.listener.counters["half_open"] == 0


@pytest.mark.parametrize("dst", [bytes([10, 0, 0, 255]), bytes([255, 255, 255, 255]), bytes([224, 0, 0, 1])])
def test_a_syn_to_a_group_is_dropped(link, dst):
    link.listen()
    link.rx(SYN, seq=PEER, dst=dst)
    link.silent()


def test_isn_moves_with_the_clock_and_differs_for_each_peer(make_link):
    link = make_link(connections=8)
    isns = []
    for port in (1, 2, 3):
        link.stack.connect("10.0.0.2", port, local_port=4000, now_ns=1000)
        isns.append(link.sent().seq)
    assert len(set(isns)) == 3
    for conn in link.stack.connections:
        conn.close()
    link.now = 40_000_000
    link.step()
    link.stack.connect("10.0.0.2", 1, local_port=4000)
    assert (link.sent().seq - isns[0]) % 2**32 == 10_000          # one every 4 us
    other = make_link(seed=8)
    other.stack.connect("10.0.0.2", 1, local_port=4000, now_ns=1000)
    assert other.sent().seq != isns[0]


def test_a_lost_syn_makes_the_first_timeout_three_seconds(link):
    link.connect()
    link.wait(1 * S)
    link.tx(SYN, seq=US)
    link.rx(SYN | ACK, seq=PEER, ack=US + 1, opts=mss(MSS))
    link.tx(ACK, seq=US + 1, ack=PEER + 1)
    link.conn.send(b"x")
    link.tx(ACK | PSH, seq=US + 1, ack=PEER + 1, text=b"x")
    link.wait(3 * S - 1 * MS)
    link.silent()
    link.wait(1 * MS)
    link.tx(ACK | PSH, seq=US + 1, ack=PEER + 1, text=b"x")
