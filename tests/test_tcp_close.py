"""Closing a connection: FIN, RST, TIME-WAIT (RFC 9293 sections 3.6, 3.10.4, 3.10.5, 3.10.7.4; RFC 6191)."""
import pytest
from segments import ACK, FIN, MS, MSS, PEER, PSH, RST, SYN, US, S, drain, mss, ts

from stack import TcpError


def test_peer_closes_first(link):
    link.established()
    link.rx(FIN | ACK, seq=PEER + 1, ack=US + 1, text=b"bye")
    link.tx(ACK, seq=US + 1, ack=PEER + 5)              # three octets and the FIN
    assert link.conn.state == "CLOSE-WAIT" and link.conn.recv() == b"bye" and link.conn.eof

    link.conn.close()
    link.tx(FIN | ACK, seq=US + 1, ack=PEER + 5)
    assert link.conn.state == "LAST-ACK"
    link.rx(ACK, seq=PEER + 5, ack=US + 2)
    link.silent()
    assert link.conn.state == "CLOSED" and link.conn.events() == ["peer_closed", "closed"]


def test_we_close_first(link):
    link.established()
    link.conn.close()
    link.tx(FIN | ACK, seq=US + 1, ack=PEER + 1)
    assert link.conn.state == "FIN-WAIT-1"
    link.rx(ACK, seq=PEER + 1, ack=US + 2)
    assert link.conn.state == "FIN-WAIT-2"
    link.rx(FIN | ACK, seq=PEER + 1, ack=US + 2)
    link.tx(ACK, seq=US + 2, ack=PEER + 2)
    assert link.conn.state == "TIME-WAIT"
    link.wait(60 * S - 1)
    assert link.conn.state == "TIME-WAIT"
    link.wait(1)
    link.silent()
    assert link.conn.state == "CLOSED" and link.conn.events() == ["peer_closed", "closed"]


def test_the_fin_that_acknowledges_ours_leads_straight_to_time_wait(link):
    link.established()
    link.conn.close()
    link.tx(FIN | ACK, seq=US + 1, ack=PEER + 1)
    link.rx(FIN | ACK, seq=PEER + 1, ack=US + 2)
    link.tx(ACK, seq=US + 2, ack=PEER + 2)
    assert link.conn.state == "TIME-WAIT"


def test_both_close_at_once(link):
    link.established()
    link.conn.close()
    link.tx(FIN | ACK, seq=US + 1, ack=PEER + 1)
    link.rx(FIN | ACK, seq=PEER + 1, ack=US + 1)
    link.tx(ACK, seq=US + 2, ack=PEER + 2)
    assert link.conn.state == "CLOSING"
    link.rx(ACK, seq=PEER + 2, ack=US + 2)
    assert link.conn.state == "TIME-WAIT"
    link.wait(60 * S)
    assert link.conn.state == "CLOSED"


def test_fin_follows_queued_text(link):
    link.established(window=4)
    link.conn.send(b"12345678")
    link.tx(ACK, seq=US + 1, ack=PEER + 1, text=b"1234")
    link.conn.close()
    link.silent()
    assert link.conn.state == "FIN-WAIT-1"
    link.rx(ACK, seq=PEER + 1, ack=US + 5, window=100)
    link.tx(FIN | PSH | ACK, seq=US + 5, ack=PEER + 1, text=b"5678")
    link.rx(ACK, seq=PEER + 1, ack=US + 9)              # the text, not the FIN
    assert link.conn.state == "FIN-WAIT-1"
    link.rx(ACK, seq=PEER + 1, ack=US + 10)
    assert link.conn.state == "FIN-WAIT-2"


