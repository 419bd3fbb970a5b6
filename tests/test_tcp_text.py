"""Receiving: order, windows, acknowledgements, urgent data (RFC 9293 sections 3.4, 3.8, 3.10.7.4; RFC 2018, 2883, 6093)."""
import itertools

import pytest
from segments import (
    ACK,
    CWR,
    ECE,
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
    f,
    mss,
    sack,
    ts,
    wscale,
)


def test_text_in_order_is_predicted_passed_up_and_acknowledged(link):
    link.established()
    link.rx(ACK | PSH, seq=PEER + 1, ack=US + 1, text=b"hello")
    link.tx(ACK, seq=US + 1, ack=PEER + 6, window=65530)       # nobody has read it
    link.silent()
    assert link.conn.recv() == b"hello" and link.counted()["rx_predicted"] == 1


def test_the_ack_rides_along_with_what_the_callback_sends(link):
    link.established()
    link.conn.on_data = lambda conn, data: conn.send(data[::-1])
    link.rx(ACK | PSH, seq=PEER + 1, ack=US + 1, text=b"abc")
    link.tx(ACK | PSH, seq=US + 1, ack=PEER + 4, text=b"cba", window=65535)
    link.silent()


def test_one_ack_at_the_end_of_a_burst(link):
    link.established()
    link.rx_burst(*(link.frame(ACK, seq=PEER + 1 + 10 * i, ack=US + 1, text=f(10 * i, 10)) for i in range(5)))
    link.tx(ACK, seq=US + 1, ack=PEER + 51)
    link.silent()
    assert link.conn.recv() == f(0, 50)


def test_a_delayed_ack_waits_for_text_or_its_time(make_link):
    link = make_link(ack="delay", ack_delay_ns=200_000).established()
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"abc")
    link.wait(199_999)
    link.silent()
    link.wait(1)
    link.tx(ACK, seq=US + 1, ack=PEER + 4)
    link.rx(ACK, seq=PEER + 4, ack=US + 1, text=b"def")
    link.conn.send(b"x")
    link.tx(ACK | PSH, seq=US + 1, ack=PEER + 7, text=b"x")
    link.rx(ACK, seq=PEER + 7, ack=US + 2)
    link.wait(1 * S)
    link.silent()


def test_every_second_full_segment_is_acknowledged_at_once(make_link):
    link = make_link(ack="second", ack_delay_ns=100 * MS).established()
    for i in range(4):
        link.rx(ACK, seq=PEER + 1 + MSS * i, ack=US + 1, text=f(MSS * i, MSS))
        if i % 2:
            link.tx(ACK, seq=US + 1, ack=PEER + 1 + MSS * (i + 1))
        link.silent()


def stream_until_an_ack(link, n, most, opts=b""):
    """Segments of n octets until the stack sends something; how many that took."""
    for i in range(most):
        link.rx(ACK, seq=PEER + 1 + n * i, ack=US + 1, text=f(n * i, n), opts=opts)
        got = link.sent()
        if got:
            assert got.ack == (PEER + 1 + n * (i + 1)) % 2**32 and not got.text
            return i + 1
    return None


def test_small_segments_are_acknowledged_when_they_add_up_to_two_full_ones(make_link):
    link = make_link(ack="second", ack_delay_ns=100 * MS).established()
    assert stream_until_an_ack(link, 200, 400) == 2 * MSS // 200 + 1


def test_a_segment_is_full_with_its_timestamps(make_link):
    link = make_link(ack="second", ack_delay_ns=100 * MS, timestamps=True).established(opts=mss(MSS) + ts(1, 0))
    assert stream_until_an_ack(link, MSS - 12, 400, opts=ts(1, 0)) == 2


