"""Loss: fast retransmit, SACK, RACK-TLP, spurious repairs (RFC 5681, 6582, 6675, 2883, 8985). RTT is 20 us throughout."""
import pytest
from segments import ACK, FIN, MS, MSS, PEER, PSH, SACK_OK, US, f, mss, sack, ts

RTT = 20_000


def opened(make_link, with_sack=True, **options):
    """Established, and the round trip measured: 20 us."""
    link = make_link(**{"max_ack_delay_ns": 0, "rto_min_ns": 10 * MS, **options})
    link.established(opts=mss(MSS) + (SACK_OK if with_sack else b""), rtt=RTT)
    for i in range(30):                             # let the variance settle
        link.conn.send(f(i, 1))
        assert link.sent().text == f(i, 1)
        link.wait(RTT)
        link.rx(ACK, seq=PEER + 1, ack=US + 2 + i)
    link.silent()
    link.base = 30
    assert abs(link.conn.info()["srtt_ns"] - RTT) < 100
    return link


def flight(link, n):
    """n full segments are out."""
    link.conn.send(f(link.base, n * MSS))
    for i in range(n):
        got = link.sent()
        assert got.seq == link.live(at(link, i)) and len(got.text) == MSS
    link.silent()


def at(link, i):
    """Sequence number of segment i of the flight."""
    return US + 1 + link.base + i * MSS


def again(link, i, last=False):
    """Segment i of the flight is sent again, octet for octet."""
    return link.tx(ACK | (PSH if last else 0), seq=at(link, i), ack=PEER + 1, text=f(link.base + i * MSS, MSS))


def acks(link, i, *blocks, **fields):
    """The peer acknowledges up to segment i and SACKs segments a..b of each block."""
    opts = sack(*((at(link, a), at(link, b)) for a, b in blocks)) if blocks else b""
    link.rx(ACK, seq=PEER + 1, ack=at(link, i), opts=opts, **fields)


# -- without SACK

def test_three_duplicate_acks_send_the_first_segment_again(make_link):
    link = opened(make_link, with_sack=False)
    flight(link, 8)
    link.wait(RTT)
    acks(link, 0)
    acks(link, 0)
    link.silent()
    acks(link, 0)
    again(link, 0)
    link.silent()
    info = link.conn.info()
    assert info["recovery"] == "fast" and info["ssthresh"] == info["cwnd"] == 4 * MSS
    assert link.counted()["tx_fast_retransmit"] == 1


def test_two_duplicate_acks_are_reordering(make_link):
    link = opened(make_link, with_sack=False)
    flight(link, 4)
    acks(link, 0)
    acks(link, 0)
    acks(link, 4)
    link.silent()
    assert link.conn.info()["retransmitted"] == 0