def test_half_close_still_receives(link):
    link.established()
    link.conn.shutdown()
    link.tx(FIN | ACK, seq=US + 1, ack=PEER + 1)
    with pytest.raises(TcpError, match="FIN-WAIT-1"):
        link.conn.send(b"x")
    link.rx(ACK, seq=PEER + 1, ack=US + 2, text=b"more")
    link.tx(ACK, seq=US + 2, ack=PEER + 5)
    link.wait(3600 * S)                                 # as long as the peer likes
    link.rx(ACK, seq=PEER + 5, ack=US + 2, text=b"and more")
    link.tx(ACK, seq=US + 2, ack=PEER + 13)
    assert link.conn.recv() == b"moreand more" and link.conn.state == "FIN-WAIT-2"
    link.rx(FIN | ACK, seq=PEER + 13, ack=US + 2)
    link.tx(ACK, seq=US + 2, ack=PEER + 14)
    assert link.conn.state == "TIME-WAIT" and link.conn.eof


def test_the_peer_half_closes_and_we_go_on_sending(link):
    link.established()
    link.rx(FIN | ACK, seq=PEER + 1, ack=US + 1)
    link.tx(ACK, seq=US + 1, ack=PEER + 2)
    link.conn.send(b"still")
    link.tx(ACK | PSH, seq=US + 1, ack=PEER + 2, text=b"still")
    link.rx(ACK, seq=PEER + 2, ack=US + 6)
    assert link.conn.state == "CLOSE-WAIT"


def test_a_lost_fin_is_sent_again(link):
    link.established()
    link.conn.close()
    link.tx(FIN | ACK, seq=US + 1, ack=PEER + 1)
    link.wait(2 * MS)                                   # two round trips of 0, and the delay the peer may take
    link.tx(FIN | ACK, seq=US + 1, ack=PEER + 1)
    link.rx(ACK, seq=PEER + 1, ack=US + 2)
    link.wait(30 * S)
    link.silent()
    assert link.conn.state == "FIN-WAIT-2"


def test_a_repeated_fin_is_acknowledged_and_restarts_2_msl(link):
    link.established()
    link.conn.close()
    link.tx(FIN | ACK, seq=US + 1, ack=PEER + 1)
    link.rx(FIN | ACK, seq=PEER + 1, ack=US + 2)
    link.tx(ACK, seq=US + 2, ack=PEER + 2)
    link.wait(50 * S)
    link.rx(FIN | ACK, seq=PEER + 1, ack=US + 2)
    link.tx(ACK, seq=US + 2, ack=PEER + 2)
    link.wait(59 * S)
    assert link.conn.state == "TIME-WAIT"
    link.wait(1 * S)
    assert link.conn.state == "CLOSED"


def test_a_repeated_fin_in_close_wait_is_acknowledged(link):
    link.established()
    link.rx(FIN | ACK, seq=PEER + 1, ack=US + 1)
    link.tx(ACK, seq=US + 1, ack=PEER + 2)
    link.rx(FIN | ACK, seq=PEER + 1, ack=US + 1)
    link.tx(ACK, seq=US + 1, ack=PEER + 2)
    assert link.conn.state == "CLOSE-WAIT"


def test_a_fin_ahead_of_its_text_waits_for_it(link):
    link.established()
    link.rx(FIN | ACK, seq=PEER + 4, ack=US + 1, text=b"def")
    link.tx(ACK, seq=US + 1, ack=PEER + 1)
    assert link.conn.state == "ESTABLISHED" and not link.conn.eof
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"abc")
    link.tx(ACK, seq=US + 1, ack=PEER + 8)
    assert link.conn.state == "CLOSE-WAIT" and link.conn.recv() == b"abcdef" and link.conn.eof


def test_a_bare_fin_ahead_of_its_text_waits_for_it(link):
    link.established()
    link.rx(FIN | ACK, seq=PEER + 4, ack=US + 1)
    link.tx(ACK, seq=US + 1, ack=PEER + 1)
    assert link.conn.state == "ESTABLISHED"
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"abc")
    link.tx(ACK, seq=US + 1, ack=PEER + 5)
    assert link.conn.state == "CLOSE-WAIT"


def test_text_beyond_a_fin_is_not_part_of_the_stream(link):
    link.established()
    link.rx(FIN | ACK, seq=PEER + 4, ack=US + 1)
    link.tx(ACK, seq=US + 1, ack=PEER + 1)
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"abcXYZ")
    link.tx(ACK, seq=US + 1, ack=PEER + 5)
    assert link.conn.recv() == b"abc" and link.conn.state == "CLOSE-WAIT"


