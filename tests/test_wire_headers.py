"""Header views against scapy: what it builds we read, what we build it reads; and no octets at all can hurt."""
import compiled
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

wire = compiled.module("wire_face")

u8, u16, u32 = st.integers(0, 255), st.integers(0, 65535), st.integers(0, 2**32 - 1)
macs = st.binary(min_size=6, max_size=6)
seeded = settings(deadline=None, max_examples=150, derandomize=True)


def text(address):
    return ".".join(str(address >> s & 255) for s in (24, 16, 8, 0))


def colons(octets):
    return octets.hex(":")


# -- Ethernet and 802.1Q

@seeded
@given(macs, macs, st.integers(0x600, 0xFFFF).filter(lambda t: t != 0x8100), st.binary(max_size=80))
def test_ethernet_is_read_and_written_like_scapy(dst, src, ethertype, payload):
    frame = bytes(Ether(dst=colons(dst), src=colons(src), type=ethertype) / Raw(payload))
    assert wire.ethernet(frame) == {"dst": dst, "src": src, "type": ethertype, "tagged": False, "tci": 0,
                                    "payload": payload}
    assert wire.ethernet_emit(dst, src, ethertype) == frame[:14]


@seeded
@given(macs, macs, st.integers(0, 4095), st.integers(0, 7), st.binary(max_size=80))
def test_one_tag_is_passed_over_and_reported(dst, src, vlan, prio, payload):
    frame = bytes(Ether(dst=colons(dst), src=colons(src)) / Dot1Q(vlan=vlan, prio=prio, type=0x800) / Raw(payload))
    got = wire.ethernet(frame)
    assert (got["tagged"], got["tci"], got["type"], got["payload"]) == (True, prio << 13 | vlan, 0x800, payload)
    assert wire.ethernet_emit(dst, src, 0x800, prio << 13 | vlan) == frame[:18]


def test_a_second_tag_stays_an_ethertype():
    frame = bytes(Ether() / Dot1Q(vlan=1) / Dot1Q(vlan=2, type=0x800) / Raw(b"x"))
    assert wire.ethernet(frame)["type"] == 0x8100


def test_a_tag_cut_short_is_no_frame():
    frame = bytes(Ether() / Dot1Q(vlan=1, type=0x800))
    assert [n for n in range(19) if wire.ethernet(frame[:n]) is not None] == [18]
    assert [n for n in range(16) if wire.ethernet(bytes(n)) is not None] == [14, 15]


# -- ARP

@seeded
@given(st.sampled_from([1, 2, 3, 9]), macs, u32, macs, u32, st.binary(max_size=18))
def test_arp_is_read_and_written_like_scapy(op, sha, spa, tha, tpa, padding):
    packet = bytes(ARP(op=op, hwsrc=colons(sha), psrc=text(spa), hwdst=colons(tha), pdst=text(tpa)))
    assert wire.arp(packet + padding) == {"op": op, "sha": sha, "spa": spa, "tha": tha, "tpa": tpa}
    assert wire.arp_out(op, sha, spa, tha, tpa) == packet
    assert all(wire.arp(packet[:n]) is None for n in range(28))


# -- IPv4

@seeded
@given(u8, u16, st.integers(0, 7), st.integers(0, 8191), u8, u8, u32, u32, st.binary(max_size=200),
       st.integers(0, 10), st.binary(max_size=40))
def test_ipv4_is_read_like_scapy(tos, ident, flags, frag, ttl, proto, src, dst, payload, option_words, padding):
    packet = bytes(IP(tos=tos, id=ident, flags=flags, frag=frag, ttl=ttl, proto=proto, src=text(src), dst=text(dst),
                      options=Raw(b"\x01" * 4 * option_words)) / Raw(payload))
    assert wire.ipv4(packet + padding) == {
        "hlen": 20 + 4 * option_words, "tos": tos, "ttl": ttl, "len": len(packet), "id": ident,
        "frag": flags << 13 | frag, "proto": proto, "src": src, "dst": dst, "ok": True,
        "payload_at": 20 + 4 * option_words, "payload_len": len(payload)}


@seeded
@given(u8, st.integers(20, 65535), u16, u16, u8, u8, u32, u32)
def test_ipv4_is_written_like_scapy(tos, length, ident, fragment, ttl, proto, src, dst):
    ours = wire.ipv4_out(tos, length, ident, fragment, ttl, proto, src, dst)
    assert ours == bytes(IP(tos=tos, len=length, id=ident, flags=fragment >> 13, frag=fragment & 8191, ttl=ttl,
                            proto=proto, src=text(src), dst=text(dst)))


