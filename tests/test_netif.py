"""Frames in: which are ours, and the one counter each of the others ends in. Datagrams out."""
import random

import compiled
import pytest
from frames import (
    BROADCAST,
    GATEWAY,
    ICMP,
    IP,
    PEER,
    PEER_MAC,
    SECOND,
    TCP,
    THIRD,
    THIRD_MAC,
    UDP,
    US,
    US_MAC,
    Dot1Q,
    Ether,
    Raw,
    Wire,
    ether,
    is_at,
    mac,
    tagged,
    who_has,
)

from stack.netif import VERDICTS

face = compiled.module("netif_face")
IP_GOOD, IP_BAD, L4_GOOD, L4_BAD, VLAN = (1 << n for n in range(5))


@pytest.fixture
def wire():
    wire = Wire(seed=3)
    wire.netif.add_neighbor(PEER, PEER_MAC)
    wire.tcp = face.Protocol(wire.netif, 6)
    yield wire
    wire.accounted()


def tcp(payload=b"text", src=PEER, dst=US, **fields):
    return IP(src=src, dst=dst, **fields) / TCP(sport=5, dport=6) / Raw(payload)


def segment(packet):
    return bytes(packet[TCP])


# -- up

def test_a_datagram_for_us_goes_to_its_protocol_without_the_padding(wire):
    packet = tcp(b"abc")
    wire.rx(ether(packet) + b"\xee" * 9)
    assert wire.tcp.datagrams == [(segment(packet), 0x0A000002, 0)] and wire["rx_l4"] == 1


def test_options_are_passed_over(wire):
    packet = tcp(options=Raw(b"\x44\x08\x05\x00\0\0\0\0" + b"\x01" * 4))
    wire.rx(ether(packet))
    assert wire.tcp.datagrams[0][0] == segment(packet)


def test_ttl_is_not_looked_at(wire):
    # RFC 1122 3.2.1.7: a host must not discard a datagram just because its TTL is less than 2
    wire.rx(ether(tcp(ttl=0)), ether(tcp(ttl=1)))
    assert wire["rx_l4"] == 2


