"""Sending: segments, windows, probes, retransmission timeouts (RFC 9293 sections 3.7, 3.8; RFC 6298, 5681, 5482)."""
import struct

import pytest
from segments import ACK, FIN, MS, MSS, PEER, PSH, RST, SYN, US, S, f, mss, wscale


def sends(link, first, n, *, last=False, ack=PEER + 1):
    """The next segment carries octets first..first+n of f."""
    return link.tx(ACK | (PSH if last else 0), seq=US + 1 + first, ack=ack, text=f(first, n))


def acks(link, n, **fields):
    link.rx(ACK, seq=PEER + 1, ack=US + 1 + n, **fields)


# -- no hidden waiting

def test_a_send_of_one_segment_is_in_the_queue_before_send_returns(link):
    link.established()
    assert link.conn.send(f(0, MSS)) == MSS
    sends(link, 0, MSS, last=True)


def test_small_sends_do_not_wait_for_acknowledgements(link):
    link.established()
    for i in range(10):                                 # no Nagle algorithm, always
        link.conn.send(f(10 * i, 10))
        sends(link, 10 * i, 10, last=True)


def test_a_large_send_leaves_in_full_segments_and_push_is_on_the_last(link):
    link.established()
    link.conn.send(f(0, 3 * MSS + 100))
    for i in range(3):
        sends(link, i * MSS, MSS)
    sends(link, 3 * MSS, 100, last=True)
    link.silent()


def test_the_send_ring_wraps(make_link):
    link = make_link(snd_buf=4096).established()
    sent = 0
    for n in (3000, 1000, 700, 3333, 4096, 1, 4095):
        assert link.conn.send_all(f(sent, n))
        while n:
            size = min(n, MSS)
            sends(link, sent, size, last=size == n)
            sent, n = sent + size, n - size
        acks(link, sent)


def test_text_around_the_end_of_sequence_space(link):
    link.established()
    for i in range(6):
        link.conn.send(f(i, 1))
        sends(link, i, 1, last=True)
    acks(link, 6)
    assert link.conn.info()["unacked"] == 0


# -- the peer's window

def test_no_more_than_the_window_and_the_rest_when_it_moves(link):
    link.established(window=2 * MSS)
    link.conn.send(f(0, 4 * MSS))
    sends(link, 0, MSS)
    sends(link, MSS, MSS)
    link.silent()
    acks(link, MSS)
    sends(link, 2 * MSS, MSS)
    link.silent()
    acks(link, 2 * MSS, window=65535)
    sends(link, 3 * MSS, MSS, last=True)


def test_a_silly_window_is_not_filled(link):
    link.established(window=10 * MSS)
    link.conn.send(f(0, 10 * MSS))
    for i in range(10):
        sends(link, i * MSS, MSS, last=i == 9)
    link.conn.send(f(10 * MSS, 2 * MSS))
    acks(link, 10 * MSS, window=100)
    link.silent()                                       # 100 octets are not worth a segment
    link.wait(60 * MS)
    sends(link, 10 * MSS, 100)                          # but for want of better they go in the end


def test_half_of_the_largest_window_is_worth_a_segment(link):
    link.established(window=200)
    link.conn.send(f(0, 500))
    sends(link, 0, 200)
    acks(link, 200, window=100)
    sends(link, 200, 100)


def test_a_window_that_shrinks_is_survived(link):
    link.established(window=5000)
    link.conn.send(f(0, 4000))
    for i in range(2):
        sends(link, i * MSS, MSS)
    sends(link, 2 * MSS, 4000 - 2 * MSS, last=True)
    acks(link, MSS, window=500)                         # the right edge has moved left
    link.conn.send(f(4000, 1000))
    link.silent()                                       # nothing new beyond it
    acks(link, 4000, window=5000)
    sends(link, 4000, 1000, last=True)