def test_a_delayed_ack_does_not_let_the_window_run_out(make_link):
    link = make_link(ack="delay", ack_delay_ns=100 * MS, rcv_buf=20_000).established()
    link.conn.on_data = lambda conn, data: None
    assert stream_until_an_ack(link, 500, 400) == 20


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_any_order_of_four_segments_gives_the_stream(make_link, order):
    link = make_link().established()
    have = set()
    for i in order:
        link.rx(ACK, seq=PEER + 1 + 7 * i, ack=US + 1, text=f(7 * i, 7))
        have.add(i)
        contiguous = next(n for n in range(5) if n not in have)
        link.tx(ACK, seq=US + 1, ack=PEER + 1 + 7 * contiguous)
        link.silent()
    assert link.conn.recv() == f(0, 28)


def test_every_out_of_order_segment_draws_a_duplicate_ack_at_once(link):
    link.established()
    link.rx_burst(*(link.frame(ACK, seq=PEER + 11 + 10 * i, ack=US + 1, text=f(10 + 10 * i, 10)) for i in range(3)))
    for _ in range(3):
        link.tx(ACK, seq=US + 1, ack=PEER + 1)
    link.silent()
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=f(0, 10))
    link.tx(ACK, seq=US + 1, ack=PEER + 41)
    assert link.conn.recv() == f(0, 40) and link.counted()["rx_out_of_order"] == 3


def test_sack_blocks_name_what_waits_the_newest_first(link):
    link.established(opts=mss(MSS) + SACK_OK)
    link.rx(ACK, seq=PEER + 11, ack=US + 1, text=f(10, 10))
    link.tx(ACK, seq=US + 1, ack=PEER + 1, opts=sack((PEER + 11, PEER + 21)))
    link.rx(ACK, seq=PEER + 31, ack=US + 1, text=f(30, 10))
    link.tx(ACK, seq=US + 1, ack=PEER + 1, opts=sack((PEER + 31, PEER + 41), (PEER + 11, PEER + 21)))
    link.rx(ACK, seq=PEER + 21, ack=US + 1, text=f(20, 10))
    link.tx(ACK, seq=US + 1, ack=PEER + 1, opts=sack((PEER + 11, PEER + 41)))
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=f(0, 10))
    link.tx(ACK, seq=US + 1, ack=PEER + 41)
    assert link.conn.recv() == f(0, 40)


def test_no_sack_blocks_for_a_peer_that_did_not_ask(link):
    link.established()
    link.rx(ACK, seq=PEER + 11, ack=US + 1, text=f(10, 10))
    link.tx(ACK, seq=US + 1, ack=PEER + 1, opts=b"")


def test_a_duplicate_is_acknowledged_with_a_dsack_block(link):
    link.established(opts=mss(MSS) + SACK_OK)
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=f(0, 10))
    link.tx(ACK, seq=US + 1, ack=PEER + 11)
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=f(0, 10))
    link.tx(ACK, seq=US + 1, ack=PEER + 11, opts=sack((PEER + 1, PEER + 11)))
    link.rx(ACK, seq=PEER + 21, ack=US + 1, text=f(20, 10))
    link.tx(ACK, seq=US + 1, ack=PEER + 11, opts=sack((PEER + 21, PEER + 31)))
    link.rx(ACK, seq=PEER + 21, ack=US + 1, text=f(20, 10))
    link.tx(ACK, seq=US + 1, ack=PEER + 11, opts=sack((PEER + 21, PEER + 31), (PEER + 21, PEER + 31)))
    assert link.conn.recv() == f(0, 10) and link.counted()["rx_duplicate"] == 2


def test_a_partly_old_segment_gives_only_what_is_new(link):
    link.established()
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=f(0, 10))
    link.tx(ACK, seq=US + 1, ack=PEER + 11)
    link.rx(ACK, seq=PEER + 6, ack=US + 1, text=f(5, 10))
    link.tx(ACK, seq=US + 1, ack=PEER + 16)
    assert link.conn.recv() == f(0, 15)


def test_conflicting_overlap_is_counted_and_the_first_copy_stays(link):
    link.established()
    link.rx(ACK, seq=PEER + 6, ack=US + 1, text=b"67890")
    link.rx(ACK, seq=PEER + 4, ack=US + 1, text=b"45XXX")
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"123")
    assert link.conn.recv() == b"1234567890" and link.counted()["conflicting_octets"] == 3


