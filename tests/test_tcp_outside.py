"""What outside packetdrill scripts have found: one segment for each of the first duplicate ACKs, no news without news."""
from segments import ACK, MSS, PEER, US, f, mss


def sent(link):
    out = []
    while got := link.sent():
        out.append(got)
    return out


def test_each_of_the_first_two_duplicate_acks_lets_one_segment_out(make_link):
    """RFC 3042: one, not one for the duplicate and one more for the pipe it has shortened."""
    link = make_link(sack=False).established(opts=mss(MSS), rtt=20_000)
    link.conn.send(f(0, 15 * MSS))
    assert len(sent(link)) == 10
    for _ in range(2):
        link.rx(ACK, seq=PEER + 1, ack=US + 1)
        assert [len(got.text) for got in sent(link)] == [MSS]


def test_a_reader_is_not_told_of_room_no_header_can_offer(make_link):
    """Without window scale 65535 is all there is to say, so a megabyte of buffer is no news after every read."""
    link = make_link(rcv_buf=1 << 20, window_scale=False).established()
    for i in range(5):
        link.rx(ACK, seq=PEER + 1 + i * 1000, ack=US + 1, text=f(i * 1000, 1000))
        link.tx(ACK, seq=US + 1, ack=PEER + 1001 + i * 1000)
        assert link.conn.recv() == f(i * 1000, 1000)
        link.step()
        link.silent()


def test_what_we_announce_is_told(make_link):
    assert make_link(mss=1000).established().conn.info()["advmss"] == 1000
    assert make_link().established().conn.info()["advmss"] == MSS