@pytest.mark.parametrize("shift, field, segments", [(7, 50, 4), (14, 5, 40), (200, 5, 40)])
def test_a_scaled_window_lets_out_what_its_field_would_hold_back(make_link, shift, field, segments):
    """RFC 7323 section 2.3: a shift above 14 means 14."""
    link = make_link(snd_buf=1 << 17, congestion="none").established(opts=mss(MSS) + wscale(shift), window=0)
    link.conn.send(f(0, 40 * MSS))
    link.silent()
    acks(link, 0, window=field)
    for i in range(segments):
        sends(link, i * MSS, MSS, last=i == 39)
    link.silent()


def test_the_window_that_completes_a_passive_open_is_scaled(make_link):
    link = make_link(window_scale=True)
    link.peer_window = 3
    link.accepted(opts=mss(MSS) + wscale(10))
    link.conn.send(f(0, 2 * MSS))
    sends(link, 0, MSS)
    sends(link, MSS, MSS, last=True)


# -- window probes

def test_a_closed_window_is_probed_with_one_octet_and_backoff(link):
    link.established(window=0)
    link.conn.send(f(0, 100))
    link.silent()
    gaps, last = [], link.now
    while len(gaps) < 5:
        link.wait(1 * MS)
        got = link.sent()
        if got:
            assert got.text == f(0, 1) and got.seq == link.live(US + 1)
            gaps.append(link.now - last)
            last = link.now
            acks(link, 0, window=0)                     # still closed, and alive
            link.silent()
    assert gaps[0] >= 50 * MS and all(1.9 < b / a < 2.1 for a, b in zip(gaps, gaps[1:], strict=False))
    acks(link, 0, window=1000)
    sends(link, 0, 100, last=True)


def test_a_window_may_stay_closed_for_ever_while_probes_are_answered(make_link):
    link = make_link(user_timeout_ns=30 * S).established(window=0)
    link.conn.send(b"x")
    for _ in range(40):
        link.wait(10 * S)
        while link.sent():
            acks(link, 0, window=0)
    assert link.conn.state == "ESTABLISHED"


def test_a_closed_connection_does_not_wait_for_a_window_for_ever(make_link):
    link = make_link(user_timeout_ns=30 * S).established(window=0)
    link.conn.send(b"x")
    link.conn.close()
    got = None
    for _ in range(400):
        link.wait(100 * MS)
        while (segment := link.sent()) and not segment.flags & RST:
            acks(link, 0, window=0)
        got = got or segment
    assert got.flags == RST | ACK and link.conn.state == "CLOSED"


@pytest.mark.parametrize("close, state", [(False, "ESTABLISHED"), (True, "CLOSED")])
def test_a_window_shrunk_to_nothing_over_text_in_flight_is_waited_for(make_link, close, state):
    link = make_link(user_timeout_ns=30 * S).established(window=1000)
    link.conn.send(f(0, 500))
    sends(link, 0, 500, last=True)
    if close:
        link.conn.close()
    for _ in range(400):
        link.wait(1 * S)
        while (segment := link.sent()) and not segment.flags & RST:
            acks(link, 0, window=0)
    assert link.conn.state == state


def test_unanswered_probes_end_the_connection_after_the_user_timeout(make_link):
    link = make_link(user_timeout_ns=30 * S).established(window=0)
    link.conn.send(b"x")
    link.wait(40 * S)
    assert link.conn.error == "timeout"
    while link.sent():
        pass


def test_the_probed_octet_may_be_taken(link):
    link.established(window=0)
    link.conn.send(f(0, 100))
    link.wait(51 * MS)
    link.tx(ACK | PSH, seq=US + 1, ack=PEER + 1, text=f(0, 1))
    acks(link, 1, window=0)
    link.silent()
    assert link.conn.info()["unacked"] == 0
    acks(link, 1, window=1000)
    sends(link, 1, 99, last=True)