def test_a_bad_checksum_is_never_believed(link):
    link.established()
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"hello", bad_sum=True)
    link.rx(RST, seq=PEER + 1, bad_sum=True)
    link.silent()
    assert link.counted()["rx_checksum"] == 2 and link.conn.waiting == 0 and link.conn.state == "ESTABLISHED"


def test_a_cut_off_header_is_counted(link):
    link.established()
    frame = bytearray(link.frame(ACK, seq=PEER + 1, ack=US + 1))
    frame[14 + 20 + 12] = 0xF0                       # data offset 60, beyond the end
    total = int.from_bytes(frame[14 + 20 + 16:14 + 20 + 18], "big") - (0xF000 - 0x5000)
    frame[14 + 20 + 16:14 + 20 + 18] = (total % 0xFFFF).to_bytes(2, "big")
    link.rx_burst(bytes(frame))
    link.silent()
    assert link.counted()["rx_malformed"] == 1


def test_a_segment_without_ack_is_dropped(link):
    link.established()
    link.rx(PSH, seq=PEER + 1, text=b"hello")
    link.silent()
    assert link.counted()["rx_no_ack"] == 1 and link.conn.waiting == 0


@pytest.mark.parametrize("off", [-1000, 65535, 70000, 2**31])
def test_text_outside_the_window_is_acknowledged_and_dropped(link, off):
    link.established()
    link.rx(ACK, seq=PEER + 1 + off, ack=US + 1, text=b"x" * 10)
    link.tx(ACK, seq=US + 1, ack=PEER + 1)
    link.silent()
    assert link.conn.waiting == 0


def test_text_is_cut_at_the_right_edge_of_the_window(make_link):
    link = make_link(rcv_buf=1000).established()
    link.rx(ACK | FIN, seq=PEER + 1, ack=US + 1, text=f(0, 1200))
    link.tx(ACK, seq=US + 1, ack=PEER + 1001, window=0)
    assert link.conn.recv() == f(0, 1000) and link.conn.state == "ESTABLISHED"


# -- windows

def test_the_window_closes_by_what_nobody_reads_and_reopens_by_half(make_link):
    link = make_link(rcv_buf=4000).established()
    for i in range(4):
        link.rx(ACK, seq=PEER + 1 + 1000 * i, ack=US + 1, text=f(1000 * i, 1000))
        link.tx(ACK, seq=US + 1, ack=PEER + 1 + 1000 * (i + 1), window=3000 - 1000 * i)
    assert link.conn.recv(500) == f(0, 500)
    link.silent()                                       # too little to be worth telling
    assert link.conn.recv(1000) == f(500, 1000)
    link.tx(ACK, seq=US + 1, ack=PEER + 4001, window=1500)
    assert link.conn.recv() == f(1500, 2500)
    link.tx(ACK, seq=US + 1, ack=PEER + 4001, window=4000)
    assert link.counted()["tx_window"] == 2


def test_a_small_window_is_not_offered_bit_by_bit(make_link):
    link = make_link(rcv_buf=4000).established()
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=f(0, 1460))
    link.rx(ACK, seq=PEER + 1461, ack=US + 1, text=f(1460, 1460))
    link.rx(ACK, seq=PEER + 2921, ack=US + 1, text=f(2920, 1080))
    while link.sent():
        pass
    for _ in range(10):
        link.conn.recv(100)
    link.silent()
    link.rx(ACK, seq=PEER + 4001, ack=US + 1, text=b"probe")
    link.tx(ACK, seq=US + 1, ack=PEER + 4001, window=0)
    assert link.counted()["rx_zero_window"] == 1
    link.conn.recv(1000)
    link.tx(ACK, seq=US + 1, ack=PEER + 4001, window=2000)


