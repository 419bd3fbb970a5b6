"""A bad network: how often, in which order, at what time, and that no buffer is lost over it."""
import pytest
from scapy.all import ICMP, IP, TCP, UDP, Dot1Q, Ether, raw

from dpdk_py import DeviceError, Impairment, PcapWriter
from dpdk_py.pair import pair

FRAME_RX_L4_GOOD, FRAME_RX_PARTIAL, FRAME_TX_L4_CSUM = 1 << 2, 1 << 5, 1 << 9      # device.pxd
MS = 1_000_000


def numbered(i, n=64):
    return bytes(12) + b"\x88\xb5" + i.to_bytes(4, "big") + bytes(n - 18)


def numbers(frames):
    return [int.from_bytes(f.data[14:18], "big") for f in frames]


class Network:
    """A pair with an impairment around its second end; `whole` says that every buffer came home."""

    def __init__(self, side="rx", queue=1024, **settings):
        self.a, self.b = pair(queue=4096)
        self.bad = Impairment(self.b, side=side, queue=queue, **settings)

    def send(self, frames, now=0, step=0):
        got = []
        for i, f in enumerate(frames):
            assert self.a.tx(f)
            got += self.bad.rx_burst(64, now + i * step)
        return got

    def rest(self, now=1 << 60):
        got = []
        while self.b.pending or self.bad.waiting:
            got += self.bad.rx_burst(64, now)
            now += MS
        return got

    def whole(self):
        return (self.a.free_buffers, self.b.free_buffers) == (self.a.buffers, self.b.buffers)


# -- frequencies over a fixed seed: 20,000 frames, five standard deviations either side

@pytest.mark.parametrize("side", ["rx", "tx"])
@pytest.mark.parametrize("setting, count", [("loss", "lost"), ("duplicate", "doubled"), ("corrupt", "damaged"),
                                            ("reorder", "moved")])
@pytest.mark.parametrize("p", [0.01, 0.3])
def test_each_happens_as_often_as_it_should(side, setting, count, p):
    n = 20_000
    net = Network(side, seed=7, **{setting: p})
    got = []
    for i in range(n):
        if side == "rx":
            net.a.tx(numbered(i))
            got += net.bad.rx_burst(64, i * MS)
        else:
            net.bad.tx(numbered(i), i * MS)
            got += net.a.rx_burst(64)
    if side == "rx":
        got += net.rest()
    else:
        net.bad.rx_burst(1, 1 << 60)
        got += net.a.rx_burst(64)
    counts = net.bad.counts(side)
    assert abs(counts[count] - n * p) < 5 * (n * p * (1 - p)) ** 0.5
    assert counts["seen"] == n and counts["overflow"] == 0
    assert all(counts[other] == 0 for other in ("lost", "doubled", "damaged", "moved") if other != count)
    assert len(got) == n + counts["doubled"] - counts["lost"]
    del got
    assert net.whole() and net.bad.waiting == 0


def test_probability_one_is_always_and_zero_is_never():
    net = Network(loss=1.0)
    assert net.send([numbered(i) for i in range(100)]) == [] and net.bad.counts()["lost"] == 100
    net.bad.set(loss=0.0)
    assert numbers(net.send([numbered(i) for i in range(100)])) == list(range(100))


def test_the_same_seed_gives_the_same_network_and_another_another():
    def run(seed):
        net = Network(seed=seed, loss=0.2, duplicate=0.2, reorder=0.2, corrupt=0.2, jitter_ns=5)
        return [f.data for f in net.send([numbered(i) for i in range(200)], step=3) + net.rest()]
    assert run(1) == run(1) != run(2)


def test_changing_one_setting_does_not_move_the_others():
    def lost(**more):
        net = Network(seed=3, loss=0.2, **more)
        return set(range(200)) - set(numbers(net.send([numbered(i) for i in range(200)]) + net.rest()))
    assert lost() == lost(delay_ns=10, jitter_ns=7) == lost(duplicate=0.5) == lost(reorder=0.5)


def test_the_two_sides_draw_apart():
    net = Network("both", seed=1, loss=0.5)
    inbound = set(numbers(net.send([numbered(i) for i in range(64)])))
    for i in range(64):
        net.bad.tx(numbered(i))
    assert inbound != set(numbers(net.a.rx_burst(64)))
    assert net.bad.counts()["lost"] == net.bad.counts("rx")["lost"] + net.bad.counts("tx")["lost"]