def test_probing_goes_on_where_the_probed_octet_was_taken(link):
    link.established(window=0)
    link.conn.send(f(0, 100))
    for i in range(3):
        link.wait(1 * S)
        link.tx(ACK | PSH, seq=US + 1 + i, ack=PEER + 1, text=f(i, 1))
        while link.sent():
            pass                                        # the same probe again
        acks(link, i + 1, window=0)
        assert link.stack.deadline() is not None
    acks(link, 3, window=1000)
    sends(link, 3, 97, last=True)


def test_a_small_window_is_used_in_the_end_though_a_probe_crossed_its_update(link):
    link.established(window=1000)
    link.conn.send(f(0, 2000))
    sends(link, 0, 1000)
    acks(link, 1000, window=0)
    link.wait(60 * MS)
    link.tx(ACK | PSH, seq=US + 1001, ack=PEER + 1, text=f(1000, 1))
    acks(link, 1000, window=400)                        # not worth a segment yet
    acks(link, 1001, window=399)                        # the octet of the probe
    link.silent()
    link.wait(60 * MS)
    sends(link, 1001, 399)                              # SWS avoidance has its timer (RFC 9293 section 3.8.6.2.1)


def test_a_fin_alone_probes_a_closed_window_too(link):
    link.established(window=0)
    link.conn.close()
    link.wait(51 * MS)
    link.tx(ACK, seq=US, ack=PEER + 1)
    acks(link, 0, window=10)
    link.tx(FIN | ACK, seq=US + 1, ack=PEER + 1)


# -- retransmission timeout



def test_the_timeout_doubles_and_the_first_segment_goes_again(make_link):
    link = make_link(rto_min_ns=200 * MS, max_ack_delay_ns=0).established()
    link.conn.send(f(0, 10))
    sends(link, 0, 10, last=True)
    link.wait(1 * MS)
    sends(link, 0, 10, last=True)                       # the tail loss probe
    at = link.now
    for want in (200, 400, 800, 1600):
        while not (got := link.sent()):
            link.wait(1 * MS)
        assert got.text == f(0, 10)
        assert abs(link.now - at - want * MS) <= 2 * MS
        at = link.now
    info = link.conn.info()
    assert info["timeouts"] == 4 and info["backoff"] == 4 and info["cwnd"] == MSS
    k = link.counted()
    assert k["tx_timeout_retransmit"] == 4 and k["tx_tail_probe"] == 1


