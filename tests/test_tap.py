"""Passive reassembly, segment by segment: given what was captured before, what comes up when this is captured."""
import random
import struct

import pytest
import reassembly_oracle as oracle
from capture_maker import ACK, FIN, PSH, RST, START, SYN, frame, spoilt

from stack.tap_face import Tap

US, THEM = ("10.0.0.2", 40001), ("10.0.0.9", 9876)
ISN = 2**32 - 5             # the numbers wrap inside every test


class Wire:
    """Segments from US to THEM, numbered from ISN; `gets` is the text that came up by the last one."""

    def __init__(self, syn=True, **kw):
        self.tap, self.ts = Tap(**kw), 0
        if syn:
            self.seg(SYN, -1)

    def seg(self, flags=ACK, at=0, text=b"", ack=0, back=False, **kw):
        self.ts += 1
        a, b = (THEM, US) if back else (US, THEM)
        got = self.tap.input(frame(a, b, ISN + at + (0 if back else 1), ISN + 1 + ack, flags, text, **kw), self.ts)
        return b"".join(t.text for t in got)

    def acks(self, upto):
        return self.seg(ACK, 0, b"", upto, back=True)

    def end(self):
        return [t.text for t in self.tap.finish()]

    def __getattr__(self, name):
        return self.tap.stats()[name]


def test_text_in_order_comes_up_at_once():
    w = Wire()
    assert w.seg(at=0, text=b"abc") == b"abc"
    assert w.seg(at=3, text=b"defgh") == b"defgh"
    assert w.end() == [] and (w.segments, w.flows) == (3, 1)


def test_a_retransmission_is_delivered_once():
    w = Wire()
    w.seg(at=0, text=b"abcdef")
    assert w.seg(at=0, text=b"abcdef") == b"" and w.seg(at=2, text=b"cd") == b""
    assert w.seg(at=4, text=b"efgh") == b"gh"
    assert w.retransmissions == 3 and w.out_of_order == 0


def test_text_ahead_waits_for_the_hole_to_close():
    w = Wire()
    assert w.seg(at=3, text=b"def") == b"" and w.tap.watermark_ns == 2
    assert w.seg(at=0, text=b"abc") == b"abcdef" and w.tap.watermark_ns is None
    assert w.out_of_order == 1 and w.retransmissions == 0


def test_overlapping_pieces_in_any_order():
    w = Wire()
    assert w.seg(at=6, text=b"ghij") == w.seg(at=2, text=b"cde") == w.seg(at=4, text=b"efgh") == b""
    assert w.seg(at=0, text=b"abcd") == b"abcdefghij"


def test_the_first_copy_of_an_octet_counts_and_a_difference_is_counted():
    w = Wire()
    w.seg(at=2, text=b"cd")
    w.seg(at=2, text=b"CD")
    assert w.seg(at=0, text=b"ab") == b"abcd"
    assert w.conflicting == 2


def test_without_a_syn_text_waits_until_earlier_text_can_no_longer_come():
    w = Wire(syn=False)
    assert w.seg(at=10, text=b"klm") == b""
    assert w.seg(at=0, text=b"abcdefghij") == b""
    assert w.end() == [b"abcdefghij", b"klm"]
    assert w.gaps == 0 and w.out_of_order == 1


def test_without_a_syn_pieces_keep_the_times_they_came_at():
    w = Wire(syn=False)
    for at in (0, 3, 6):
        w.seg(at=at, text=b"abc")
    assert [(t.text, t.ts_ns) for t in w.tap.finish()] == [(b"abc", 1), (b"abc", 2), (b"abc", 3)]


def test_a_syn_captured_behind_its_text_is_the_same_connection():
    w = Wire(syn=False)
    assert w.seg(at=0, text=b"abc") == b""
    assert w.seg(SYN, at=-1) == b"abc"
    assert w.seg(at=3, text=b"d") == b"d" and w.flows == 1


def patient(w, upto):
    """The peer acknowledges, then 3 s and 32 segments pass."""
    got = w.acks(upto)
    w.ts += 3 * 10**9
    return got + b"".join(w.acks(upto) for _ in range(33))


def test_a_hole_its_receiver_has_filled_is_given_up_after_a_while():
    w = Wire()
    w.seg(at=0, text=b"abc")
    assert w.seg(at=5, text=b"fgh") == b""
    assert patient(w, upto=5) == b"fgh"
    assert (w.gaps, w.gap_octets) == (1, 2)
    assert w.seg(at=8, text=b"ijk") == b"ijk"


def test_a_hole_nobody_acknowledged_stays_open():
    w = Wire()
    w.seg(at=5, text=b"fgh")
    assert patient(w, upto=4) == b""
    assert w.seg(at=0, text=b"abcde") == b"abcdefgh" and w.gaps == 0