def test_the_right_edge_never_moves_left(make_link):
    link = make_link(rcv_buf=2000).established()
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=f(0, 500))
    link.tx(ACK, seq=US + 1, ack=PEER + 501, window=1500)
    link.rx(ACK, seq=PEER + 1001, ack=US + 1, text=f(1000, 500))
    link.tx(ACK, seq=US + 1, ack=PEER + 501, window=1500)
    link.conn.recv()
    link.rx(ACK, seq=PEER + 501, ack=US + 1, text=f(500, 500))
    got = link.sent()
    assert got.ack == (PEER + 1501) % 2**32 and got.window >= 500


def test_a_scaled_window_is_offered_and_understood(make_link):
    link = make_link(rcv_buf=1 << 20).established(opts=mss(MSS) + wscale(7), window=512)
    info = link.conn.info()
    assert info["window_scale"] == (7, 5) and info["snd_wnd"] == 512       # on SYN it is not scaled
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"x")
    got = link.sent()
    assert got.window == (1 << 20) - 1 >> 5
    assert link.conn.info()["snd_wnd"] == 512 << 7


def test_no_scale_when_only_one_side_offers_it(make_link):
    link = make_link(rcv_buf=1 << 20).established()
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"x")
    assert link.sent().window == 65535 and link.conn.info()["window_scale"] is None


def test_with_a_closed_window_ack_rst_and_urg_are_still_heard(make_link):
    link = make_link(rcv_buf=1000).established()
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=f(0, 1000))
    link.tx(ACK, seq=US + 1, ack=PEER + 1001, window=0)
    link.conn.send(b"abc")
    link.tx(ACK | PSH, seq=US + 1, ack=PEER + 1001, text=b"abc", window=0)
    link.rx(ACK | URG, seq=PEER + 1001, ack=US + 4, text=b"z", up=5)
    link.tx(ACK, seq=US + 4, ack=PEER + 1001, window=0)
    assert link.conn.info()["unacked"] == 0 and "urgent" in link.conn.events()
    link.rx(RST, seq=PEER + 1001)
    assert link.conn.error == "reset"


def test_a_window_update_is_told_apart_from_an_old_window(link):
    link.established(window=1000)
    link.rx(ACK, seq=PEER + 1, ack=US + 1, window=5000)
    assert link.conn.info()["snd_wnd"] == 5000
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"new", window=7000)
    link.rx(ACK, seq=PEER + 1, ack=US + 1, window=9000)         # older than the text: its window is too
    assert link.conn.info()["snd_wnd"] == 7000


# -- PSH, urgent

def test_urgent_text_stays_in_line_and_is_announced(link):
    link.established()
    link.rx(ACK | URG, seq=PEER + 1, ack=US + 1, text=b"aaaU", up=4)
    assert link.conn.events() == ["urgent"]
    link.rx(ACK, seq=PEER + 5, ack=US + 1, text=b"bbb")
    assert link.conn.recv() == b"aaaUbbb"


def test_an_urgent_pointer_ahead_of_its_text_tells_how_much_is_to_come(link):
    link.established()
    link.rx(ACK | URG, seq=PEER + 1, ack=US + 1, up=100)
    assert link.conn.events() == ["urgent"] and link.conn.info()["urgent_octets"] == 100
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=f(0, 60))
    assert link.conn.info()["urgent_octets"] == 100
    link.conn.recv()
    assert link.conn.info()["urgent_octets"] == 40
    link.rx(ACK, seq=PEER + 61, ack=US + 1, text=f(60, 60))
    link.conn.recv()
    assert link.conn.info()["urgent_octets"] == 0


def test_what_we_declare_urgent_carries_the_pointer_behind_its_last_octet(link):
    link.established(window=3)
    link.conn.send(b"abcdef")
    link.tx(ACK, seq=US + 1, ack=PEER + 1, text=b"abc")
    link.conn.urgent()
    link.rx(ACK, seq=PEER + 1, ack=US + 4, window=100)
    link.tx(ACK | PSH | URG, seq=US + 4, ack=PEER + 1, text=b"def", up=3)
    link.rx(ACK, seq=PEER + 1, ack=US + 7)
    link.conn.send(b"g")
    link.tx(ACK | PSH, seq=US + 7, ack=PEER + 1, text=b"g")