def test_the_timeout_doubles_up_to_its_ceiling_and_begins_anew_after_an_answer(make_link):
    link = make_link(rto_min_ns=10 * MS, rto_max_ns=50 * MS, max_ack_delay_ns=0).established()
    link.conn.send(f(0, 10))
    sends(link, 0, 10, last=True)
    at, gaps = link.now, []
    while len(gaps) < 7:
        link.wait(MS // 10)
        if link.sent():
            gaps.append(round((link.now - at) / MS))
            at = link.now
    assert gaps[1:] == [10, 20, 40, 50, 50, 50]         # the first is the tail loss probe
    acks(link, 10)
    assert link.conn.info()["backoff"] == 0 and link.conn.info()["rto_ns"] <= 50 * MS


@pytest.mark.parametrize("floor", [1, 5, 20])
def test_rto_min_is_each_connections_own(make_link, floor):
    link = make_link(rto_min_ns=floor * MS, max_ack_delay_ns=0).established()
    assert link.conn.info()["rto_ns"] == max(floor * MS, 0)


def test_karn_a_retransmitted_segment_is_not_measured(make_link):
    link = make_link(rto_min_ns=10 * MS).established()
    before = link.conn.info()["srtt_ns"]
    link.conn.send(b"x")
    link.wait(500 * MS)
    while link.sent():
        pass
    acks(link, 1)
    assert link.conn.info()["srtt_ns"] == before


@pytest.mark.parametrize("late, rto", [(1, 40), (30, 10)])
def test_the_timeout_stays_backed_off_unless_the_second_copy_did_it(make_link, late, rto):
    link = make_link(rto_min_ns=10 * MS, max_ack_delay_ns=0).established(rtt=4 * MS)
    link.conn.send(b"x")
    while link.conn.info()["backoff"] < 2:
        link.wait(100_000)
    assert link.conn.info()["rto_ns"] >= rto * MS
    link.wait(late * MS)
    while link.sent():
        pass
    acks(link, 1)                                       # 1 ms after the copy: that was the first one, merely late
    assert abs(link.conn.info()["rto_ns"] - (12 if late > 4 else 48) * MS) <= 2 * MS
    link.conn.send(b"y")
    link.wait(4 * MS)
    acks(link, 2)
    assert link.conn.info()["rto_ns"] <= 12 * MS


def test_an_acknowledgement_stops_the_timer(make_link):
    link = make_link(rto_min_ns=10 * MS).established()
    link.conn.send(b"x")
    sends_x = link.sent()
    assert sends_x.text == b"x"
    acks(link, 1)
    link.wait(10 * S)
    link.silent()


def test_after_a_timeout_slow_start_sends_again_what_was_lost(make_link):
    link = make_link(rto_min_ns=10 * MS, max_ack_delay_ns=0, sack=False).established()
    link.conn.send(f(0, 8 * MSS))
    for i in range(8):
        sends(link, i * MSS, MSS, last=i == 7)
    link.wait(2)
    assert link.sent().seq == link.live(US + 1)         # probe: the oldest, without SACK
    link.wait(10 * MS)
    sends(link, 0, MSS)
    link.silent()
    acks(link, MSS)
    sends(link, MSS, MSS)
    sends(link, 2 * MSS, MSS)
    link.silent()
    acks(link, 3 * MSS)
    for i in range(3, 6):
        sends(link, i * MSS, MSS)
    link.silent()


def test_user_timeout_gives_up_and_says_so(make_link):
    link = make_link(user_timeout_ns=7 * S).established()
    link.conn.send(b"x")
    link.wait(7 * S + 1)
    assert link.conn.events()[-2:] == ["timeout", "closed"]
    frames = []
    while got := link.sent():
        frames.append(got)
    assert frames[-1].flags == RST | ACK


def uto(seconds, minutes=False):
    return struct.pack("!BBH", 28, 4, seconds | minutes << 15)


def test_the_user_timeout_option_is_sent_on_syn_and_on_the_next_segment(make_link):
    link = make_link(uto_enabled=True, sack=False, window_scale=False)
    link.start_where_isn_wraps(True)
    link.conn = link.stack.connect("10.0.0.2", 80, local_port=50000, adv_uto_ns=90 * S)
    link.tx(SYN, seq=US, opts=mss(MSS) + uto(90))
    link.rx(SYN | ACK, seq=PEER, ack=US + 1, opts=mss(MSS))
    link.tx(ACK, seq=US + 1, ack=PEER + 1, opts=uto(90))
    link.conn.send(b"x" * MSS)
    link.tx(ACK | PSH, seq=US + 1, ack=PEER + 1, text=b"x" * MSS)
    assert link.conn.info()["user_timeout_ns"] == 300 * S and link.conn.info()["remote_uto_ns"] == 0


def test_the_first_segment_with_the_user_timeout_option_has_less_room_for_text(make_link):
    link = make_link(uto_enabled=True).listen()
    link.rx(SYN, seq=PEER, opts=mss(MSS))
    link.tx(SYN | ACK, seq=US, ack=PEER + 1, opts=mss(MSS) + uto(300))
    link.rx(ACK, seq=PEER + 1, ack=US + 1)
    conn = link.listener.accept()
    conn.send(f(0, MSS))
    link.tx(ACK, seq=US + 1, ack=PEER + 1, text=f(0, MSS - 4), opts=uto(300))
    link.tx(ACK | PSH, seq=US + 1 + MSS - 4, ack=PEER + 1, text=f(MSS - 4, 4))
    assert conn.info()["predicted"]


@pytest.mark.parametrize("options, theirs, ours_s", [
    ({}, uto(600), 600), ({}, uto(5), 300), ({}, uto(20, minutes=True), 1200),
    ({}, uto(100, minutes=True), 3600),                                         # U_LIMIT
    ({"adv_uto_ns": 10 * S}, uto(20), 100), ({"adv_uto_ns": 150 * S}, uto(20), 150),    # L_LIMIT; ADV_UTO is the longer
    ({"adv_uto_ns": 10 * S, "uto_l_limit_ns": S}, uto(20), 20),
    ({"user_timeout_ns": 77 * S}, uto(600), 77), ({"uto_changeable": False}, uto(600), 300),
    ({"user_timeout_ns": 77 * S, "uto_changeable": True}, uto(600), 600), ({"uto_enabled": False}, uto(600), 300),
    ({"user_timeout_ns": 0, "uto_changeable": True}, uto(600), 3600),
])
def test_the_peers_user_timeout_is_adopted_within_limits(make_link, options, theirs, ours_s):
    link = make_link(**{"uto_enabled": True, **options}).established(opts=[mss(MSS), theirs])
    info = link.conn.info()
    assert info["user_timeout_ns"] == ours_s * S and (info["remote_uto_ns"] != 0) == options.get("uto_enabled", True)


@pytest.mark.parametrize("bad", [uto(0), uto(0, minutes=True), b"\x1c\x03\x01\x00", b"\x1c\x02\x01\x01"])
def test_a_reserved_or_malformed_user_timeout_is_counted_and_ignored(make_link, bad):
    link = make_link(uto_enabled=True).established(opts=mss(MSS) + uto(600))
    link.rx(ACK | PSH, seq=PEER + 1, ack=US + 1, text=b"x", opts=bad)
    assert link.conn.recv() == b"x" and link.conn.info()["remote_uto_ns"] == 600 * S
    assert link.stack.counters()["bad_uto"] == 1
    link.rx(ACK | PSH, seq=PEER + 2, ack=US + 2, text=b"x", opts=uto(9))        # acknowledges what was never sent
    assert link.conn.info()["remote_uto_ns"] == 600 * S


def test_an_adopted_user_timeout_counts_from_when_the_wait_began(make_link):
    link = make_link(uto_enabled=True, uto_l_limit_ns=S, adv_uto_ns=S).established(opts=[mss(MSS), uto(100)])
    link.conn.send(b"x")
    link.wait(10 * S)
    link.rx(ACK, seq=PEER + 1, ack=US + 1, opts=uto(12))
    link.wait(2 * S - 1)
    assert link.conn.events() == []
    link.wait(1)
    assert link.conn.events() == ["timeout", "closed"]


def test_the_next_hop_is_asked_again_after_three_timeouts(make_link):
    link = make_link(rto_min_ns=10 * MS, arp={"arp_refresh_ns": 1 << 40})
    link.stack.net.remove_neighbor("10.0.0.2")
    link.start_where_isn_wraps(True)
    link.conn = link.stack.connect("10.0.0.2", 80, local_port=50000)
    arp = link.peer.rx_burst(1, link.now)[0].data
    assert arp[12:14] == b"\x08\x06"
    reply = arp[6:12] + bytes.fromhex("020000000002") + arp[12:20] + b"\0\2" + bytes.fromhex("020000000002") \
        + bytes([10, 0, 0, 2]) + arp[22:32]
    link.peer.tx(reply)
    link.step()
    link.tx(2, seq=US)
    link.rx(2 | ACK, seq=PEER, ack=US + 1, opts=mss(MSS))
    link.tx(ACK, seq=US + 1, ack=PEER + 1)
    link.conn.send(b"x")
    link.wait(400 * MS)
    kinds = [x.data[12:14] for x in link.peer.rx_burst(32, link.now)]
    assert kinds.count(b"\x08\x06") >= 1 and kinds[:3].count(b"\x08\x06") == 0


# -- congestion window

def test_the_initial_window_is_ten_segments_then_slow_start(link):
    link.established()
    link.conn.send(f(0, 40 * MSS))
    for i in range(10):
        sends(link, i * MSS, MSS)
    link.silent()
    acks(link, MSS)
    sends(link, 10 * MSS, MSS)
    sends(link, 11 * MSS, MSS)
    link.silent()


def test_congestion_none_is_held_back_by_the_peer_alone(make_link):
    link = make_link(congestion="none").established(window=40 * MSS)
    link.conn.send(f(0, 44 * MSS))
    for i in range(40):
        sends(link, i * MSS, MSS)
    link.silent()


def test_after_a_long_silence_the_window_starts_again(make_link):
    link = make_link(snd_buf=1 << 18, rto_min_ns=10 * MS).established()
    done = 0
    for _ in range(4):
        link.conn.send(f(done, 20 * MSS))
        while got := link.sent():
            done = (got.seq - link.live(US + 1)) % 2**32 + len(got.text)
            acks(link, done)
    assert link.conn.info()["cwnd"] > 20 * MSS
    link.wait(5 * S)
    link.conn.send(b"x")
    assert link.conn.info()["cwnd"] == 10 * MSS


# -- a device that refuses

def test_a_full_device_is_counted_and_tried_again(make_link):
    from segments import OUR_MAC, PEER_MAC

    from dpdk_py.pair import pair
    link = make_link()
    link.established()
    held = []
    while link.conn.send(b"x" * 10):
        if link.stack.counters()["refused_below"]:
            break
        held.append(1)
        if len(held) > 3000:
            pytest.skip("the pair never fills up")
    frames = []
    while got := link.sent():
        frames.append(got)
    link.step()
    while got := link.sent():
        frames.append(got)
    assert sum(len(x.text) for x in frames) >= 10 * (len(held) + 1)
    assert [x.seq for x in frames] == sorted((x.seq for x in frames), key=lambda s: (s - link.live(US)) % 2**32)
    assert pair and OUR_MAC and PEER_MAC


# -- keepalive

def test_keepalive_is_off_by_default(link):
    link.established()
    link.wait(24 * 3600 * S)
    link.silent()


def test_keepalive_asks_only_when_idle_and_gives_up_unanswered(make_link):
    link = make_link(keep_idle_ns=100 * S, keep_interval_ns=10 * S, keep_count=3).established()
    link.wait(60 * S)
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"x")
    link.tx(ACK, seq=US + 1, ack=PEER + 2)
    link.wait(99 * S)
    link.silent()
    link.wait(1 * S)
    link.tx(ACK, seq=US, ack=PEER + 2)
    link.rx(ACK, seq=PEER + 2, ack=US + 1)              # answered
    link.wait(100 * S)
    for _ in range(3):                                  # a lost answer is not the end
        link.tx(ACK, seq=US, ack=PEER + 2)
        link.wait(10 * S)
    link.tx(RST | ACK, seq=US + 1, ack=PEER + 2)
    assert link.conn.error == "timeout"


def test_the_peers_keepalive_is_answered(link):
    link.established()
    link.rx(ACK, seq=PEER, ack=US + 1)
    link.tx(ACK, seq=US + 1, ack=PEER + 1)
    link.rx(ACK, seq=PEER, ack=US + 1, text=b"\0")      # some send an old octet
    link.tx(ACK, seq=US + 1, ack=PEER + 1)


# -- what the user sets

def test_ttl_and_tos_are_the_users(make_link):
    link = make_link(ttl=7, tos=0x28).established()
    link.conn.send(b"x")
    got = link.sent()
    assert got.tos == 0x28 and got.frame[14 + 8] == 7