def test_a_hole_larger_than_any_buffer_is_given_up_at_once():
    w = Wire()
    w.seg(at=0, text=b"abc")
    assert w.seg(at=3 + 2**21, text=b"xyz") == b"xyz"
    assert (w.gaps, w.gap_octets, w.memory > 0) == (1, 2**21, True)


def test_more_holes_than_there_are_ranges_give_up_the_first_ones():
    w = Wire()
    early = [w.seg(at=10 * i + 5, text=b"%05d" % i) for i in range(40)]
    assert [t for t in early if t] == [b"%05d" % i for i in range(8)]
    assert w.end() == [b"%05d" % i for i in range(8, 40)] and w.gaps == 40


def test_a_new_syn_on_the_same_ports_is_another_connection():
    w = Wire()
    w.seg(at=0, text=b"abc")
    w.seg(at=5, text=b"late")
    w.seg(FIN | ACK, at=9)
    assert w.seg(SYN, at=100_000) == b"late"                    # what waited in the old one comes up
    assert w.seg(at=100_001, text=b"xyz") == b"xyz"
    assert w.seg(SYN, at=100_000) == b"" and w.flows == 2       # the SYN again changes nothing


def test_a_connection_whose_syn_was_missed_takes_over_the_ports():
    w = Wire()
    w.seg(at=0, text=b"abc")
    for i in range(3):
        assert w.seg(at=-2**30 + 3 * i, text=b"xyz") == b""
    assert w.seg(at=-2**30 + 9, text=b"uvw") == b"" and w.flows == 2
    assert w.end() == [b"xyz", b"uvw"] and w.outside == 3


def test_one_segment_far_away_changes_nothing():
    w = Wire()
    w.seg(at=0, text=b"abc")
    w.acks(3)
    assert w.seg(at=2**29, text=b"xyz") == b"" and w.outside == 1
    assert w.seg(at=-2**29, text=b"xyz") == b"" and w.outside == 2
    assert w.seg(at=3, text=b"def") == b"def" and w.flows == 1


def test_resets_and_zero_windows_and_keepalives_change_no_octet():
    w = Wire()
    w.seg(at=0, text=b"abc")
    w.seg(ACK, at=2, text=b"\x00")                              # keepalive with an octet of garbage
    w.seg(RST | ACK, at=3)
    assert w.seg(at=3, text=b"def", window=0) == b"def"


def test_text_on_a_syn():
    w = Wire(syn=False)
    assert w.seg(SYN, at=-1, text=b"abc") == b"abc"
    assert w.seg(at=3, text=b"def") == b"def"


def test_both_directions_and_many_connections_are_kept_apart():
    tap = Tap()
    ends = [(f"10.0.{i}.1", 1000 + i) for i in range(50)]
    for e in ends:
        tap.input(frame(e, THEM, 0, 0, SYN), 1)
        tap.input(frame(THEM, e, 0, 1, SYN | ACK), 1)
    for i, e in enumerate(ends):
        up, = tap.input(frame(e, THEM, 1, 1, ACK, b"up%d" % i), 2)
        down, = tap.input(frame(THEM, e, 1, 1, ACK, b"dn%d" % i), 3)
        assert (up.src, up.dst, up.text) == (f"{e[0]}:{e[1]}", "10.0.0.9:9876", b"up%d" % i)
        assert (down.src, down.flow, down.text) == ("10.0.0.9:9876", up.flow, b"dn%d" % i)
    assert tap.stats()["flows"] == 50


def test_a_full_table_forgets_the_connection_that_was_silent_longest():
    tap = Tap(flows=2)
    for e in (1, 2, 1, 3):
        tap.input(frame((f"10.0.0.{e}", 1), THEM, 0, 0, SYN if e != 1 else ACK, b"" if e != 1 else b"ab"), e)
    assert tap.stats()["evicted"] == 1
    got = tap.input(frame(("10.0.0.3", 1), THEM, 1, 0, ACK, b"x"), 9)
    assert [t.text for t in got] == [b"x"]
    assert [t.text for t in tap.finish()] == [b"ab"]            # 10.0.0.1 was used later than 10.0.0.2


def test_memory_is_bounded_whatever_waits():
    tap = Tap(memory=4 << 20)
    for i in range(2000):
        e = (f"10.{i >> 8}.{i & 255}.1", 7)
        tap.input(frame(e, THEM, 0, 0, SYN), i)
        tap.input(frame(e, THEM, 5000, 0, ACK, b"x" * 1000), i)
        assert tap.stats()["memory"] <= 4 << 20
    assert tap.stats()["squeezed"] > 0
    assert sum(t.text == b"x" * 1000 for t in tap.finish()) <= 2000