def test_one_duplicate_is_loss_after_a_quarter_of_a_round_trip_where_no_third_can_come(make_link):
    link = opened(make_link, with_sack=False)
    flight(link, 3)
    link.wait(RTT)
    acks(link, 1)
    acks(link, 1)
    link.wait(RTT // 4 - 200)
    link.silent()
    link.wait(400)
    again(link, 1)
    link.silent()
    assert link.conn.info()["recovery"] == "fast"


def test_what_was_only_late_within_that_quarter_is_not_sent_again(make_link):
    link = opened(make_link, with_sack=False)
    flight(link, 3)
    link.wait(RTT)
    acks(link, 1)
    acks(link, 1)
    link.wait(RTT // 8)
    acks(link, 2)
    link.wait(RTT)
    link.silent()
    assert link.conn.info()["retransmitted"] == 0


def test_a_partial_ack_sends_the_next_hole(make_link):
    link = opened(make_link, with_sack=False)
    flight(link, 8)
    link.wait(RTT)
    for _ in range(3):
        acks(link, 0)
    again(link, 0)
    link.wait(RTT)
    acks(link, 2)                                       # 0 and 1 were filled, 2 is the next hole
    again(link, 2)
    link.silent()
    link.wait(RTT)
    acks(link, 8)
    link.silent()
    info = link.conn.info()
    assert info["recovery"] == "none" and info["cwnd"] == 4 * MSS and info["pipe"] == 0


def test_acks_that_were_only_late_do_not_send_the_flight_again(make_link):
    link = opened(make_link, with_sack=False)
    flight(link, 8)
    link.wait(2 * RTT)
    again(link, 0)                                      # the probe
    link.wait(RTT)
    acks(link, 2)                                       # as if 2 were missing now
    again(link, 2)
    for i in (4, 6):                                    # but no copy has had the time to draw these
        acks(link, i)
        link.silent()
    acks(link, 8)
    info = link.conn.info()
    assert info["recovery"] == "none" and info["retransmitted"] == 2 and info["pipe"] == 0


def test_a_duplicate_ack_lets_new_text_out(make_link):
    link = opened(make_link, with_sack=False)
    flight(link, 10)
    link.conn.send(f(link.base + 10 * MSS, 4 * MSS))
    while link.sent():
        pass
    acks(link, 0)
    acks(link, 0)
    sent = []
    while got := link.sent():
        sent.append(got)
    assert all(got.seq >= 0 for got in sent) and link.conn.info()["retransmitted"] == 0
    acks(link, 0)
    again(link, 0)


def test_a_window_update_is_no_duplicate_ack(make_link):
    link = opened(make_link, with_sack=False)
    flight(link, 4)
    for window in (60000, 61000, 62000, 63000):
        acks(link, 0, window=window)
    link.silent()
    for i in range(4):
        link.rx(ACK, seq=PEER + 1 + i, ack=at(link, 0), text=f(i, 1), window=63000)
        assert link.sent().text == b""
    link.silent()
    assert link.conn.info()["retransmitted"] == 0


@pytest.mark.parametrize("duplicates", [1, 2])
def test_without_sack_duplicate_acks_too_few_for_a_repair_do_not_stop_the_probe(make_link, duplicates):
    link = opened(make_link, with_sack=False)
    flight(link, 8)
    link.wait(RTT)
    for _ in range(duplicates):
        acks(link, 0)
    link.silent()
    link.wait(2 * RTT + 1000)
    again(link, 0)
    assert link.counted()["tx_tail_probe"] == 1


def test_without_sack_the_probe_is_the_oldest_segment(make_link):
    link = opened(make_link, with_sack=False)
    flight(link, 2)
    link.wait(2 * RTT + 1000)
    again(link, 0)
    assert link.counted()["tx_tail_probe"] == 1


# -- SACK and RACK

def test_a_lost_middle_segment_is_repaired_within_a_quarter_of_a_round_trip_after_its_successors_ack(make_link):
    link = opened(make_link)
    flight(link, 4)
    link.wait(RTT)
    acks(link, 0, (1, 2))                               # one SACKed: wait a quarter round trip for reordering
    link.silent()
    link.wait(RTT // 4 - 200)
    link.silent()
    link.wait(400)
    again(link, 0)
    link.silent()
    assert link.counted()["tx_rack_retransmit"] == 1


def test_three_sacked_segments_are_loss_at_once(make_link):
    link = opened(make_link)
    flight(link, 6)
    link.wait(RTT)
    acks(link, 0, (1, 2))
    acks(link, 0, (1, 3))
    link.silent()
    acks(link, 0, (1, 4))
    again(link, 0)
    link.silent()


def test_every_hole_is_filled_once_in_one_recovery(make_link):
    link = opened(make_link)
    flight(link, 9)
    link.wait(RTT)
    acks(link, 0, (1, 2))
    acks(link, 0, (3, 4), (1, 2))
    acks(link, 0, (5, 9), (3, 4), (1, 2))
    again(link, 0)
    again(link, 2)
    again(link, 4)
    link.silent()
    assert link.conn.info()["ssthresh"] >= 4 * MSS
    link.wait(RTT)
    acks(link, 9)
    link.silent()
    info = link.conn.info()
    assert info["recovery"] == "none" and (info["lost"], info["sacked"], info["pipe"]) == (0, 0, 0)


def test_a_lost_retransmission_is_sent_once_more(make_link):
    link = opened(make_link)
    flight(link, 6)
    link.wait(RTT)
    acks(link, 0, (2, 6))
    again(link, 0)
    again(link, 1)
    link.wait(RTT)
    acks(link, 0, (1, 6))                               # the second copy of 1 arrived, that of 0 did not
    link.wait(RTT)
    again(link, 0)
    assert link.conn.info()["timeouts"] == 0


def test_reordering_widens_the_window_of_patience(make_link):
    link = opened(make_link)
    flight(link, 4)
    link.wait(RTT)
    acks(link, 0, (1, 3))
    acks(link, 3)                                       # 0 was merely late
    link.silent()
    assert link.conn.info()["reordering"]
    acks(link, 4)
    link.base += 4 * MSS
    flight(link, 6)
    link.wait(RTT)
    acks(link, 0, (1, 5))                               # more than three SACKed, yet not lost at once
    link.silent()
    link.wait(RTT // 4 + 400)
    again(link, 0)


def test_sack_blocks_that_make_no_sense_change_nothing(make_link):
    link = opened(make_link)
    flight(link, 4)
    for a, b in ((2, 2), (3, 1), (0, 40), (-9, -3)):
        acks(link, 0, (a, b))
    link.rx(ACK, seq=PEER + 1, ack=at(link, 0), opts=sack((at(link, 0) + 5, at(link, 1) - 5)))
    info = link.conn.info()
    assert info["sacked"] == 0 and info["lost"] == 0
    acks(link, 4)
    assert link.conn.info()["unacked"] == 0


def test_a_receiver_that_forgets_what_it_sacked_gets_it_again(make_link):
    link = opened(make_link)
    flight(link, 4)
    acks(link, 0, (1, 4))
    again(link, 0)
    link.wait(11 * MS)
    link.sent()
    acks(link, 1)                                       # everything after 0 was dropped after all
    link.wait(40 * MS)
    seen = set()
    while got := link.sent():
        seen.add((got.seq - link.live(at(link, 0))) % 2**32 // MSS)
    for i in range(2, 5):
        acks(link, i)
        link.wait(80 * MS)
        while got := link.sent():
            seen.add((got.seq - link.live(at(link, 0))) % 2**32 // MSS)
    assert seen >= {1, 2, 3}


def test_the_window_is_reduced_once_and_left_where_it_is(make_link):
    link = opened(make_link)
    flight(link, 10)
    link.wait(RTT)
    acks(link, 0, (1, 10))
    info = link.conn.info()
    assert info["cwnd"] == info["ssthresh"] == 5 * MSS
    again(link, 0)
    link.wait(RTT)
    acks(link, 10)
    assert link.conn.info()["cwnd"] == 5 * MSS


def test_congestion_none_repairs_without_slowing_down(make_link):
    link = opened(make_link, congestion="none")
    before = link.conn.info()["cwnd"]
    flight(link, 10)
    link.wait(RTT)
    acks(link, 0, (1, 10))
    again(link, 0)
    assert link.conn.info()["cwnd"] == before


# -- tail loss

def test_a_lost_last_segment_is_probed_after_two_round_trips(make_link):
    link = opened(make_link)
    flight(link, 3)
    link.wait(RTT)
    acks(link, 2)                                       # the third is missing
    link.wait(2 * RTT - 1500)
    link.silent()
    link.wait(3000)
    again(link, 2, last=True)
    assert link.counted()["tx_tail_probe"] == 1
    link.wait(RTT)
    acks(link, 3)
    link.wait(5 * MS)
    link.silent()
    assert link.conn.info()["timeouts"] == 0


def test_a_lone_segment_is_given_the_peers_ack_delay_too(make_link):
    link = opened(make_link, max_ack_delay_ns=2 * MS)
    flight(link, 1)
    link.wait(2 * RTT + 2 * MS - 2000)
    link.silent()
    link.wait(4000)
    again(link, 0, last=True)


def test_the_probe_is_new_text_where_there_is_some(make_link):
    link = opened(make_link, initial_window=2)
    link.conn.send(f(link.base, 30 * MSS))
    n = 0
    while link.sent():
        n += 1
    link.wait(2 * RTT + 1000)
    link.tx(ACK, seq=at(link, n), ack=PEER + 1, text=f(link.base + n * MSS, MSS))


def test_the_answer_to_a_probe_shows_everything_that_was_lost(make_link):
    link = opened(make_link)
    flight(link, 4)
    link.wait(2 * RTT + 1000)
    again(link, 3, last=True)
    link.wait(RTT)
    acks(link, 1, (3, 4))                               # so 1 and 2 are lost
    link.wait(RTT)
    again(link, 1)
    again(link, 2)
    assert link.conn.info()["timeouts"] == 0


def test_a_needless_probe_is_recognised_by_dsack_and_patience_grows(make_link):
    link = opened(make_link)
    cwnd = link.conn.info()["cwnd"]
    flight(link, 1)
    link.wait(2 * RTT + 1000)
    again(link, 0, last=True)
    acks(link, 1)                                       # only late
    link.rx(ACK, seq=PEER + 1, ack=at(link, 1), opts=sack((at(link, 0), at(link, 1))))
    info = link.conn.info()
    assert info["max_ack_delay_ns"] > 0 and info["cwnd"] >= cwnd and link.counted()["spurious_probes"] == 1


def test_a_probe_that_filled_a_hole_counts_as_congestion(make_link):
    link = opened(make_link)
    flight(link, 10)
    link.wait(RTT)
    acks(link, 9)
    link.wait(2 * RTT + 1000)
    again(link, 9, last=True)
    link.wait(RTT)
    before = link.conn.info()["cwnd"]
    acks(link, 10)
    link.base += 10 * MSS
    flight(link, 1)
    acks(link, 1)
    assert link.conn.info()["cwnd"] < before


def test_one_probe_then_the_timeout(make_link):
    link = opened(make_link)
    flight(link, 2)
    link.wait(2 * RTT + 1000)
    again(link, 1, last=True)
    link.wait(9 * MS)
    link.silent()
    link.wait(2 * MS)
    again(link, 0)
    assert link.conn.info()["timeouts"] == 1


def test_one_probe_of_new_text_then_the_timeout(make_link):
    link = opened(make_link, initial_window=2)
    link.conn.send(f(link.base, 30 * MSS))
    n = 0
    while link.sent():
        n += 1
    link.wait(2 * RTT + 1000)
    link.tx(ACK, seq=at(link, n), ack=PEER + 1, text=f(link.base + n * MSS, MSS))
    link.wait(9 * MS)
    link.silent()
    link.wait(2 * MS)
    again(link, 0)
    assert link.counted()["tx_tail_probe"] == 1


def test_a_lost_fin_is_probed_like_text(make_link):
    link = opened(make_link)
    link.conn.close()
    link.tx(FIN | ACK, seq=at(link, 0), ack=PEER + 1)
    link.wait(2 * RTT + 1000)
    link.tx(FIN | ACK, seq=at(link, 0), ack=PEER + 1)


# -- the repair times the product promises (RTT 20 us)

@pytest.mark.parametrize("with_sack", [True, False])
def test_repair_times(make_link, with_sack):
    link = opened(make_link, with_sack)
    flight(link, 5)
    start = link.now
    link.wait(RTT)
    acks(link, 4)                                       # the last one is lost
    while not (got := link.sent()):
        link.wait(500)
    assert got.seq == link.live(at(link, 4)) and link.now - start - RTT <= 2 * RTT + 1500
    acks(link, 5)
    link.base += 5 * MSS
    flight(link, 5)
    start = link.now
    link.wait(RTT)
    for i in (2, 3, 4):                                 # the second of five is lost
        acks(link, 1, (2, i + 1)) if with_sack else acks(link, 1)
    if not with_sack:
        acks(link, 1)
    while not (got := link.sent()):
        link.wait(500)
    assert got.seq == link.live(at(link, 1)) and link.now - start <= 1.25 * RTT + 1000


# -- timestamps

def test_paws_drops_an_old_duplicate_and_a_peer_may_stop_its_timestamps(make_link):
    link = make_link(timestamps=True)
    link.start_where_isn_wraps(True)
    link.conn = link.stack.connect("10.0.0.2", 80, local_port=50000)
    link.iss = link.sent().seq
    link.rx(2 | ACK, seq=PEER, ack=US + 1, opts=mss(MSS) + ts(2**32 - 5, 0))
    link.sent()
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"new", opts=ts(5, 0))          # the clock of the peer wraps
    assert link.sent().ack == link.live(PEER + 4)
    link.rx(ACK, seq=PEER + 4, ack=US + 1, text=b"old", opts=ts(2**32 - 100, 0))
    assert link.sent().ack == link.live(PEER + 4) and link.counted()["rx_paws"] == 1
    link.rx(ACK, seq=PEER + 4, ack=US + 1, text=b"bare")                        # none at all: still good
    assert link.sent().ack == link.live(PEER + 8) and link.conn.recv() == b"newbare"


def test_timestamps_echo_the_earliest_unacknowledged(make_link):
    link = make_link(timestamps=True)
    link.start_where_isn_wraps(True)
    link.conn = link.stack.connect("10.0.0.2", 80, local_port=50000)
    link.iss = link.sent().seq
    link.rx(2 | ACK, seq=PEER, ack=US + 1, opts=mss(MSS) + ts(100, 0))
    link.sent()
    link.rx(ACK, seq=PEER + 11, ack=US + 1, text=b"x" * 10, opts=ts(102, 0))    # out of order: not echoed
    assert int.from_bytes(link.sent().options[8:12], "big") == 100
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"y" * 10, opts=ts(101, 0))
    assert int.from_bytes(link.sent().options[8:12], "big") == 101
    link.conn.send(bytes(3000))
    got = link.sent()
    assert len(got.text) == MSS - 12                                            # RFC 6691: options come out of the text


def test_a_retransmission_can_be_measured_by_timestamps(make_link):
    link = make_link(timestamps=True, rto_min_ns=10 * MS, max_ack_delay_ns=0)
    link.start_where_isn_wraps(True)
    link.conn = link.stack.connect("10.0.0.2", 80, local_port=50000)
    link.iss = link.sent().seq
    link.rx(2 | ACK, seq=PEER, ack=US + 1, opts=mss(MSS) + ts(100, 0))
    link.sent()
    before = link.conn.info()["srtt_ns"]
    link.conn.send(b"x")
    link.wait(25 * MS)
    while got := link.sent():
        last = got
    link.wait(4 * MS)
    link.rx(ACK, seq=PEER + 1, ack=US + 2, opts=ts(101, int.from_bytes(last.options[4:8], "big")))
    assert link.conn.info()["srtt_ns"] > before