@pytest.mark.parametrize("side", ["rx", "tx"])
def test_the_side_not_named_is_left_alone(side):
    net = Network("tx" if side == "rx" else "rx", loss=1.0)
    if side == "rx":
        assert numbers(net.send([numbered(1)])) == [1]
    else:
        net.bad.tx(numbered(1))
        assert numbers(net.a.rx_burst()) == [1]
    with pytest.raises(ValueError, match=f"does not impair {side}"):
        net.bad.set(side=side, loss=0.5)


# -- time

def test_a_delay_is_exact_on_the_receive_side():
    net = Network(delay_ns=10 * MS)
    assert net.send([numbered(0)], now=MS) == []
    assert net.bad.deadline_ns == 11 * MS
    assert net.bad.rx_burst(64, 11 * MS - 1) == []
    assert numbers(net.bad.rx_burst(64, 11 * MS)) == [0]
    assert net.bad.deadline_ns is None and net.bad.counts()["delayed"] == 1


def test_a_delay_is_exact_on_the_transmit_side_and_leaves_with_the_next_poll():
    net = Network("tx", delay_ns=10 * MS)
    assert net.bad.tx(numbered(0), MS) and net.bad.deadline_ns == 11 * MS
    net.bad.rx_burst(1, 11 * MS - 1)
    assert net.a.rx_burst() == []
    net.bad.rx_burst(1, 11 * MS)
    assert numbers(net.a.rx_burst()) == [0]


def test_a_constant_delay_keeps_the_order():
    net = Network(delay_ns=MS)
    sent = [numbered(i) for i in range(500)]
    assert numbers(net.send(sent, step=10) + net.rest()) == list(range(500))