def test_text_after_the_fin_is_ignored(link):
    link.established()
    link.rx(FIN | ACK, seq=PEER + 1, ack=US + 1)
    link.tx(ACK, seq=US + 1, ack=PEER + 2)
    link.rx(ACK, seq=PEER + 2, ack=US + 1, text=b"ghost")
    link.tx(ACK, seq=US + 1, ack=PEER + 2)
    assert link.conn.recv() == b""


# -- RST

@pytest.mark.parametrize("state", ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK",
                                   "TIME-WAIT"])
def test_an_exact_reset_ends_every_state(link, state):
    link.established()
    seq = PEER + 1
    if state in ("CLOSE-WAIT", "LAST-ACK"):
        link.rx(FIN | ACK, seq=seq, ack=US + 1)
        seq += 1
    if state not in ("ESTABLISHED", "CLOSE-WAIT"):
        link.conn.close()
    if state in ("FIN-WAIT-2", "TIME-WAIT"):
        link.rx(ACK, seq=seq, ack=US + 2)
    if state in ("CLOSING", "TIME-WAIT"):
        link.rx(FIN | ACK, seq=seq, ack=US + (2 if state == "TIME-WAIT" else 1))
        seq += 1
    assert link.conn.state == state
    while link.sent():
        pass
    link.rx(RST, seq=seq)
    link.silent()
    assert link.conn.state == "CLOSED" and link.conn.events()[-1] == "closed"
    told = state in ("ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT")
    assert link.conn.error == ("reset" if told else None)


def test_abort_sends_one_reset_and_forgets_the_queue(link):
    link.established(window=2)
    link.conn.send(b"abcdef")
    link.tx(ACK, seq=US + 1, ack=PEER + 1, text=b"ab")
    link.conn.abort()
    link.tx(RST | ACK, seq=US + 3, ack=PEER + 1)
    link.wait(10 * S)
    link.silent()
    assert link.conn.state == "CLOSED" and link.conn.events() == ["closed"]
    link.rx(ACK, seq=PEER + 1, ack=US + 3)
    link.tx(RST, seq=US + 3)


def test_text_for_an_application_that_has_closed_is_answered_by_reset(link):
    link.established()
    link.conn.close()
    link.tx(FIN | ACK, seq=US + 1, ack=PEER + 1)
    link.rx(ACK, seq=PEER + 1, ack=US + 2, text=b"for whom?")
    link.tx(RST | ACK, seq=US + 2, ack=PEER + 1)
    assert link.conn.state == "CLOSED" and link.counted()["rx_after_close"] == 1


def test_a_close_inside_the_callback_discards_the_rest_and_counts_it(link):
    link.established()
    link.conn.on_data = lambda conn, data: conn.close()
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"abc")
    link.tx(FIN | ACK, seq=US + 1, ack=PEER + 4)
    link.silent()
    link.rx(FIN | ACK, seq=PEER + 4, ack=US + 2)
    link.tx(ACK, seq=US + 2, ack=PEER + 5)
    assert link.conn.state == "TIME-WAIT"


def test_an_abort_inside_the_callback_leaves_only_the_reset(link):
    link.established()
    link.conn.on_data = lambda conn, data: (conn.send(b"never"), conn.abort())
    link.rx(ACK, seq=PEER + 1, ack=US + 1, text=b"abc")
    link.tx(ACK | PSH, seq=US + 1, ack=PEER + 4, text=b"never")
    link.tx(RST | ACK, seq=US + 6, ack=PEER + 4)
    link.silent()


def test_a_peer_that_never_sends_its_fin_is_not_waited_for_for_ever(link):
    link.established(fin_wait_2_ns=5 * S)
    link.conn.close()
    link.tx(FIN | ACK, seq=US + 1, ack=PEER + 1)
    link.rx(ACK, seq=PEER + 1, ack=US + 2)
    link.wait(5 * S)
    link.silent()
    assert link.conn.state == "CLOSED"


# -- TIME-WAIT and reuse

