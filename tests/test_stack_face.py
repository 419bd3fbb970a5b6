"""The Python face as a user meets it: two stacks on a pair, virtual time."""
import threading

import pytest

from dpdk_py.pair import pair
from stack import Stack, TcpError, WrongThread

US = 1000


class Two:
    """Stacks a (10.0.0.1) and b (10.0.0.2) on one wire; `go` passes microseconds."""

    def __init__(self, **options):
        self.ends = pair()
        self.a = Stack(self.ends[0], "10.0.0.1/24", seed=1, **options)
        self.b = Stack(self.ends[1], "10.0.0.2/24", seed=2, **options)
        self.now = 0

    def go(self, us=10):
        for _ in range(us):
            self.now += US
            self.a.step(self.now)
            self.b.step(self.now)

    def connected(self, **options):
        listener = self.b.listen(80)
        conn = self.a.connect("10.0.0.2", 80, **options)
        self.go()
        return conn, listener.accept()


@pytest.fixture
def two():
    return Two()


def test_a_conversation_by_readiness(two):
    client, server = two.connected()
    assert client.events() == server.events() == ["connected"] and client.state == "ESTABLISHED"
    assert two.a.ready() == two.b.ready() == []
    assert client.send(b"question") == 8
    two.go()
    assert two.b.ready() == [server] and server.recv(4) == b"ques"
    assert two.b.ready() == [server] and server.recv() == b"tion"
    assert two.b.ready() == [] and server.recv() == b""
    server.send(b"answer")
    server.close()
    two.go()
    assert client.recv() == b"answer" and client.eof and client.events() == ["peer_closed"]
    client.close()
    two.go()
    assert (client.state, server.state, server.info()["state"]) == ("CLOSED", "TIME-WAIT", "TIME-WAIT")
    assert client.events() == ["closed"]


def test_what_many_sessions_begin_in_one_step_waits_for_one_answer(two):
    """As a gateway does that comes back: 48 SYNs to a neighbour whose address is not known yet; no RTO is waited for."""
    two.b.listen(80)
    begun = [two.a.connect("10.0.0.2", 80) for _ in range(48)]
    two.go(100)
    assert [c.state for c in begun] == ["ESTABLISHED"] * 48


def test_callbacks_may_do_anything(two):
    said = []

    def on_accept(conn):
        conn.on_data = lambda conn, data: (said.append(data), conn.send(data.upper()))
        conn.on_event = lambda conn, event: conn.close() if event == "peer_closed" else said.append(event)

    two.b.listen(80, on_accept)
    client = two.a.connect("10.0.0.2", 80, on_event=lambda conn, event: event == "connected" and conn.send(b"abc"))
    two.go()
    assert client.recv() == b"ABC"
    client.close()
    two.go()
    assert said == ["connected", b"abc", "closed"] and not two.b.connections


def test_an_exception_in_a_callback_is_raised_by_step_and_counted(two):
    client, server = two.connected()

    def bad(conn, data):
        raise ZeroDivisionError(data.decode())
    server.on_data = bad
    client.send(b"one")
    with pytest.raises(ZeroDivisionError, match="one"):
        two.go()
    client.send(b"two")
    with pytest.raises(ZeroDivisionError, match="two"):
        two.go()
    two.go()
    assert two.b.callback_errors == 2 and server.info()["octets_in"] == 6 and client.info()["unacked"] == 0


def test_on_accept_may_refuse(two):
    two.b.listen(80, lambda conn: False)
    client = two.a.connect("10.0.0.2", 80)
    two.go()
    assert client.events() == ["connected", "reset", "closed"] and client.error == "reset"
    assert two.b.counters()["rx_refused"] == 1 and two.b.connections == []


def test_what_cannot_be_is_said(two):
    with pytest.raises(TypeError, match="needs now_ns"):
        two.a.step()
    with pytest.raises(ValueError, match="rto_min_ns is 5, must be 1000000 to"):
        two.a.connect("10.0.0.2", 80, rto_min_ns=5)
    with pytest.raises(TypeError, match="unknown option 'rto_min', did you mean 'rto_min_ns'"):
        two.a.connect("10.0.0.2", 80, rto_min=5)
    with pytest.raises(TcpError, match="not a unicast address"):
        two.a.connect("10.0.0.255", 80)
    two.b.listen(80)
    with pytest.raises(TcpError, match="port 80 is listened on already"):
        two.b.listen(80)
    client = two.a.connect("10.0.0.2", 81)
    two.go()
    assert client.events() == ["refused", "closed"]
    with pytest.raises(TcpError, match="closed .refused"):
        client.send(b"x")
    with pytest.raises(ValueError, match="now_ns went back"):
        two.a.step(1)


def test_another_thread_is_told_so(two):
    caught = []
    two.go()

    def other():
        try:
            two.a.step(two.now)
        except WrongThread as e:
            caught.append(e)
    t = threading.Thread(target=other)
    t.start()
    t.join()
    assert len(caught) == 1


def test_no_connection_left_is_an_error_and_a_slot_comes_back():
    two = Two(connections=2)
    client, server = two.connected()
    other = two.a.connect("10.0.0.2", 80)
    with pytest.raises(TcpError, match="all 2 connections"):
        two.a.connect("10.0.0.2", 80)
    other.abort()
    two.go()
    assert two.a.connect("10.0.0.2", 80).state == "SYN-SENT"


def test_a_full_send_buffer_is_a_verdict_and_writable_follows(two):
    client, server = two.connected(snd_buf=4096)
    assert client.send(bytes(5000)) == 4096
    assert client.send(b"x") == 0 and client.send_all(b"x") is False and client.room == 0
    two.go()
    assert "writable" in client.events() and client.send_all(b"x")


def test_close_of_the_stack_resets_its_connections(two):
    client, server = two.connected()
    with two.a:
        pass
    two.go()
    assert server.error == "reset" and client.state == "CLOSED"


def test_a_clock_is_read_when_no_time_is_given():
    now = iter(range(10, 1000))
    stack = Stack(pair()[0], "10.0.0.1/24", seed=0, clock=lambda: next(now))
    assert stack.step() in (True, False)
    assert stack.step() in (True, False)


def test_on_data_set_late_gets_what_waits_in_the_next_step(two):
    client, server = two.connected()
    client.send(b"early")
    client.shutdown()
    two.go()
    got = []
    server.on_data = lambda conn, data: got.append(data)
    two.go(1)
    assert got == [b"early"]
