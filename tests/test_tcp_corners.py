"""Where two rules meet: a SYN's window in a simultaneous open, part of a record acknowledged, marks 2 GiB or 24 days old."""
import pytest
from segments import ACK, ECE, MS, MSS, PEER, SYN, URG, US, S, drain, f, mss, ts, wscale
from test_tcp_attack import icmp


def test_the_syn_ack_of_a_simultaneous_open_has_no_scaled_window(link):
    link.connect()
    link.rx(SYN, seq=PEER, opts=mss(MSS) + wscale(7), window=1000)
    link.tx(SYN | ACK, seq=US, ack=PEER + 1)
    link.rx(SYN | ACK, seq=PEER, ack=US + 1, opts=mss(MSS) + wscale(7), window=1000)
    assert link.conn.state == "ESTABLISHED" and link.conn.info()["snd_wnd"] == 1000
    link.rx(ACK, seq=PEER + 1, ack=US + 1, window=1000)
    assert link.conn.info()["snd_wnd"] == 128_000


@pytest.mark.parametrize("steps", [(1000,), (500, 1000)])
def test_part_of_a_second_copy_acknowledged_ends_the_backoff_too(make_link, steps):
    link = make_link(rto_min_ns=10 * MS, max_ack_delay_ns=0).established(rtt=10 * MS)
    link.conn.send(f(0, 1000))
    while link.conn.info()["backoff"] < 4:
        link.wait(10 * MS)
    assert link.conn.info()["rto_ns"] > 160 * MS
    drain(link)
    for step in steps:
        link.wait(10 * MS)
        link.rx(ACK, seq=PEER + 1, ack=US + 1 + step)
    assert link.conn.info()["rto_ns"] <= 50 * MS


@pytest.mark.slow
def test_ecn_echo_is_heard_also_two_gigabytes_after_the_last(make_link):
    link = make_link(mtu=65535, ecn=True, snd_buf=1 << 21, rcv_buf=1 << 16).connect()
    link.rx(SYN | ACK | ECE, seq=PEER, ack=US + 1, opts=mss(65495) + wscale(8))
    drain(link)
    acked = 0

    def pass_on(most, flags=0):
        nonlocal acked
        acked += link.conn.send(bytes(65495 * 16), now_ns=link.now)
        while link.conn.info()["unacked"]:
            link.peer.rx_burst(64, link.now)
            link.now += 1000
            link.rx(ACK | flags, seq=PEER + 1, ack=(US + 1 + acked - link.conn.info()["unsent"]))

    while acked < 2**31 + 2**24:
        pass_on(2**31)
    before = link.conn.info()["cwnd"]
    pass_on(0, ECE)
    assert link.conn.info()["cwnd"] < before * 0.75


def test_a_smaller_path_without_sack_leaves_no_negative_pipe(make_link):
    link = make_link(sack=False, congestion="none").established(rtt=10 * MS)
    link.conn.send(f(0, 8 * MSS))
    drain(link)
    for _ in range(2):
        link.rx(ACK, seq=PEER + 1, ack=US + 1)
    icmp(link, 3, 4, US + 1, mtu=1000)
    info = link.conn.info()
    assert info["pipe"] <= info["unacked"] and len(drain(link)) == 8 * 2


def test_a_smaller_path_counts_the_options_too(make_link):
    """1448 octets and timestamps were a packet of 1500; of 1492 it cannot be again, though 1448 is less than the new MSS."""
    link = make_link(timestamps=True).connect()
    link.rx(SYN | ACK, seq=PEER, ack=US + 1, opts=mss(MSS) + ts(1, 0))
    drain(link)
    link.conn.send(f(0, 1448))
    assert len(drain(link)[0].text) == 1448
    icmp(link, 3, 4, US + 1, mtu=1492)
    assert [len(s.text) for s in drain(link)] == [1440, 8] and link.counted()["tx_pmtu_retransmit"] == 2


def test_text_that_our_closed_window_keeps_out_is_no_duplicate_ack(make_link):
    link = make_link(sack=False, rcv_buf=1000).established()
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=f(0, 1000))
    link.conn.send(f(0, 4 * MSS))
    drain(link)
    for _ in range(3):
        link.rx(ACK, seq=PEER + 1001, ack=US + 1, text=b"?")
    info = link.conn.info()
    assert info["recovery"] == "none" and info["retransmitted"] == 0 and link.counted()["rx_zero_window"] == 3


def test_a_timestamp_24_days_old_is_replaced_whatever_the_new_one_says(make_link):
    link = make_link(timestamps=True).connect()
    link.rx(SYN | ACK, seq=PEER, ack=US + 1, opts=mss(MSS) + ts(1000, 0))
    drain(link)
    link.wait(30 * 86400 * S)
    later = (1000 + 30 * 86400 * 1000) % 2**32          # by the peer's clock of milliseconds: "before" 1000
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"a", opts=ts(later, 0))
    got = drain(link)[-1]
    assert got.options[-4:] == later.to_bytes(4, "big")


def test_header_prediction_begins_again_behind_urgent_text(link):
    link.established()
    link.rx(ACK | URG, seq=PEER + 1, ack=US + 1, text=b"aaaU", up=4)
    assert link.conn.recv() == b"aaaU"
    link.rx(ACK, seq=PEER + 5, ack=US + 1, text=b"b")
    before = link.counted()["rx_predicted"]
    link.rx(ACK, seq=PEER + 6, ack=US + 1, text=b"c")
    assert link.counted()["rx_predicted"] == before + 1 and link.conn.recv() == b"bc"


def test_acks_outside_the_window_are_answered_ten_times_a_half_second(link):
    """Two ends that each take the other's ACKs for old would answer each other for ever."""
    link.established()
    link.now = (link.now // S + 1) * S
    for _ in range(100):
        link.rx(ACK, seq=PEER + 400_000, ack=US + 1)
    assert len(drain(link)) == 10 and link.counted()["challenge_limited"] == 90
    for _ in range(20):
        link.rx(ACK, seq=PEER - 10, ack=US + 1, text=b"old")
    assert len(drain(link)) == 20
    link.now += S // 2
    link.rx(ACK, seq=PEER, ack=US + 1)
    link.tx(ACK, seq=US + 1, ack=PEER + 1)


def test_a_half_open_connection_ends_also_where_connecting_is_never_given_up(make_link):
    link = make_link(syn_timeout_ns=0).listen()
    link.rx(SYN, seq=PEER, opts=mss(MSS))
    link.wait(170 * S)
    assert any(s.flags & SYN for s in drain(link))
    link.wait(15 * S)
    drain(link)
    link.wait(300 * S)
    link.silent()
    link.rx(ACK, seq=PEER + 1, ack=5)
    assert link.sent().flags & 4                    # RST: nobody here