def test_jitter_stays_within_its_bounds_and_reorders():
    net = Network(delay_ns=5 * MS, jitter_ns=2 * MS)
    came = {}
    for now in range(0, 30 * MS, MS // 10):
        if now < 20 * MS:
            net.a.tx(numbered(now))
        came.update((n, now) for n in numbers(net.bad.rx_burst(64, now)))
    waits = [came[n] - n for n in came]
    assert len(came) == 200 and 5 * MS <= min(waits) < 5.2 * MS and 6.9 * MS < max(waits) <= 7.1 * MS
    assert list(came) != sorted(came)


def test_the_rate_spaces_frames_by_their_length():
    net = Network(rate_bps=8_000_000)       # an octet every microsecond
    assert net.send([numbered(0, 100), numbered(1, 200)], now=MS) == []
    assert net.bad.rx_burst(64, MS + 99_999) == []
    assert numbers(net.bad.rx_burst(64, MS + 100_000)) == [0]
    assert net.bad.rx_burst(64, MS + 299_999) == []
    assert numbers(net.bad.rx_burst(64, MS + 300_000)) == [1]
    assert net.send([numbered(2, 100)], now=5 * MS) == [] and net.bad.deadline_ns == 5 * MS + 100_000


def test_a_full_queue_loses_the_last_and_counts():
    net = Network(queue=4, rate_bps=8_000_000)
    net.send([numbered(i) for i in range(10)])
    assert net.bad.counts()["overflow"] == 6
    assert numbers(net.rest()) == [0, 1, 2, 3] and net.whole()


# -- order

def test_a_moved_frame_is_overtaken_by_at_most_the_gap():
    net = Network(seed=1, reorder=0.2, reorder_gap=3)
    order = numbers(net.send([numbered(i) for i in range(1000)]) + net.rest())
    assert sorted(order) == list(range(1000))
    late = [i for k, i in enumerate(order) if any(j > i for j in order[:k])]
    assert len(late) == pytest.approx(net.bad.counts()["moved"], abs=12)     # one behind another moved one is not late
    assert all(1 <= sum(j > i for j in order[:order.index(i)]) for i in late)
    assert max(sum(j > i for j in order[:order.index(i)]) for i in late) <= 3 + 3


def test_a_moved_frame_that_nothing_overtakes_goes_after_reorder_ns():
    net = Network(reorder=1.0, reorder_ns=5 * MS)
    assert net.send([numbered(0)], now=MS) == []
    assert net.bad.rx_burst(64, 6 * MS - 1) == [] and net.bad.deadline_ns == 6 * MS
    assert numbers(net.bad.rx_burst(64, 6 * MS)) == [0]


def test_a_double_follows_its_frame_and_both_are_whole():
    net = Network(duplicate=1.0)
    assert numbers(net.send([numbered(0), numbered(1)])) == [0, 0, 1, 1]
    assert net.bad.counts()["doubled"] == 2


@pytest.mark.parametrize("burst", [1, 2, 3, 5, 64])
def test_a_small_burst_loses_nothing_and_keeps_the_order(burst):
    net = Network(duplicate=1.0)
    for i in range(40):
        net.a.tx(numbered(i))
    got = []
    for _ in range(200):
        got += numbers(net.bad.rx_burst(burst))
    assert got == [i for i in range(40) for _ in (0, 1)] and net.whole()


# -- damage

def test_damage_is_one_bit_and_the_double_is_not_touched():
    net = Network(seed=5, corrupt=1.0, duplicate=1.0)
    sent = numbered(7, 300)
    for _ in range(50):
        damaged, double = (f.data for f in net.send([sent]))
        assert (int.from_bytes(damaged, "big") ^ int.from_bytes(sent, "big")).bit_count() == 1
        assert double == sent


def partial(layers):
    """The frame with only the pseudo-header's sum in its checksum field, as a sender leaves it to a device."""
    whole = Ether(raw(layers))
    l4 = whole[TCP] if TCP in whole else whole[UDP]
    ip, text = whole[IP], raw(l4)
    pseudo = bytes(map(int, ip.src.split("."))) + bytes(map(int, ip.dst.split("."))) + bytes([0, ip.proto])
    pseudo += len(text).to_bytes(2, "big")
    total = sum(int.from_bytes(pseudo[i:i + 2], "big") for i in range(0, 12, 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    octets = bytearray(raw(whole))
    at = len(octets) - len(text) + (16 if TCP in whole else 6)
    octets[at:at + 2] = total.to_bytes(2, "big")
    return bytes(octets), raw(whole)


TCP_TEXT = IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=2, seq=2**32 - 1) / b"8=FIX.4.4\x019=5\x01"
LINK = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


@pytest.mark.parametrize("side", ["rx", "tx"])
@pytest.mark.parametrize("layers", [
    LINK / TCP_TEXT, LINK / Dot1Q(vlan=5) / TCP_TEXT, LINK / Dot1Q(vlan=5) / Dot1Q(vlan=6) / TCP_TEXT,
    LINK / IP(src="10.0.0.1", dst="10.0.0.2", options=b"\x01" * 4) / UDP(sport=1, dport=2) / b"odd"])
def test_a_partial_checksum_is_completed_before_the_damage(side, layers):
    sent, whole = partial(layers)
    a, b = pair(offload=True)
    bad = Impairment(a if side == "tx" else b, side=side, seed=1, corrupt=1.0)
    for _ in range(30):
        (bad if side == "tx" else a).tx(sent, flags=FRAME_TX_L4_CSUM)
        got = (b if side == "tx" else bad).rx_burst()[0]
        assert (int.from_bytes(got.data, "big") ^ int.from_bytes(whole, "big")).bit_count() == 1
        assert got.flags == 0       # nobody vouches any more


def test_a_partial_checksum_of_an_undamaged_frame_stays_as_it_is():
    sent, _ = partial(LINK / TCP_TEXT)
    a, b = pair(offload=True)
    bad = Impairment(b, delay_ns=5)
    a.tx(sent, flags=FRAME_TX_L4_CSUM)
    assert bad.rx_burst(8, 0) == []
    got = bad.rx_burst(8, 5)[0]
    assert got.data == sent and got.flags == FRAME_RX_L4_GOOD | FRAME_RX_PARTIAL


@pytest.mark.parametrize("octets", [
    b"", bytes(13), bytes(14), LINK.build()[:12] + b"\x81\x00" * 8, raw(LINK / IP() / ICMP()),
    raw(LINK / TCP_TEXT)[:40], raw(LINK / TCP_TEXT)[:14] + b"\x4f" + raw(LINK / TCP_TEXT)[15:],
    LINK.build()[:12] + b"\x86\xdd" + bytes([0x60] + [0] * 3 + [0, 9, 6] + [0] * 40)])
def test_damage_to_what_is_no_tcp_does_no_harm(octets):
    a, b = pair(offload=True)
    bad = Impairment(b, corrupt=1.0)
    a.tx(octets, flags=FRAME_TX_L4_CSUM)
    assert len(bad.rx_burst()[0].data) == len(octets)


# -- link, settings, backpressure, lifetime

def test_the_link_can_be_cut_and_mended():
    net = Network("both", delay_ns=MS)
    net.send([numbered(0)])
    net.bad.tx(numbered(1), 0)
    net.bad.up = False
    assert net.bad.waiting == 0
    assert net.send([numbered(2)], now=MS) == []
    assert net.bad.tx(numbered(3), MS) and net.bad.rx_burst(8, 9 * MS) == [] and net.a.rx_burst() == []
    assert net.bad.counts()["down"] == 4
    net.bad.up = True
    net.send([numbered(4)], now=10 * MS)
    assert numbers(net.bad.rx_burst(8, 11 * MS)) == [4] and net.whole()


def test_settings_are_read_back_and_wrong_ones_change_nothing():
    bad = Network("both", loss=0.25, delay_ns=5).bad
    for wrong, why in (({"loss": 1.5}, "loss is 1.5, must be 0 to 1"), ({"loss": -0.1}, "loss is -0.1"),
                       ({"delay_ns": -1}, "delay_ns is -1, must be a whole number"),
                       ({"reorder_gap": 0}, "reorder_gap is 0"), ({"jitter_ns": 0.5}, "jitter_ns is 0.5"),
                       ({"rate_bps": 1 << 63}, "rate_bps is"), ({"loss": float("nan")}, "loss is nan")):
        with pytest.raises(ValueError, match=why):
            bad.set(duplicate=0.5, **wrong)
    with pytest.raises(TypeError, match="no setting 'losss'"):
        bad.set(losss=0.1)
    assert bad.settings()["loss"] == 0.25 and bad.settings()["duplicate"] == 0 and bad.settings("tx")["delay_ns"] == 5
    bad.set(side="tx", loss=0.5)
    assert (bad.settings("rx")["loss"], bad.settings("tx")["loss"]) == (0.25, 0.5)


def test_construction_is_checked():
    a, _ = pair()
    for wrong, why in (({"side": "up"}, "side is 'up'"), ({"queue": 0}, "queue is 0"), ({"loss": 2}, "loss is 2")):
        with pytest.raises(ValueError, match=why):
            Impairment(a, **wrong)
    with pytest.raises(TypeError):
        Impairment(None)


def test_a_full_inner_device_is_seen_by_the_sender():
    a, b = pair(queue=4)
    bad = Impairment(a, side="tx")
    assert [bad.tx(numbered(i)) for i in range(8)] == [True] * 5 + [False] * 3     # one waits here, then it is refused
    assert bad.stats()["tx_full"] == 3
    assert numbers(b.rx_burst(64)) == [0, 1, 2, 3]
    assert bad.tx(numbered(9))
    assert numbers(b.rx_burst(64)) == [4, 9]
    assert a.free_buffers == a.buffers


def test_delayed_frames_wait_for_room_in_the_inner_device():
    a, b = pair(queue=2)
    bad = Impairment(a, side="tx", delay_ns=1)
    for i in range(6):
        assert bad.tx(numbered(i), 0)
    got = []
    for _ in range(6):
        bad.rx_burst(1, 5)
        got += numbers(b.rx_burst(64))
    assert got == list(range(6)) and a.free_buffers == a.buffers


def test_one_can_stand_around_another_and_be_recorded(tmp_path):
    a, b = pair()
    with PcapWriter(Impairment(Impairment(b, side="rx", delay_ns=5), side="tx", loss=1.0), tmp_path / "f") as d:
        a.tx(numbered(1))
        assert d.rx_burst(8, 0) == [] and numbers(d.rx_burst(8, 5)) == [1]
        assert d.tx(numbered(2)) and a.rx_burst() == []
        assert d.recorded == 2


def test_closing_loses_what_waits_and_leaves_the_inner_device_open():
    net = Network(delay_ns=5)
    net.send([numbered(0)])
    net.bad.close()
    with pytest.raises(DeviceError, match="impaired pair1: the device is closed"):
        net.bad.rx_burst()
    assert net.b.tx(numbered(1)) and numbers(net.a.rx_burst()) == [1] and net.whole()


def test_the_mtu_goes_through_to_the_inner_device():
    a, _ = pair(mtu=1500)
    bad = Impairment(a)
    bad.mtu = 1000
    assert (a.mtu, bad.mtu) == (1000, 1000)
    with pytest.raises(ValueError, match="made for 1500"):
        bad.mtu = 1501


def test_everything_at_once_loses_no_buffer_and_ends_empty():
    net = Network("both", seed=11, queue=64, loss=0.1, duplicate=0.2, reorder=0.2, corrupt=0.2, jitter_ns=300,
                  rate_bps=10**10)
    arrived = 0
    for i in range(5000):
        net.a.tx(numbered(i))
        net.bad.tx(numbered(i), i * 50)
        arrived += len(net.bad.rx_burst(i % 5, i * 50)) + len(net.a.rx_burst(64))
    arrived += len(net.rest()) + len(net.a.rx_burst(64))
    counts = net.bad.counts()
    assert arrived == counts["seen"] - counts["lost"] + counts["doubled"] - counts["overflow"]
    assert net.whole() and net.bad.waiting == 0
