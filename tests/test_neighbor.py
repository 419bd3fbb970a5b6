"""ARP: what is learnt and what is not, what waits for it, what time does to it."""
import random

import pytest
from frames import (
    ARP,
    BROADCAST,
    GATEWAY,
    IP,
    PEER,
    PEER_MAC,
    SECOND,
    THIRD,
    THIRD_MAC,
    US,
    US_MAC,
    Ether,
    Wire,
    is_at,
    mac,
    who_has,
)


@pytest.fixture
def wire():
    wire = Wire()
    yield wire
    wire.accounted()


def requests_for(address, frames):
    return [f for f in frames if ARP in f and f[ARP].op == 1 and f[ARP].pdst == address]


def test_a_request_for_us_is_answered_to_whoever_asked(wire):
    wire.rx(who_has(US))
    (reply,) = wire.out()
    assert (reply.dst, reply.src) == (PEER_MAC, US_MAC)
    assert (reply[ARP].op, reply[ARP].hwsrc, reply[ARP].psrc) == (2, US_MAC, US)
    assert (reply[ARP].hwdst, reply[ARP].pdst) == (PEER_MAC, PEER)
    assert wire.netif.neighbors() == {PEER: ("reachable", mac(PEER_MAC), 0)}


def test_a_request_for_somebody_else_is_neither_answered_nor_learnt(wire):
    wire.rx(who_has(THIRD))
    assert wire.out() == [] and wire.netif.neighbors() == {} and wire["rx_arp_ignored"] == 1


def test_an_unasked_reply_teaches_nothing(wire):
    wire.rx(is_at(PEER, THIRD_MAC))
    assert wire.netif.neighbors() == {} and wire["rx_arp_ignored"] == 1


def test_the_first_datagram_waits_for_the_answer_and_the_next_does_not(wire):
    assert wire.send(b"one") and wire.send(b"two")
    (request,) = wire.out()
    assert (request.dst, request[ARP].pdst, request[ARP].psrc) == (BROADCAST, PEER, US)

    wire.rx(is_at(PEER, PEER_MAC))
    one, two = wire.out()
    assert [bytes(f[IP].payload) for f in (one, two)] == [b"one", b"two"]
    assert one.dst == two.dst == PEER_MAC and one.src == US_MAC

    assert wire.send(b"three")
    assert bytes(wire.out()[0][IP].payload) == b"three"


def test_what_lies_beyond_the_net_goes_to_the_gateway(wire):
    wire.send(dst="192.0.2.7")
    assert wire.out()[0][ARP].pdst == GATEWAY
    wire.rx(is_at(GATEWAY, THIRD_MAC))
    (frame,) = wire.out()
    assert (frame.dst, frame[IP].dst) == (THIRD_MAC, "192.0.2.7")


def test_without_a_gateway_there_is_no_route():
    wire = Wire(gateway=None)
    assert not wire.send(dst="192.0.2.7")
    assert wire.out() == [] and wire["tx_no_route"] == 1
    wire.accounted()


def test_requests_are_repeated_at_1_and_3_s_and_given_up_at_7(wire):
    wire.send(b"lost")
    wire.out()
    asked = []
    for tenth in range(101, 180):
        wire.at(tenth / 10)
        asked += [tenth / 10 for _ in requests_for(PEER, wire.out())]
    assert asked == [11.0, 13.0]
    assert wire.netif.neighbors() == {}
    assert wire["arp_pending_timeout"] == 1 and wire["arp_failed"] == 1 and wire.netif.deadline() is None


def test_deadline_tells_when_poll_has_work(wire):
    assert wire.netif.deadline() is None
    wire.send()
    assert wire.netif.deadline() == 11 * SECOND
    assert wire.at(10.9) == 0 and wire.at(11) == 1
    assert wire.netif.deadline() == 13 * SECOND


def test_a_used_entry_is_refreshed_by_unicast_while_it_serves(wire):
    wire.rx(who_has(US))
    wire.out()
    wire.now += 31 * SECOND
    wire.send(b"still")
    request, frame = wire.out()
    assert request.dst == PEER_MAC and request[ARP].pdst == PEER
    assert bytes(frame[IP].payload) == b"still"
    assert wire.netif.neighbors()[PEER][0] == "refreshing"
    wire.rx(is_at(PEER, PEER_MAC))
    assert wire.netif.neighbors()[PEER][0] == "reachable" and wire.netif.deadline() is None


def test_a_refresh_nobody_answers_asks_everybody_and_then_forgets(wire):
    wire.rx(who_has(US))
    wire.out()
    wire.now += 31 * SECOND
    wire.send()
    wire.out()
    seen = []
    for second in range(42, 60):
        wire.at(second)
        seen += [f.dst for f in requests_for(PEER, wire.out())]
    assert seen == [PEER_MAC, BROADCAST]                # after the one sent beside the datagram
    assert wire.netif.neighbors() == {} and wire["arp_pending_timeout"] == 0