def test_a_segment_that_was_cut_leaves_a_hole():
    tap = Tap()
    tap.input(frame(US, THEM, 0, 0, SYN), 1)
    got = tap.input(frame(US, THEM, 1, 0, ACK, b"abcdefgh")[:-3], 2, cut=True)
    assert [t.text for t in got] == [b"abcde"] and tap.stats()["cut"] == 1
    assert tap.input(frame(US, THEM, 9, 0, ACK, b"ij"), 3) == []
    assert [t.text for t in tap.finish()] == [b"ij"]


def test_checksums_are_verified_only_if_asked():
    bad = frame(US, THEM, 1, 0, ACK, b"abc", bad_checksum=True)
    for checksums, want in ((False, [b"abc"]), (True, [])):
        tap = Tap(checksums=checksums)
        tap.input(frame(US, THEM, 0, 0, SYN), 1)
        assert [t.text for t in tap.input(bad, 2)] == want
        assert tap.stats()["bad_checksum"] == checksums


def test_what_is_not_tcp_over_ipv4_is_counted_by_name():
    tap = Tap()
    good = frame(US, THEM, 1, 0, ACK, b"abc")
    tap.input(good[:12] + b"\x86\xdd" + good[14:], 1)
    tap.input(good[:23] + b"\x11" + good[24:], 1)
    tap.input(good[:20] + b"\x20\x00" + good[22:], 1)
    tap.input(good[:46] + b"\x10" + good[47:], 1)
    tap.input(good[:14] + b"\x4f" + good[15:40], 1)
    tap.input(frame(US, THEM, 1, 0, ACK, b"abc", vlan=99), 1)
    s = tap.stats()
    names = ("packets", "not_ipv4", "not_tcp", "fragments", "malformed", "segments")
    assert [s[k] for k in names] == [6, 1, 1, 1, 2, 1]


@pytest.mark.parametrize("seed", range(80))
def test_the_same_octets_as_the_independent_reassembler(seed):
    """Each stream in order, every octet once: as one piece where nothing is missing."""
    packets = spoilt(seed)
    tap, got, streams = Tap(), {}, {}
    for ts, data in packets:
        for t in tap.input(data, ts):
            got[t.src] = got.get(t.src, b"") + t.text
        seg = oracle.segment_of(oracle.Packet(ts, 1, data, len(data)))
        streams.setdefault(seg.src, oracle.Stream(seg.src, seg.dst)).add(seg)
    for t in tap.finish():
        got[t.src] = got.get(t.src, b"") + t.text
    want = {f"{e[0]}:{e[1]}": b"".join(data for data, _ in s.stretches()) for e, s in streams.items()}
    assert got == {k: v for k, v in want.items() if v}
    assert tap.stats()["gaps"] == 0


def test_any_octets_are_counted_and_survived():
    rng = random.Random(41)
    tap = Tap(flows=8, memory=4 << 20)
    packets = [p for seed in range(6) for p in spoilt(seed, 5)]
    for n, (ts, data) in enumerate(packets * 3):
        data = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(min(len(data), 60))] = rng.randrange(256)
        del data[rng.choice((len(data), rng.randrange(1, len(data) + 1))):]
        tap.input(data, rng.choice((ts, n, START)), cut=rng.random() < 0.2)
    tap.finish()
    s = tap.stats()
    assert s["packets"] == len(packets) * 3 and s["memory"] <= 4 << 20
    assert s["packets"] == sum(s[k] for k in ("not_ipv4", "not_tcp", "fragments", "malformed", "segments"))


@pytest.mark.parametrize("wrong", [{"flows": 0}, {"flows": 2**25}, {"memory": 1000}])
def test_limits_that_cannot_be(wrong):
    with pytest.raises(ValueError, match="must be"):
        Tap(**wrong)


def test_pushes_and_acknowledgements_are_no_text():
    w = Wire()
    assert w.seg(PSH | ACK, at=0, text=b"abc") == b"abc" and w.acks(3) == b""


def test_one_text_larger_than_any_buffer_before_its_syn_goes_up():
    """A datagram whose length field is 0 (segmentation offload): its text is all that was captured."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, 6, 0, bytes([1, 1, 1, 1]), bytes([2, 2, 2, 2]))
    text = random.Random(1).randbytes(1_200_000)
    tap = Tap()
    got = []
    for seq, part in ((ISN, text), (ISN + len(text), b"more")):
        got += tap.input(head + struct.pack("!HHIIBBHHH", 1, 2, seq % 2**32, 0, 0x50, ACK, 100, 0, 0) + part, 1, link="ipv4")
    got += tap.finish()
    assert b"".join(t.text for t in got) == text + b"more" and tap.stats()["gaps"] == 0


def test_a_syn_in_the_middle_of_what_waits_is_another_connection():
    w = Wire(syn=False)
    w.seg(at=1000, text=b"a" * 100)
    w.seg(at=0, text=b"b" * 1000)
    assert w.seg(SYN, 500) == b"b" * 1000 + b"a" * 100 and w.end() == []
    assert w.gap_octets == 0 and w.flows == 2