@seeded
@given(st.integers(0, 159))
def test_one_flipped_bit_in_an_ipv4_header_fails_its_checksum_or_its_form(bit):
    packet = bytearray(bytes(IP(src="10.0.0.1", dst="10.0.0.2", proto=6) / Raw(b"payload")))
    packet[bit // 8] ^= 1 << bit % 8
    got = wire.ipv4(bytes(packet))
    assert got is None or not got["ok"]


def test_ipv4_lengths_that_contradict_are_refused():
    packet = bytes(IP() / Raw(b"12345678"))
    assert all(wire.ipv4(packet[:n]) is None for n in range(len(packet)))
    for first in range(256):
        wrong = bytes([first]) + packet[1:]
        assert (wire.ipv4(wrong) is not None) == (first in (0x45, 0x46, 0x47)), first   # 28 octets: IHL 5 to 7
    for length in range(0, 28 + 1):
        wrong = packet[:2] + length.to_bytes(2, "big") + packet[4:]
        assert (wire.ipv4(wrong) is not None) == (length >= 20), length


@seeded
@given(st.integers(0, 60), st.integers(5, 15))
def test_a_quoted_header_needs_eight_octets_behind_it(n, words):
    header = bytes(IP(src="10.0.0.1", dst="10.0.0.2", proto=6, len=1500, options=Raw(b"\x01" * 4 * (words - 5))))
    quoted = header + bytes(n)
    got = wire.ipv4_quoted(quoted)
    assert (got is not None) == (n >= 8)
    if got:
        assert (got["src"], got["proto"], got["payload_at"], got["payload_len"]) == (
            0x0A000001, 6, 4 * words, 1500 - 4 * words)


# -- ICMP, UDP

@seeded
@given(u8, u8, u32, st.binary(max_size=301))
def test_icmp_is_read_and_written_like_scapy(kind, code, rest, body):
    ours = wire.icmp_out(kind, code, rest, body)
    assert wire.icmp(ours) == {"type": kind, "code": code, "rest": rest, "mtu": rest & 0xFFFF, "body": body, "ok": True}
    echo = bytes(ICMP(type=8, id=rest >> 16, seq=rest & 0xFFFF) / Raw(body))
    assert wire.icmp_out(8, 0, rest, body) == echo
    assert not wire.icmp(echo[:2] + bytes([echo[2] ^ 1]) + echo[3:])["ok"]
    assert all(wire.icmp(echo[:n]) is None for n in range(8))


@seeded
@given(u16, u16, st.binary(max_size=301), u32, u32, st.binary(max_size=20))
def test_udp_is_read_and_written_like_scapy(sport, dport, data, src, dst, padding):
    theirs = bytes(IP(src=text(src), dst=text(dst)) / UDP(sport=sport, dport=dport) / Raw(data))[20:]
    ours, ok = wire.udp_out(sport, dport, data, src, dst)
    assert ours == theirs and ok
    assert wire.udp(ours + padding) == {"sport": sport, "dport": dport, "len": 8 + len(data), "sum": True, "data": data}


def test_udp_lengths_that_contradict_are_refused():
    whole = wire.udp_out(1, 2, b"12345678", 3, 4)[0]
    assert all(wire.udp(whole[:n]) is None for n in range(16))
    for length in range(0, 30):
        wrong = whole[:4] + length.to_bytes(2, "big") + whole[6:]
        assert (wire.udp(wrong) is not None) == (8 <= length <= 16), length
    assert wire.udp(whole[:6] + b"\0\0" + whole[8:])["sum"] is False


def test_a_udp_sum_of_zero_is_sent_as_ones():
    for data in range(65536):
        octets, ok = wire.udp_out(0, 0, data.to_bytes(2, "big"), 0, 0)
        assert octets[6:8] != b"\0\0" and ok
        if octets[6:8] == b"\xff\xff":
            break
    else:
        raise AssertionError("no data gave the sum zero")


# -- TCP

@seeded
@given(u16, u16, u32, u32, st.integers(0, 0x1FF), u16, u16, st.integers(0, 10), st.binary(max_size=300))
def test_tcp_is_read_and_written_like_scapy(sport, dport, seq, ack, flags, wnd, up, words, segment_text):
    options = b"\x01" * 4 * words
    segment = bytes(TCP(sport=sport, dport=dport, seq=seq, ack=ack, flags=flags, window=wnd, urgptr=up, chksum=0,
                        options=[("NOP", None)] * 4 * words) / Raw(segment_text))
    assert wire.tcp(segment) == {"sport": sport, "dport": dport, "seq": seq, "ack": ack, "flags": flags, "wnd": wnd,
                                 "up": up, "hlen": 20 + 4 * words, "options": options, "text": segment_text}
    assert wire.tcp_out(sport, dport, seq, ack, 20 + 4 * words, flags, wnd, up) == segment[:20]


def test_tcp_data_offsets_that_contradict_are_refused():
    segment = bytes(TCP(options=[("MSS", 1460)]) / Raw(b"text"))
    for offset in range(16):
        wrong = segment[:12] + bytes([offset << 4]) + segment[13:]
        assert (wire.tcp(wrong) is not None) == (5 <= offset <= 7), offset      # 28 octets
    assert all(wire.tcp(segment[:n]) is None for n in range(24))


blocks = st.lists(st.tuples(u32, u32), min_size=1, max_size=4)


@seeded
@given(u16, st.integers(0, 14), st.tuples(u32, u32), st.lists(st.tuples(u32, u32), min_size=1, max_size=2))
def test_tcp_options_are_read_and_written_like_scapy(mss, scale, stamps, sack):
    syn = [("MSS", mss), ("SAckOK", b""), ("Timestamp", stamps), ("NOP", None), ("WScale", scale)]
    theirs = bytes(TCP(options=syn))[20:]
    ours = wire.tcp_options_out(mss, scale, True, stamps, padded=False)
    assert ours == theirs
    assert wire.tcp_options(ours) == (True, {"mss": mss, "wscale": scale, "sack_permitted": True, "timestamps": stamps})

    later = [("NOP", None)] * 2 + [("Timestamp", stamps)] + [("NOP", None)] * 2 + [("SAck", sum(sack, ()))]
    ours = wire.tcp_options_out(timestamps=stamps, sack=sack)
    assert ours == bytes(TCP(options=later))[20:]
    assert wire.tcp_options(ours) == (True, {"timestamps": stamps, "sack": sack})


@seeded
@given(u16, st.lists(st.tuples(u32, u32), max_size=4))
def test_the_user_timeout_option_leaves_room_for_four_sack_blocks(field, sack):
    octets = wire.tcp_options_out(uto=field, sack=sack)
    assert octets[:4] == bytes(TCP(options=[("UTO", field)]))[20:24] and len(octets) <= 40
    assert wire.tcp_options(octets) == (True, {"uto": field, **({"sack": sack} if sack else {})})


@pytest.mark.parametrize("ns, field, means_s", [
    (1, 1, 1), (1_000_000_000, 1, 1), (1_000_000_001, 2, 2), (32767 * 10**9, 32767, 32767),
    (32768 * 10**9, 0x8000 | 547, 547 * 60), (32767 * 60 * 10**9, 0xFFFF, 32767 * 60), (2**64 - 1, 0xFFFF, 32767 * 60),
    (0, 0xFFFF, 32767 * 60),            # never: as long as can be said
])
def test_a_user_timeout_is_rounded_up_to_seconds_or_minutes(ns, field, means_s):
    assert wire.tcp_uto(ns) == (field, means_s * 10**9)


@seeded
@given(blocks)
def test_four_sack_blocks_fill_the_options(sack):
    assert wire.tcp_options(wire.tcp_options_out(sack=sack)) == (True, {"sack": sack})


@seeded
@given(st.tuples(u32, u32))
def test_the_usual_timestamps_are_read_in_one_look(stamps):
    usual = wire.tcp_options_out(timestamps=stamps)
    assert wire.tcp_timestamps(usual) == stamps
    assert wire.tcp_timestamps(usual[:11]) is None and wire.tcp_timestamps(b"\x01" * 12) is None
    assert wire.tcp_timestamps(wire.tcp_options_out(timestamps=stamps, padded=False) + b"\0\0") is None


def test_what_comes_before_a_bad_option_is_kept():
    # RFC 9293 MUST-7: a length of 0, 1 or beyond the header is survived
    good = wire.tcp_options_out(mss=1200)
    for bad in (b"\x63\x00", b"\x63\x01", b"\x63\x03", b"\x63", b"\x08\x0a\0\0\0\0", b"\x05\xff"):
        assert wire.tcp_options(good + bad) == (False, {"mss": 1200}), bad


def test_unknown_kinds_and_known_ones_of_odd_length_are_passed_over():
    strange = b"\xfd\x04\xf9\x89" + b"\x02\x03\x05" + b"\x03\x04\x01\x01" + b"\x05\x04\0\0" + b"\x08\x03\0"
    assert wire.tcp_options(strange + wire.tcp_options_out(wscale=7)) == (True, {"wscale": 7})


def test_a_user_timeout_option_of_a_wrong_length_says_the_reserved_value():
    for bad in (b"\x1c\x02", b"\x1c\x03\x01", b"\x1c\x05\x01\x02\x03"):
        assert wire.tcp_options(bad + wire.tcp_options_out(mss=9)) == (True, {"mss": 9, "uto": 0})
    assert wire.tcp_options(b"\x1c\x04\x01") == (False, {})


def test_nothing_behind_the_end_of_options_is_read():
    assert wire.tcp_options(b"\x00" + wire.tcp_options_out(mss=1)) == (True, {})


def test_a_shift_above_14_is_used_as_14():
    assert wire.tcp_options(b"\x03\x03\xff") == (True, {"wscale": 14})


# -- any octets

@settings(seeded, max_examples=500)
@given(st.binary(max_size=128))
def test_any_octets_are_refused_or_read_within_their_bounds(octets):
    for view in (wire.ethernet, wire.arp, wire.ipv4, wire.ipv4_quoted, wire.icmp, wire.udp, wire.tcp):
        view(octets)
    wire.tcp_options(octets[:40])       # in front of an unreadable page
    seg = wire.tcp(octets)
    if seg:
        assert len(seg["options"]) + len(seg["text"]) + 20 == len(octets)
    ip = wire.ipv4(octets)
    if ip:
        assert ip["payload_at"] + ip["payload_len"] == ip["len"] <= len(octets)
