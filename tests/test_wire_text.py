"""The one-line form of a frame: packetdrill's notation, and a line for whatever octets there are."""
import random

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from stack.wire.text import format_ipv4, frame_text, parse_address, parse_ipv4

ENDS = {"src": "10.0.0.1", "dst": "10.0.0.2"}


def line(packet, **options):
    return frame_text(bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet), **options)


@pytest.mark.parametrize("tcp, text", [
    (TCP(flags="S", seq=0, window=65535,
         options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (100, 0)), ("NOP", None), ("WScale", 7)]),
     "S 0:0(0) win 65535 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>"),
    (TCP(flags="SA", seq=5, ack=1, window=1000), "S. 5:5(0) ack 1 win 1000"),
    (TCP(flags="PA", seq=1, ack=6, window=8) / Raw(b"x" * 100), "P. 1:101(100) ack 6 win 8"),
    (TCP(flags="FA", seq=2**32 - 1, ack=6, window=8) / Raw(b"x"), "F. 4294967295:0(1) ack 6 win 8"),
    (TCP(flags="R", seq=9, window=0), "R 9:9(0) win 0"),
    (TCP(flags="AUEC", seq=1, ack=1, urgptr=3, window=1), ".UEW 1:1(0) ack 1 win 1 urg 3"),
    (TCP(flags="A", seq=1, ack=1, window=1, options=[("NOP", None), ("NOP", None), ("SAck", (5, 6, 8, 9))]),
     ". 1:1(0) ack 1 win 1 <nop,nop,sack 5:6 8:9>"),
    (TCP(flags="", seq=1, window=1, options=[("EOL", None)]), "- 1:1(0) win 1 <eol,eol,eol,eol>"),
])
def test_segments(tcp, text):
    assert line(IP(**ENDS) / tcp) == "+0 < " + text


def test_numbers_relative_to_the_isns_and_the_direction():
    segment = TCP(flags="A", seq=1001, ack=501, window=9)
    assert (line(IP(**ENDS) / segment, time_ns=20_000, direction=">", seq0=1000, ack0=500)
            == "+0.00002 > . 1:1(0) ack 1 win 9")


def test_ends_and_marks():
    assert (line(IP(tos=3, **ENDS) / TCP(sport=5, dport=6, flags="A", window=1), ports=True)
            == "+0 < [ce] 10.0.0.1:5 > 10.0.0.2:6 . 0:0(0) ack 0 win 1")


@pytest.mark.parametrize("packet, text", [
    (ARP(op=1, hwsrc="02:00:00:00:00:01", psrc="10.0.0.1", pdst="10.0.0.2"),
     "arp who-has 10.0.0.2 tell 10.0.0.1 (02:00:00:00:00:01)"),
    (ARP(op=2, hwsrc="02:00:00:00:00:02", psrc="10.0.0.2", hwdst="02:00:00:00:00:01", pdst="10.0.0.1"),
     "arp 10.0.0.2 is-at 02:00:00:00:00:02 for 10.0.0.1 (02:00:00:00:00:01)"),
    (IP(**ENDS) / ICMP(type=8, id=7, seq=2) / Raw(b"abc"), "10.0.0.1 > 10.0.0.2 icmp echo_request id 7 seq 2 (3)"),
    (IP(**ENDS) / ICMP(type=3, code=4, nexthopmtu=1400) / IP(proto=6, **ENDS) / Raw(b"\0\1\0\2\0\0\0\3"),
     "10.0.0.1 > 10.0.0.2 icmp unreachable frag_needed mtu 1400 [tcp 1 > 2 seq 3]"),
    (IP(**ENDS) / UDP(sport=1, dport=2) / Raw(b"abcd"), "10.0.0.1:1 > 10.0.0.2:2 udp (4)"),
    (IP(proto=89, **ENDS) / Raw(b"ab"), "10.0.0.1 > 10.0.0.2 protocol 89 (2)"),
    (IP(proto=6, flags="MF", frag=2, id=9, **ENDS) / Raw(b"12345678"),
     "10.0.0.1 > 10.0.0.2 fragment tcp id 9 at 16 8 octets more"),
    (Dot1Q(vlan=5) / IP(**ENDS) / UDP(sport=1, dport=2), "vlan 5 10.0.0.1:1 > 10.0.0.2:2 udp (0)"),
])
def test_everything_else(packet, text):
    assert line(packet) == "+0 < " + text


def test_any_octets_give_one_line():
    rng = random.Random(3)
    whole = [bytes(Ether() / p) for p in (
        IP() / TCP(options=[("Timestamp", (1, 2)), ("SAck", (1, 2))]) / Raw(b"abc"), IP() / ICMP() / Raw(b"x" * 30),
        ARP(), IP() / ICMP(type=3, code=1) / IP(proto=6) / Raw(b"12345678"), Dot1Q() / IP() / UDP())]
    for _ in range(4000):
        frame = bytearray(rng.choice(whole))
        for _ in range(rng.randrange(6)):
            frame[rng.randrange(len(frame))] = rng.randrange(256)
        out = frame_text(bytes(frame[:rng.randrange(len(frame) + 1)]))
        assert "\n" not in out and out.startswith("+0 < ")


@pytest.mark.parametrize("bad", ["", "10.0.0", "10.0.0.256", "10.0.0.1.2", "a.b.c.d", "10.0.0.-1", "10.0.0.1 ",
                                 "1.2.3.\u0663"])
def test_what_is_no_address_is_refused_by_name(bad):
    with pytest.raises(ValueError, match="IPv4 address"):
        parse_ipv4(bad)


def test_addresses():
    assert parse_ipv4("10.0.0.254") == 0x0A0000FE and format_ipv4(0xC0000201) == "192.0.2.1"
    assert parse_address("10.0.0.1/24") == (0x0A000001, 24) and parse_address("10.0.0.1") == (0x0A000001, 32)
    for bad in ("10.0.0.1/33", "10.0.0.1/", "10.0.0.1/x"):
        with pytest.raises(ValueError, match="prefix length"):
            parse_address(bad)