# -- options

@pytest.mark.parametrize("opts", [
    bytes([1]), bytes([0]), bytes([254, 4, 0, 0]), bytes([1, 1, 1, 253, 3, 9, 1]), bytes([2, 4, 5, 180]),
    bytes([99, 0]), bytes([99, 1]), bytes([99, 200]), bytes([3]), bytes([5, 9]), bytes([8, 10, 1, 2])])
def test_any_option_on_any_segment_is_survived(link, opts):
    link.established()
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"abc", opts=opts)
    link.tx(ACK, seq=US + 1, ack=PEER + 4)
    assert link.conn.recv() == b"abc" and link.conn.info()["mss"] == MSS


def test_options_need_no_alignment(link):
    link.listen()
    link.rx(SYN, seq=PEER, opts=bytes([1]) + mss(1200) + bytes([3, 3, 2]) + bytes([4, 2, 0]))
    link.tx(SYN | ACK, seq=US, ack=PEER + 1, opts=mss(MSS) + SACK_OK + wscale(0))
    link.rx(ACK, seq=PEER + 1, ack=US + 1)
    info = link.listener.accept().info()
    assert info["mss"] == 1200 and info["sack"] and info["window_scale"] == (2, 0)


# -- ECN

def test_ecn_is_negotiated_and_ce_is_echoed_until_cwr(make_link):
    link = make_link(ecn=True)
    link.start_where_isn_wraps(True)
    link.conn = link.stack.connect("10.0.0.2", 80, local_port=50000)
    link.tx(SYN | ECE | CWR, seq=US, tos=0)
    link.rx(SYN | ACK | ECE, seq=PEER, ack=US + 1, opts=mss(MSS))
    link.tx(ACK, seq=US + 1, ack=PEER + 1, tos=0)
    assert link.conn.info()["ecn"]
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"abc", tos=3)
    link.tx(ACK | ECE, seq=US + 1, ack=PEER + 4)
    link.rx(ACK, seq=PEER + 4, ack=US + 1, text=b"def", tos=2)
    link.tx(ACK | ECE, seq=US + 1, ack=PEER + 7)
    link.rx(ACK | CWR, seq=PEER + 7, ack=US + 1, text=b"ghi", tos=2)
    link.tx(ACK, seq=US + 1, ack=PEER + 10)
    link.conn.send(b"x")
    link.tx(ACK | PSH, seq=US + 1, ack=PEER + 10, text=b"x", tos=2)     # new text is ECT(0)


def test_ecn_echo_halves_the_window_once_and_says_cwr(make_link):
    link = make_link(ecn=True).listen()
    link.rx(SYN | ECE | CWR, seq=PEER, opts=mss(MSS))
    link.tx(SYN | ACK | ECE, seq=US, ack=PEER + 1)
    link.rx(ACK, seq=PEER + 1, ack=US + 1)
    link.conn = link.listener.accept()
    before = link.conn.info()["cwnd"]
    link.conn.send(f(0, 4 * MSS))
    for i in range(4):
        link.tx(ACK | (PSH if i == 3 else 0), seq=US + 1 + i * MSS, ack=PEER + 1, text=f(i * MSS, MSS), tos=2)
    link.rx(ACK | ECE, seq=PEER + 1, ack=US + 1 + MSS)
    link.rx(ACK | ECE, seq=PEER + 1, ack=US + 1 + 2 * MSS)
    assert link.conn.info()["cwnd"] == before // 2
    link.conn.send(b"x")
    link.tx(ACK | PSH | CWR, seq=US + 1 + 4 * MSS, ack=PEER + 1, text=b"x", tos=2)


