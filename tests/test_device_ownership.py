"""Who owns a frame when (dpdk_py/device.pxd), asked of every device that needs no hardware with the same questions."""
import pathlib
import subprocess
import sys

import compiled
import pytest

from dpdk_py import Impairment, PcapDevice, PcapngWriter, PcapWriter
from dpdk_py.pair import pair

face = compiled.module("device_face")
HERE = pathlib.Path(__file__).parent


def numbered(i, n=100):
    return i.to_bytes(4, "big") * (n // 4)


class Bench:
    """A device under test: `feed(n)` makes n frames wait for it, `got()` is what it sent, `home()` that none is lost."""

    def __init__(self, kind, folder):
        self.kind = kind
        self.a, self.b = pair(queue=64)
        self.fed = 0
        if kind == "pair":
            self.device = self.b
        elif kind == "impair":
            self.device = Impairment(self.b)
        elif kind == "delay":
            self.device = Impairment(self.b, delay_ns=1, queue=256)
        elif kind == "record":
            self.device = PcapWriter(self.b, folder / "out")
        else:
            with PcapngWriter(folder / "in") as w:
                for i in range(200):
                    w.write(numbered(i), i)
            self.device = PcapDevice(folder / "in")

    def feed(self, n):
        for _ in range(n):
            if self.kind != "pcap":
                assert self.a.tx(numbered(self.fed))
            self.fed += 1
        if self.kind == "delay":
            assert face.Hand(self.device).receive(64, 0) == 0
        return [numbered(i) for i in range(self.fed - n, self.fed)]

    def home(self):
        return (self.a.free_buffers, self.b.free_buffers) == (self.a.buffers, self.b.buffers)


@pytest.fixture(params=["pair", "impair", "delay", "record", "pcap"])
def bench(request, tmp_path):
    return Bench(request.param, tmp_path)


def test_a_lent_frame_stays_as_it_is_while_others_come_and_go(bench):
    hand, other = face.Hand(bench.device), face.Hand(bench.device)
    wanted = bench.feed(3)
    assert hand.receive(3, 5) == 3 and hand.look() == wanted
    for _ in range(10):
        bench.feed(4)
        other.receive(4, 5)
        other.free()
    assert hand.look() == wanted
    hand.free()
    assert bench.home()


def test_frames_are_freed_in_any_order(bench):
    hand = face.Hand(bench.device)
    wanted = bench.feed(6)
    hand.receive(6, 5)
    hand.free(4, 1, 3)
    assert hand.look() == [wanted[0], wanted[2], wanted[5]]
    hand.free(2, 0, 1)
    assert hand.n == 0 and bench.home()


def test_a_frame_from_alloc_is_empty_and_text_would_begin_a_cache_line(bench):
    hand = face.Hand(bench.device)
    for i in range(4):
        assert hand.alloc()
        got = hand.fields(i)
        assert got.pop("room") >= bench.device.mtu + 14
        assert got == {"len": 0, "flags": 0, "vlan_tci": 0, "ts_source": 0, "ts_ns": 0, "offset": face.HEADROOM}
    hand.free()
    assert bench.home()


def test_every_field_of_a_received_frame_is_set(bench):
    hand = face.Hand(bench.device)
    bench.feed(1)
    hand.receive(1, 5)
    got = hand.fields(0)
    del got["offset"]
    assert got == {"len": 100, "room": 100, "flags": 0, "vlan_tci": 0, "ts_ns": 0,
                   "ts_source": 2 if bench.kind == "pcap" else 0}
    hand.free()


def test_what_is_not_taken_stays_the_callers(bench):
    if bench.kind == "pcap":        # takes everything
        return
    if bench.kind == "delay":
        bench.device.set(delay_ns=0)
    hand = face.Hand(bench.device)
    for i in range(80):
        assert hand.alloc(numbered(i))
    taken = hand.send(5)
    assert 64 <= taken < 80 and hand.look() == [numbered(i) for i in range(taken, 80)]
    assert bench.device.stats()["tx_full"] == 80 - taken
    hand.free()
    peer = face.Hand(bench.a)
    peer.receive(100)
    bench.device.rx_burst(1, 5)
    peer.receive(100)
    assert peer.look() == [numbered(i) for i in range(taken)]
    peer.free()
    assert bench.home()


def test_no_buffer_is_a_counted_refusal_and_passes(bench):
    hand = face.Hand(bench.device)
    n = 0
    while hand.alloc():
        n += 1
    inner = bench.device if bench.kind in ("pair", "pcap") else bench.b
    assert n >= 64 and inner.stats()["alloc_failed"] == 1 and not bench.device.tx(b"x" * 60)
    hand.free(0)
    assert hand.alloc() and not hand.alloc()
    hand.free()
    assert bench.home()


def test_frames_held_across_the_end_stay_readable_and_go_home(bench):
    hand, unsent = face.Hand(bench.device), face.Hand(bench.device)
    wanted = bench.feed(5)
    hand.receive(5, 5)
    unsent.alloc(numbered(7))
    unsent.alloc(numbered(8))
    bench.device.close()
    assert hand.look() == wanted and hand.receive(5, 9) == 0 and not unsent.alloc()
    hand.free(0)
    hand.free()
    unsent.free(0)
    assert unsent.send() == 1, "a closed device takes and loses"
    assert bench.device.stats()["tx_errors"] == 1
    if bench.kind != "pair":        # a closed end keeps its own; there is nobody left to count them
        assert bench.home()


def test_a_held_capture_is_not_read_over(tmp_path):
    """The reader's buffer is 1 MiB: frames of four times that, some held, none overwritten."""
    with PcapngWriter(tmp_path / "f") as w:
        for i in range(3000):
            w.write(numbered(i, 1400), i)
    device, seen = PcapDevice(tmp_path / "f"), 0
    hand = face.Hand(device)
    while not device.done:
        while hand.receive(32):
            pass
        assert hand.look() == [numbered(seen + k, 1400) for k in range(hand.n)]
        seen += hand.n
        hand.free()
    assert seen == 3000


if face.DEBUG:
    @pytest.mark.parametrize("crime", ["hand.receive(1); hand.free_again(0); hand.free_again(0)",
                                       "hand.alloc(b'x'); hand.free_again(0); hand.send()",
                                       "hand.alloc(b'x'); hand.send(); hand.n or hand.free_again(0)"])
    def test_a_debug_build_ends_at_the_first_frame_given_away_twice(crime):
        code = ("import compiled; from dpdk_py.pair import pair; face = compiled.module('device_face'); a, b = pair(); "
                f"a.tx(b'x' * 60); hand = face.Hand(b); {crime}")
        done = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, timeout=300)
        assert done.returncode == -6 and "frame ownership: pair" in done.stderr