def test_an_idle_entry_is_not_refreshed(wire):
    wire.rx(who_has(US))
    wire.out()
    wire.at(500)
    assert wire.out() == [] and wire.netif.deadline() is None


def test_a_known_neighbour_may_move_and_it_is_counted(wire):
    wire.rx(who_has(US))
    wire.rx(who_has(PEER, spa=PEER, sha=THIRD_MAC))     # the gratuitous request of a fail-over
    wire.out()
    wire.send()
    assert wire.out()[0].dst == THIRD_MAC and wire["arp_rx_moved"] == 1


def test_a_static_entry_is_never_asked_moved_or_evicted():
    wire = Wire(neighbors=2)
    assert wire.netif.add_neighbor(PEER, PEER_MAC)
    wire.rx(is_at(PEER, THIRD_MAC))
    wire.now += 1000 * SECOND
    for host in range(20, 30):
        wire.send(dst=f"10.0.0.{host}")
    wire.out()
    wire.send()
    assert wire.out()[0].dst == PEER_MAC and wire.netif.neighbors()[PEER][0] == "static"
    wire.accounted()


def test_of_the_frames_that_wait_the_newest_are_kept():
    wire = Wire(pending_each=3)
    for n in range(5):
        assert wire.send(b"%d" % n)
    wire.rx(is_at(PEER, PEER_MAC))
    assert [bytes(f[IP].payload) for f in wire.out() if IP in f] == [b"2", b"3", b"4"]
    assert wire["arp_pending_overflow"] == 2
    wire.accounted()


def test_the_waiting_room_is_bounded_for_all_together():
    wire = Wire(pending=4)
    for n in range(4):
        assert wire.send(dst=f"10.0.0.{20 + n}")
    assert not wire.send(dst="10.0.0.99") and wire["tx_no_neighbor"] == 1
    assert wire.send(dst="10.0.0.20") and wire["arp_pending_overflow"] == 1
    wire.accounted()


def test_a_full_table_evicts_what_was_not_used_for_longest():
    wire = Wire(neighbors=4, pending=16)
    for n, host in enumerate((20, 21, 22, 23)):
        wire.now += n
        wire.send(dst=f"10.0.0.{host}")
        wire.rx(is_at(f"10.0.0.{host}", f"02:00:00:00:00:{host}"))
    wire.now += 10
    wire.send(dst="10.0.0.20")
    wire.send(dst="10.0.0.24")
    assert set(wire.netif.neighbors()) == {"10.0.0.20", "10.0.0.22", "10.0.0.23", "10.0.0.24"}
    assert wire["arp_evicted"] == 1
    wire.accounted()


def test_who_has_not_answered_makes_room_before_who_has():
    wire = Wire(neighbors=4, pending=16)
    wire.send(dst="10.0.0.20")
    wire.rx(is_at("10.0.0.20", "02:00:00:00:00:20"))
    for host in range(30, 40):                          # nobody is there
        wire.now += 1
        wire.send(dst=f"10.0.0.{host}")
    assert set(wire.netif.neighbors()) == {"10.0.0.20", "10.0.0.37", "10.0.0.38", "10.0.0.39"}
    assert wire["arp_evicted"] == 7
    wire.accounted()


def test_strangers_asking_us_fill_half_the_table_at_most():
    wire = Wire(neighbors=16)
    wire.send(dst=THIRD)
    for n in range(100):
        wire.rx(who_has(US, spa=f"10.0.0.{100 + n}", sha=f"02:00:00:00:01:{n:02x}"))
        assert len(wire.out()) >= 1                     # answered all the same
    assert len(wire.netif.neighbors()) == 8 and THIRD in wire.netif.neighbors()
    wire.accounted()


@pytest.mark.parametrize("spa, why", [("192.0.2.9", "not on our net"), ("0.0.0.0", "an RFC 5227 probe")])
def test_an_asker_who_can_be_no_neighbour_is_answered_and_not_learnt(wire, spa, why):
    wire.rx(who_has(US, spa=spa))
    assert len(wire.out()) == 1 and wire.netif.neighbors() == {}


@pytest.mark.parametrize("change", [
    {"hwlen": 8}, {"plen": 16}, {"ptype": 0x86DD}, {"hwtype": 6}, {"hwsrc": "01:00:5e:00:00:01"},
    {"hwsrc": "00:00:00:00:00:00"},
])
def test_arp_that_is_not_ethernet_and_ipv4_is_malformed(wire, change):
    frame = Ether(who_has(US))
    for field, value in change.items():
        setattr(frame[ARP], field, value)
    wire.rx(bytes(frame)[:42])
    assert wire.out() == [] and wire["rx_arp_malformed"] == 1


def test_every_truncation_of_an_arp_packet_is_malformed_or_short(wire):
    whole = who_has(US)[:42]
    for n in range(42):
        wire.rx(whole[:n])
    assert wire["rx_short"] == 14 and wire["rx_arp_malformed"] == 28 and wire.out() == []