def test_a_peer_without_ecn_is_not_bothered_with_it(make_link):
    link = make_link(ecn=True)
    link.start_where_isn_wraps(True)
    link.conn = link.stack.connect("10.0.0.2", 80, local_port=50000)
    link.tx(SYN | ECE | CWR, seq=US)
    link.rx(SYN | ACK, seq=PEER, ack=US + 1, opts=mss(MSS))
    link.tx(ACK, seq=US + 1, ack=PEER + 1)
    link.conn.send(b"x")
    link.tx(ACK | PSH, seq=US + 1, ack=PEER + 1, text=b"x", tos=0)


# -- the sink's contract

def test_one_octet_a_segment_is_the_stream_too(link):
    link.established()
    got = []
    link.conn.on_data = lambda conn, data: got.append(data)
    for i in range(100):
        link.rx(ACK, seq=PEER + 1 + i, ack=US + 1, text=f(i, 1))
    assert b"".join(got) == f(0, 100)


def test_text_that_came_before_on_data_was_set_comes_first(link):
    link.established()
    got = []
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=f(0, 10))
    link.conn.on_data = lambda conn, data: got.append(data)
    link.rx(ACK, seq=PEER + 11, ack=US + 1, text=f(10, 10))
    assert b"".join(got) == f(0, 20)


def test_peer_closed_comes_after_the_text(link):
    link.established()
    said = []
    link.conn.on_data = lambda conn, data: said.append(data)
    link.conn.on_event = lambda conn, event: said.append(event)
    link.rx(ACK | FIN, seq=PEER + 4, ack=US + 1, text=b"def")
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"abc")
    assert said == [b"abcdef", "peer_closed"]


# -- DCTCP

def test_dctcp_echoes_every_mark_and_cuts_by_their_share(make_link):
    link = make_link(ecn=True, congestion="dctcp", ack="second", ack_delay_ns=100 * MS).listen()
    link.rx(SYN | ECE | CWR, seq=PEER, opts=mss(MSS))
    link.tx(SYN | ACK | ECE, seq=US, ack=PEER + 1)
    link.rx(ACK, seq=PEER + 1, ack=US + 1)
    link.conn = link.listener.accept()
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=f(0, MSS), tos=2)
    link.silent()
    link.rx(ACK, seq=PEER + 1 + MSS, ack=US + 1, text=f(MSS, MSS), tos=3)
    link.tx(ACK, seq=US + 1, ack=PEER + 1 + MSS)            # the mark changes: what came before is acknowledged
    link.rx(ACK, seq=PEER + 1 + 2 * MSS, ack=US + 1, text=f(2 * MSS, MSS), tos=3)
    link.tx(ACK | ECE, seq=US + 1, ack=PEER + 1 + 3 * MSS)
    alpha = link.conn.info()["dctcp_alpha"]
    done = 0
    for _ in range(20):                                 # windows without a mark: alpha fades
        link.conn.send(f(done, MSS))
        while link.sent():
            pass
        done += MSS
        link.rx(ACK, seq=PEER + 1 + 3 * MSS, ack=US + 1 + done)
    faded = link.conn.info()["dctcp_alpha"]
    assert faded < alpha / 2
    before = link.conn.info()["cwnd"]
    link.conn.send(f(done, 4 * MSS))
    link.rx(ACK | ECE, seq=PEER + 1 + 3 * MSS, ack=US + 1 + done + MSS)
    after = link.conn.info()["cwnd"]
    assert before * (1 - faded) <= after < before       # by about alpha / 2, not by half


def test_recv_inside_on_data_gives_nothing_and_takes_nothing(link):
    """Text that had waited for a hole comes up from the receive buffer: it is the callback's argument, and only that."""
    link.established()
    got = []
    link.conn.on_data = lambda conn, data: got.append((data, conn.waiting, conn.recv()))
    link.rx(ACK, seq=PEER + 101, ack=US + 1, text=f(100, 100))
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=f(0, 100))
    link.rx(ACK, seq=PEER + 201, ack=US + 1, text=f(200, 10))
    assert got == [(f(0, 200), 0, b""), (f(200, 10), 0, b"")] and link.conn.info()["unread"] == 0
    while link.sent():
        pass