def in_time_wait(link, **options):
    link.accepted(**options)
    link.conn.close()
    link.tx(FIN | ACK, seq=US + 1, ack=PEER + 1, opts=options.pop("fin_opts", None))
    link.rx(FIN | ACK, seq=PEER + 1, ack=US + 2)
    link.tx(ACK, seq=US + 2, ack=PEER + 2)
    assert link.conn.state == "TIME-WAIT"
    return link


def test_a_syn_beyond_the_old_numbers_opens_anew_from_time_wait(link):
    in_time_wait(link)
    old = link.iss
    link.rx(SYN, seq=PEER + 1000, opts=mss(MSS))
    got = link.sent()
    assert got.flags == SYN | ACK and got.ack == (PEER + 1001) % 2**32
    assert 0 < (got.seq - (old + 2)) % 2**32 < 2**31        # above everything the old incarnation used
    link.iss = got.seq
    link.rx(ACK, seq=PEER + 1001, ack=US + 1)
    assert link.listener.accept().state == "ESTABLISHED" and link.conn.state == "CLOSED"
    assert link.counted()["time_wait_reused"] == 1


def test_an_old_syn_does_not_open_anew_from_time_wait(link):
    in_time_wait(link)
    link.rx(SYN, seq=PEER - 1000)
    link.tx(ACK, seq=US + 2, ack=PEER + 2)
    assert link.conn.state == "TIME-WAIT" and link.counted()["rx_challenged"] == 1


@pytest.mark.parametrize("state", ["CLOSE-WAIT", "TIME-WAIT"])
def test_a_number_beyond_the_peers_fin_is_outside_the_window(link, state):
    in_time_wait(link) if state == "TIME-WAIT" else link.accepted()
    if state == "CLOSE-WAIT":
        link.rx(FIN | ACK, seq=PEER + 1, ack=US + 1)
        link.tx(ACK, seq=US + 1, ack=PEER + 2)
    us = US + 2 if state == "TIME-WAIT" else US + 1
    link.rx(ACK, seq=PEER + 2, ack=us)
    link.silent()
    link.rx(ACK, seq=PEER + 3, ack=us)
    link.tx(ACK, seq=us, ack=PEER + 2)
    assert link.conn.state == state and link.counted()["rx_outside_window"] == 1


def test_connecting_again_from_the_same_port_in_time_wait(link):
    link.established()
    link.conn.close()
    link.tx(FIN | ACK, seq=US + 1, ack=PEER + 1)
    link.rx(FIN | ACK, seq=PEER + 1, ack=US + 2)
    link.tx(ACK, seq=US + 2, ack=PEER + 2)
    again = link.stack.connect("10.0.0.2", 80, local_port=50000)
    got = link.sent()
    assert got.flags == SYN and 0 < (got.seq - (link.iss + 2)) % 2**32 < 2**31
    assert link.conn.state == "CLOSED" and again.state == "SYN-SENT"


def test_one_connection_where_the_closed_event_of_time_wait_connects_too(link):
    link.established()
    link.conn.close()
    link.rx(FIN | ACK, seq=PEER + 1, ack=US + 2)
    inner = []
    link.conn.on_event = lambda conn, name: inner.append(link.stack.connect("10.0.0.2", 80, local_port=50000))
    with pytest.raises(TcpError):
        link.stack.connect("10.0.0.2", 80, local_port=50000)
    assert link.stack.connections == inner and len(inner) == 1
    while link.sent():
        pass
    link.rx(SYN | ACK, seq=PEER, ack=inner[0].info()["snd_nxt"], opts=mss(MSS))
    assert inner[0].state == "ESTABLISHED"


def test_the_oldest_time_wait_gives_way_when_slots_run_out(make_link):
    link = make_link(connections=1).established()
    link.conn.close()
    link.tx(FIN | ACK, seq=US + 1, ack=PEER + 1)
    link.rx(FIN | ACK, seq=PEER + 1, ack=US + 2)
    assert link.conn.state == "TIME-WAIT"
    assert link.stack.connect("10.0.0.2", 81).state == "SYN-SENT"
    assert link.counted()["time_wait_recycled"] == 1