@pytest.mark.parametrize("frame, verdict", [
    (ether(tcp())[:13], "short"),
    (b"", "short"),
    (tagged(tcp(), 5)[:16], "short"),
    (ether(tcp(), dst=THIRD_MAC), "other_mac"),
    (bytes(Ether(dst=US_MAC) / Dot1Q(vlan=1) / Dot1Q(vlan=2) / tcp()), "vlan"),
    (ether(Raw(b"x" * 50), type=0x86DD), "ethertype"),
    (ether(Raw(b"x" * 50), type=46), "ethertype"),                  # 802.3 with a length
    (ether(tcp())[:33], "ipv4_malformed"),
    (ether(tcp(len=60)), "ipv4_malformed"),
    (ether(tcp(ihl=4)), "ipv4_malformed"),
    (ether(tcp(version=6)), "ipv4_malformed"),
    (ether(tcp(chksum=1)), "ipv4_checksum"),
    (ether(tcp(src="0.0.0.0")), "ipv4_source"),
    (ether(tcp(src="127.0.0.1")), "ipv4_source"),
    (ether(tcp(src="224.0.0.1")), "ipv4_source"),
    (ether(tcp(src="255.255.255.255")), "ipv4_source"),
    (ether(tcp(src="10.0.0.255")), "ipv4_source"),
    (ether(tcp(src=US)), "ipv4_source"),
    (ether(tcp(dst=THIRD)), "ipv4_other"),
    (ether(tcp(dst="10.0.0.255"), dst=BROADCAST), "ipv4_other"),
    (ether(tcp(dst="255.255.255.255"), dst=BROADCAST), "ipv4_other"),
    (ether(tcp(dst="224.0.0.1"), dst="01:00:5e:00:00:01"), "ipv4_other"),
    (ether(tcp(), dst=BROADCAST), "ipv4_link_group"),
    (ether(tcp(flags="MF")), "ipv4_fragment"),
    (ether(tcp(frag=1)), "ipv4_fragment"),
    (ether(tcp(proto=200)), "ipv4_protocol"),
    (ether(IP(src=PEER, dst=US, proto=1) / Raw(b"1234567")), "icmp_malformed"),
    (ether(IP(src=PEER, dst=US) / ICMP(type=8, chksum=1) / Raw(b"x")), "icmp_checksum"),
    (ether(IP(src=PEER, dst=US) / ICMP(type=0) / Raw(b"x")), "icmp_ignored"),
    (ether(IP(src=PEER, dst=US) / ICMP(type=5, gw=PEER) / tcp(src=US, dst=PEER)), "icmp_ignored"),
    (ether(IP(src=PEER, dst=US) / ICMP(type=4) / tcp(src=US, dst=PEER)), "icmp_ignored"),
    (ether(IP(src=PEER, dst=US) / ICMP(type=8, code=1) / Raw(b"x")), "icmp_ignored"),
    (ether(IP(src=PEER, dst=US) / ICMP(type=3, code=1) / Raw(b"x" * 8)), "icmp_malformed"),
    (is_at(THIRD, THIRD_MAC), "arp_ignored"),
    (is_at(US, THIRD_MAC), "arp_conflict"),
    (who_has(US)[:41], "arp_malformed"),
    (who_has(US), "arp"),
    (tagged(tcp(), 5), "l4"),
    (tagged(tcp(), 0), "l4"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_each_frame_ends_in_its_one_counter(wire, frame, verdict):
    assert wire.input(frame) == verdict
    s = wire.netif.stats()
    assert s["rx_frames"] == s["rx_" + verdict] == 1 and sum(s["rx_" + v] for v in VERDICTS) == 1
    assert len(wire.tcp.datagrams) == (verdict == "l4")


def test_dont_fragment_is_no_fragment(wire):
    wire.rx(ether(tcp(flags="DF")))
    assert wire["rx_l4"] == 1


def test_the_devices_word_on_the_header_checksum_is_taken(wire):
    good, bad = ether(tcp()), ether(tcp(chksum=1))
    assert wire.input(bad, IP_GOOD) == "l4"
    assert wire.input(good, IP_BAD) == "ipv4_checksum"
    assert wire.input(good, L4_BAD) == "l4"        # the L4 checksum is for its owner to judge


def test_a_stripped_tag_counts_as_one(wire):
    assert wire.input(ether(tcp()), VLAN, 5) == "l4"
    assert wire.input(tagged(tcp(), 7), VLAN, 5) == "vlan"


def test_a_vlan_of_our_own_tags_what_is_sent_and_refuses_other_tags():
    wire = Wire(vlan=7)
    wire.rx(tagged(who_has(US), 7))
    (reply,) = wire.out()
    assert reply[Dot1Q].vlan == 7 and reply[Dot1Q].type == 0x0806
    wire.rx(tagged(IP(src=PEER, dst=US) / ICMP(id=1) / Raw(b"ping"), 7))
    (echo,) = wire.out()
    assert echo[Dot1Q].vlan == 7 and bytes(echo[ICMP].payload) == b"ping"
    wire.rx(tagged(IP(src=PEER, dst=US) / ICMP(), 8))
    assert wire.out() == [] and wire["rx_vlan"] == 1
    wire.send(b"waits", dst=THIRD)
    wire.out()
    wire.rx(tagged(is_at(THIRD, THIRD_MAC), 7))
    (waited,) = wire.out()
    assert (waited.dst, waited[Dot1Q].vlan, bytes(waited[IP].payload)) == (THIRD_MAC, 7, b"waits")


def test_a_group_somebody_here_joined_is_received(wire):
    wire.tcp.group = 0xE0000105
    wire.rx(ether(tcp(dst="224.0.1.5"), dst="01:00:5e:00:01:05"), ether(tcp(dst="224.0.1.6"), dst="01:00:5e:00:01:06"))
    assert wire["rx_l4"] == 1 and wire["rx_ipv4_other"] == 1


@pytest.mark.parametrize("address, source, verdict", [
    ("10.0.0.1/31", "10.0.0.0", "l4"), ("10.0.0.0/31", "10.0.0.1", "l4"), ("10.0.0.1/32", "10.0.0.2", "l4"),
    ("10.0.0.1/8", "10.255.255.255", "ipv4_source"), ("10.0.0.1/24", "10.1.0.255", "l4"),
])
def test_only_the_broadcast_of_our_own_net_is_no_source(address, source, verdict):
    wire = Wire(address=address)
    protocol = face.Protocol(wire.netif, 6)
    assert wire.input(ether(tcp(src=source, dst=wire.netif.address))) == verdict
    assert len(protocol.datagrams) == (verdict == "l4")


def test_an_upcall_may_send(wire):
    wire.tcp.respond = lambda: wire.send(b"reply")
    wire.rx(ether(tcp()))
    assert [bytes(f[IP].payload) for f in wire.out()] == [b"reply"]


def test_a_burst_larger_than_the_budget_is_taken_in_parts(wire):
    for _ in range(60):
        assert wire.peer.tx(ether(tcp()))
    assert [wire.netif.burst(0, n) for n in (40, 0, 5, 100, 1)] == [40, 0, 5, 15, 0]


# -- ICMP

@pytest.mark.parametrize("n", [0, 1, 2, 3, 55, 56, 57, 1471, 1472])
def test_echo_returns_every_octet(wire, n):
    data = random.Random(n).randbytes(n)
    wire.rx(ether(IP(src=PEER, dst=US, tos=0x2C) / ICMP(id=77, seq=n) / Raw(data)))
    (reply,) = wire.out()
    assert (reply.dst, reply[IP].src, reply[IP].dst, reply[IP].tos) == (PEER_MAC, US, PEER, 0x2C)
    assert (reply[ICMP].type, reply[ICMP].id, reply[ICMP].seq) == (0, 77, n)
    assert len(reply[IP]) == 28 + n and bytes(reply[ICMP])[8:8 + n] == data
    sums = reply[IP].chksum, reply[ICMP].chksum
    del reply[IP].chksum, reply[ICMP].chksum
    again = Ether(bytes(reply))
    assert (again[IP].chksum, again[ICMP].chksum) == sums and wire["rx_echo"] == 1


def test_echo_to_an_unknown_neighbour_waits_for_arp(wire):
    wire.rx(ether(IP(src=THIRD, dst=US) / ICMP() / Raw(b"hi"), src=THIRD_MAC))
    wire.out()
    wire.rx(is_at(THIRD, THIRD_MAC))
    assert bytes(wire.out()[0][ICMP].payload) == b"hi"


def test_echo_with_no_room_to_answer_is_counted():
    wire = Wire(queue=1)
    wire.netif.add_neighbor(PEER, PEER_MAC)
    echo = ether(IP(src=PEER, dst=US) / ICMP())
    assert [wire.input(echo) for _ in range(3)] == ["echo", "echo_unsent", "echo_unsent"]
    assert wire["tx_full"] == 2 and wire.device.free_buffers == wire.device.buffers - 1


def error(kind, code, quoted, **fields):
    return ether(IP(src=GATEWAY, dst=US) / ICMP(type=kind, code=code, **fields) / Raw(quoted))


def test_an_error_about_our_datagram_goes_to_its_protocol(wire):
    sent = bytes(tcp(src=US, dst=PEER))
    wire.rx(error(3, 4, sent[:28], nexthopmtu=1400), error(3, 3, sent))
    wire.rx(error(11, 0, sent[:28]), error(12, 0, sent[:28]))
    assert wire.tcp.errors == [
        (3, 4, 1400, False, sent[20:28], 0x0A000002), (3, 3, 0, False, sent[20:], 0x0A000002),
        (11, 0, 0, False, sent[20:28], 0x0A000002), (12, 0, 0, False, sent[20:28], 0x0A000002)]
    assert wire["rx_icmp_error"] == 4


def test_an_error_about_what_we_never_sent_is_ignored(wire):
    wire.rx(error(3, 1, bytes(tcp(src=THIRD, dst=PEER))),           # not from us
            error(3, 1, bytes(tcp(src=US, dst=PEER, frag=3))),      # no ports in there
            error(3, 1, bytes(IP(src=US, dst=PEER, proto=17) / UDP())))
    assert wire.tcp.errors == [] and wire["rx_icmp_ignored"] == 3
    wire.tcp.deny = True
    wire.rx(error(3, 1, bytes(tcp(src=US, dst=PEER))))
    assert wire["rx_icmp_ignored"] == 4 and len(wire.tcp.errors) == 1


@pytest.mark.parametrize("cut", range(0, 28))
def test_a_quotation_cut_short_is_malformed(wire, cut):
    wire.rx(error(3, 1, bytes(tcp(src=US, dst=PEER))[:cut]))
    assert wire["rx_icmp_malformed"] == 1 and wire.tcp.errors == []


def test_a_neighbour_who_never_answers_is_an_error_too(wire):
    packet = bytes(tcp(src=US, dst=THIRD))
    assert wire.netif.output(packet, THIRD, wire.now)
    wire.tcp.respond = lambda: wire.netif.output(packet, THIRD, wire.now)       # asks anew
    for second in (11, 13, 17):
        wire.at(second)
    assert wire.tcp.errors == [(3, 1, 0, True, packet[20:], 0x0A000003)]
    assert wire.netif.neighbors()[THIRD] == ("incomplete", bytes(6), 1)


# -- down

def test_a_datagram_to_a_group_needs_no_neighbour(wire):
    assert wire.netif.output(bytes(tcp(src=US, dst="224.1.2.3")), "224.129.2.3", 0)
    assert wire.out()[0].dst == "01:00:5e:01:02:03"


def test_a_full_queue_refuses_counts_and_loses_no_buffer():
    wire = Wire(queue=2)
    wire.netif.add_neighbor(PEER, PEER_MAC)
    assert [wire.send(b"%d" % n) for n in range(4)] == [True, True, False, False]
    assert wire["tx_full"] == 2 and wire.device.free_buffers == wire.device.buffers - 2
    wire.accounted()


def test_a_closed_device_loses_and_does_not_crash(wire):
    wire.device.close()
    assert not wire.send() and wire["alloc_failed"] == 1 and wire.netif.burst(0) == 0


@pytest.mark.parametrize("options, words", [
    ({"address": "10.0.0.1/33"}, "prefix length"), ({"address": "10.0.0"}, "IPv4 address"),
    ({"address": "224.0.0.1/24"}, "cannot be an interface's"), ({"gateway": "10.0.1.1"}, "not on the net"),
    ({"vlan": 4095}, "vlan is 4095"), ({"neighbors": 1}, "neighbors is 1"), ({"pending": 0}, "pending is 0"),
    ({"arp_tries": 0}, "arp_tries is 0"), ({"arp_retry_ns": 0}, "arp_retry_ns is 0"),
    ({"probes": 256}, "probes is 256"),
])
def test_configuration_that_cannot_work_is_refused_by_name(options, words):
    with pytest.raises(ValueError, match=words):
        Wire(**options)


# -- any octets

def test_mutated_frames_never_break_the_books():
    rng = random.Random(11)
    wire = Wire(seed=5, neighbors=16, pending=8)
    protocol = face.Protocol(wire.netif, 6)
    seeds = [ether(tcp(b"x" * 40)), tagged(tcp(), 3), tagged(tagged(tcp(), 3), 4), ether(tcp(options=Raw(b"\x01" * 8))),
             who_has(US), is_at(PEER, PEER_MAC), is_at(US, THIRD_MAC), ether(IP(src=PEER, dst=US) / UDP() / Raw(b"u")),
             ether(IP(src=PEER, dst=US) / ICMP() / Raw(b"ping")), ether(IP(src=PEER, dst=US) / ICMP(type=0)),
             error(3, 4, bytes(tcp(src=US, dst=PEER))), error(3, 1, bytes(tcp(src=US, dst=PEER))[:20])]
    for _ in range(20_000):
        frame = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((0, 1, 1, 2, 8))):
            frame[rng.randrange(len(frame))] = rng.choice((0, 255, rng.randrange(256)))
        if rng.random() < 0.2:
            frame = frame[:rng.randrange(len(frame) + 1)]
        wire.now += rng.choice((0, 0, 1000, SECOND))
        if rng.random() < 0.5:
            wire.rx(bytes(frame))
        else:
            wire.input(bytes(frame), IP_GOOD)           # or the header checksum would hide what is behind it
        if rng.random() < 0.1:
            wire.send(dst=rng.choice((PEER, THIRD)))
        wire.netif.poll(wire.now)
        wire.peer.rx_burst(64)
    wire.accounted()
    assert wire["rx_frames"] == 20_000 and len(protocol.datagrams) == wire["rx_l4"]
    assert {v for v in VERDICTS if not wire["rx_" + v]} == {"echo_unsent", "address_unusable"}
    assert wire.device.free_buffers == wire.device.buffers


def test_the_same_seed_gives_the_same_octets():
    def talk(seed):
        wire = Wire(seed=seed, probes=2)
        wire.netif.start(0)
        out = []
        for now in range(0, 12 * SECOND, SECOND // 10):
            wire.netif.poll(now)
            if now > 6 * SECOND:
                wire.netif.input(ether(IP(src=PEER, dst=US) / ICMP()), now)
            out += [(now, f.data) for f in wire.peer.rx_burst(64)]
        return out
    first = talk(1)
    assert first == talk(1) != talk(2) and mac(US_MAC) == first[0][1][6:12]