def test_our_address_is_announced_twice_two_seconds_apart(wire):
    wire.netif.start(wire.now)
    (first,) = wire.out()
    assert first.dst == BROADCAST and (first[ARP].psrc, first[ARP].pdst, first[ARP].hwsrc) == (US, US, US_MAC)
    assert wire.netif.deadline() == 12 * SECOND
    wire.at(12)
    assert len(wire.out()) == 1 and wire.netif.deadline() is None


def test_a_conflict_is_counted_and_defended_once_in_ten_seconds(wire):
    wire.netif.start(wire.now)
    wire.at(12)
    wire.out()
    wire.rx(is_at(US, THIRD_MAC), is_at(US, THIRD_MAC))
    assert len(wire.out()) == 1 and wire["rx_arp_conflict"] == 2
    wire.now += 11 * SECOND
    wire.rx(is_at(US, THIRD_MAC))
    assert len(wire.out()) == 1 and wire.netif.neighbors() == {}


def test_probes_come_first_and_the_address_is_not_used_before():
    wire = Wire(probes=3, seed=7)
    wire.netif.start(wire.now)
    assert not wire.send() and wire["tx_address_unusable"] == 1
    wire.rx(who_has(US))
    assert wire.out() == []                             # not ours yet
    frames = []
    while (deadline := wire.netif.deadline()) is not None:
        wire.at(deadline / SECOND)
        frames += [(deadline, f) for f in wire.out()]
    probes, announcements = frames[:3], frames[3:]
    assert all((f[ARP].psrc, f[ARP].pdst) == ("0.0.0.0", US) for _, f in probes)
    assert [f[ARP].psrc for _, f in announcements] == [US, US]
    times = [t for t, _ in frames]
    assert 10 * SECOND <= times[0] <= 11 * SECOND       # PROBE_WAIT
    assert all(SECOND <= b - a <= 2 * SECOND for a, b in zip(times[:3], times[1:3], strict=False))
    assert times[3] - times[2] == 2 * SECOND == times[4] - times[3]
    assert wire.send()
    wire.accounted()


@pytest.mark.parametrize("answer", [is_at(US, THIRD_MAC), who_has(US, spa="0.0.0.0", sha=THIRD_MAC)],
                         ids=["owner", "somebody else's probe"])
def test_an_answered_probe_means_the_address_is_never_used(answer):
    wire = Wire(probes=3)
    wire.netif.start(wire.now)
    wire.at(11)
    wire.out()
    wire.rx(answer)
    assert wire.netif.deadline() is None and not wire.send() and wire.out() == []
    wire.rx(who_has(US))
    assert wire.out() == []
    wire.accounted()


def test_a_request_the_device_refused_is_tried_again_at_once():
    wire = Wire(queue=1)
    wire.send(dst=THIRD)                                # its request fills the queue
    wire.send(dst=PEER)
    assert wire["arp_tx_failed"] == 1
    wire.out()
    wire.netif.poll(wire.now + 1_000_000)
    assert len(requests_for(PEER, wire.out())) == 1
    wire.accounted()


def test_what_waited_and_finds_the_queue_full_is_counted_and_its_place_is_free_again():
    wire = Wire(queue=1, pending=2)
    wire.netif.add_neighbor(PEER, PEER_MAC)
    for _ in range(2):
        assert wire.send(b"a", dst=THIRD) and wire.send(b"b", dst=THIRD)
        wire.out()
        wire.send(b"fills the queue")
        wire.rx(is_at(THIRD, THIRD_MAC))
        wire.out()
        wire.netif.remove_neighbor(THIRD)
    assert wire["arp_pending_tx_full"] == 4
    wire.accounted()


def test_random_talk_never_breaks_the_books():
    rng = random.Random(5)
    wire = Wire(neighbors=8, pending=6, pending_each=3, probes=0, seed=1)
    wire.netif.start(wire.now)
    hosts = [f"10.0.0.{n}" for n in range(1, 40)]
    for _ in range(5000):
        wire.now += rng.choice((0, 1000, SECOND // 10, SECOND, 5 * SECOND))
        host = rng.choice(hosts)
        address = f"02:00:00:00:00:{rng.randrange(1, 60):02x}"
        match rng.randrange(7):
            case 0 | 1:
                wire.send(dst=host)
            case 2:
                wire.rx(who_has(rng.choice((US, host)), spa=rng.choice(hosts), sha=address))
            case 3:
                wire.rx(is_at(host, address))
            case 4:
                wire.netif.remove_neighbor(host)
            case 5:
                wire.netif.add_neighbor(host, address, wire.now) if rng.random() < 0.02 else None
            case 6:
                wire.netif.poll(wire.now)
        wire.out()
    wire.accounted()
    free = wire.device.free_buffers
    assert free == wire.device.buffers and wire["arp_evicted"] > 10 and wire["arp_pending_sent"] > 10