def test_one_connection_where_a_new_syn_in_time_wait_and_the_closed_event_meet(link):
    """Whoever hears that the old incarnation is gone connects; the SYN that ended it is then that connection's."""
    in_time_wait(link)
    inner = []
    link.conn.on_event = lambda conn, name: inner.append(link.stack.connect("10.0.0.2", 80, local_port=50000))
    link.rx(SYN, seq=PEER + 1000, opts=mss(MSS))
    syn, answer = drain(link)
    assert (syn.flags, answer.flags, answer.seq, answer.ack) == (SYN, SYN | ACK, syn.seq, (PEER + 1001) % 2**32)
    link.iss = syn.seq
    link.rx(ACK, seq=PEER + 1001, ack=US + 1)
    assert link.stack.connections == inner and inner[0].state == "ESTABLISHED"


def all_in_time_wait(link, inner):
    """Two slots in TIME-WAIT; when the older is given up, `inner` gets a connection of 10.0.0.2:80 and our port 50000."""
    link.now = 10 * S
    for port in (50001, 50002):
        conn = link.stack.connect("10.0.0.2", 80, local_port=port, now_ns=link.now)
        iss = link.sent().seq
        link.rx(SYN | ACK, seq=PEER, ack=iss + 1, opts=mss(MSS), dport=port)
        conn.close()
        link.rx(FIN | ACK, seq=PEER + 1, ack=iss + 2, dport=port)
        assert conn.state == "TIME-WAIT"
        link.wait(S)
        drain(link)
    first = link.stack.connections[0]
    first.on_event = lambda conn, name: inner.append(link.stack.connect("10.0.0.2", 80, local_port=50000))
    return link


def test_one_connection_where_the_closed_event_of_a_recycled_time_wait_connects_too(make_link):
    inner = []
    link = all_in_time_wait(make_link(connections=2), inner)
    with pytest.raises(TcpError, match="no connection to 10.0.0.2:80"):
        link.stack.connect("10.0.0.2", 80, local_port=50000)
    link.step()
    assert [c for c in link.stack.connections if c.state == "SYN-SENT"] == inner and len(drain(link)) == 1
    assert link.counted()["no_port"] == 1 and link.counted()["connections"] == 1


def test_a_syn_for_which_a_slot_was_recycled_meets_the_connection_made_meanwhile(make_link):
    inner = []
    link = all_in_time_wait(make_link(connections=2), inner)
    link.stack.listen(50000)
    link.rx(SYN, seq=PEER, opts=mss(MSS))
    syn, = drain(link)
    assert syn.flags == SYN and link.stack.connections == inner and link.counted()["rx_no_slot"] == 1
    link.rx(SYN, seq=PEER, opts=mss(MSS))               # again, since nothing answered
    assert [s.flags for s in drain(link)] == [SYN | ACK] and inner[0].state == "SYN-RECEIVED"


def test_a_cookie_for_which_a_slot_was_recycled_meets_the_connection_made_meanwhile(make_link):
    inner = []
    link = all_in_time_wait(make_link(connections=2), inner)
    link.stack.listen(50000, backlog=0)
    link.rx(SYN, seq=PEER, opts=mss(MSS))
    cookie, = drain(link)
    link.rx(ACK, seq=PEER + 1, ack=cookie.seq + 1)
    assert link.stack.connections == inner and link.counted()["rx_no_slot"] == 1


def test_time_wait_with_timestamps_reopens_on_a_later_timestamp(make_link):
    link = make_link(timestamps=True).listen()
    link.rx(SYN, seq=PEER, opts=mss(MSS) + ts(100, 0))
    link.iss = link.sent().seq
    link.rx(ACK, seq=PEER + 1, ack=US + 1, opts=ts(101, 0))
    link.conn = link.listener.accept()
    link.conn.close()
    link.rx(FIN | ACK, seq=PEER + 1, ack=US + 2, opts=ts(102, 0))
    assert link.conn.state == "TIME-WAIT"
    while link.sent():
        pass
    link.rx(SYN, seq=PEER - 1000, opts=mss(MSS) + ts(103, 0))
    assert link.sent().flags == SYN | ACK
