"""DPDK ports for real: EAL runs in this process (--no-huge where no hugepages are free), vdevs carry the frames.

EAL is once a process, so what ends it or starts it otherwise runs in a process of its own (test_device_dpdk_eal).
"""
import itertools
import struct

import pytest

import dpdk_py
from dpdk_py import BackendUnavailable, DpdkError

pytestmark = pytest.mark.dpdk

try:
    from dpdk_py.mbuf import Mempool
    from dpdk_py.port import DpdkDevice, Port
except ImportError as why:
    pytest.skip(f"the DPDK modules are not here: {why}", allow_module_level=True)

numbers = itertools.count(100)
FRAME = bytes(range(6)) + b"\x02\x00\x00\x00\x00\x09" + b"\x88\xb5" + bytes(range(200))


def vdev(driver, args=""):
    """A name no other test has: `net_null100,args`."""
    return f"{driver}{next(numbers)}" + (f",{args}" if args else "")


def pcap(path, frames, nanoseconds=False):
    """A capture of (seconds, fraction, octets), Ethernet."""
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xA1B23C4D if nanoseconds else 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for seconds, fraction, octets in frames:
            f.write(struct.pack("<IIII", seconds, fraction, len(octets), len(octets)) + octets)
    return path


def pools(device):
    return [pool.in_use for pool in device.port.pools]


# -- frames

def test_a_ring_carries_frames_round_unchanged():
    with dpdk_py.open_device("dpdk:" + vdev("net_ring")) as d:
        assert d.rx_burst() == []
        assert d.tx(FRAME) and d.tx(FRAME[:60])
        got = d.rx_burst()
        assert [(f.data, f.flags, f.ts_source) for f in got] == [(FRAME, 0, 0), (FRAME[:60], 0, 0)]
        s = d.stats()
        assert (s["tx_frames"], s["tx_octets"], s["rx_frames"], s["rx_octets"]) == (2, 274, 2, 274)
        assert pools(d) == [0]


def test_no_buffer_is_lost_after_many_bursts():
    with DpdkDevice(vdev("net_ring"), mbufs=511) as d:
        for _ in range(200):
            for _ in range(32):
                assert d.tx(FRAME)
            assert len(d.rx_burst(64)) == 32
        assert pools(d) == [0]
        pool = d.port.pools[0]
    with pytest.raises(DpdkError, match="the pool is closed"):
        _ = pool.in_use


def test_a_full_ring_refuses_and_counts_and_recovers():
    with DpdkDevice(vdev("net_ring"), mbufs=4095) as d:
        taken = sum(d.tx(FRAME) for _ in range(2000))
        assert 0 < taken < 2000
        assert d.stats()["tx_full"] == 2000 - taken
        assert sum(len(d.rx_burst(64)) for _ in range(40)) == taken
        assert d.tx(FRAME) and pools(d) == [1]


def test_an_empty_pool_is_counted_not_raised():
    with DpdkDevice(vdev("net_ring"), mbufs=63) as d:
        assert sum(d.tx(FRAME) for _ in range(100)) == 63
        assert d.stats()["alloc_failed"] == 37


def test_null_delivers_and_swallows():
    with DpdkDevice(vdev("net_null", "size=64")) as d:
        assert [len(f.data) for f in d.rx_burst(8)] == [64] * 8
        assert d.tx(FRAME)
        assert d.stats()["tx_frames"] == 1


@pytest.mark.parametrize("n, left", [(13, 0), (14, 1), (1514, 1), (1515, 0), (1518, 0), (2000, 0)])
def test_frames_that_cannot_leave_are_taken_and_counted(n, left):
    with DpdkDevice(vdev("net_ring")) as d:
        assert d.tx(bytes(n))
        assert (len(d.rx_burst()), d.stats()["tx_errors"]) == (left, 1 - left)
        assert pools(d) == [0]


def test_a_tag_may_exceed_the_mtu_by_four():
    with DpdkDevice(vdev("net_ring")) as d:
        assert d.tx(FRAME[:12] + b"\x81\x00\x00\x05" + bytes(1502))
        assert len(d.rx_burst()) == 1
        assert d.tx(FRAME[:12] + b"\x81\x00\x00\x05" + bytes(1503))
        assert d.stats()["tx_errors"] == 1
        with pytest.raises(ValueError, match="has room for"):
            d.tx(bytes(4000))


# -- chains of mbufs: net_pcap cuts what does not fit a buffer into segments

def test_a_jumbo_frame_in_five_segments_arrives_whole(tmp_path):
    lengths = 9014, 60, 4300, 9014
    frames = [FRAME[:14] + bytes((i * 7 + j) % 256 for j in range(n - 14)) for i, n in enumerate(lengths)]
    file = pcap(tmp_path / "jumbo.pcap", [(1, 2, octets) for octets in frames])
    with Port(vdev("net_pcap", f"rx_pcap={file}"), mtu=9000, room=2048) as port:
        packets = port.rx_burst()
        assert [p.segments for p in packets] == [5, 1, 3, 5]
        assert [bytes(p) for p in packets] == frames
        assert memoryview(packets[0]) == frames[0][:2048]
        del packets
    with DpdkDevice(vdev("net_pcap", f"rx_pcap={file}"), mtu=9000, room=2048) as d:
        assert [f.data for f in d.rx_burst()] == frames
        assert d.stats()["rx_multiseg"] == 0 and pools(d) == [0]


def test_many_chains_in_one_burst_and_again(tmp_path):
    frames = [FRAME[:14] + bytes([i]) * 5000 for i in range(200)]
    file = pcap(tmp_path / "chains.pcap", [(1, 2, octets) for octets in frames])
    with DpdkDevice(vdev("net_pcap", f"rx_pcap={file}"), mtu=9000, room=2048) as d:
        got = [f.data for _ in range(4) for f in d.rx_burst(64)]
        assert got == frames and pools(d) == [0]


def test_frames_above_the_mtu_are_dropped_by_name(tmp_path):
    file = pcap(tmp_path / "big.pcap", [(1, 2, FRAME), (1, 2, FRAME * 20), (1, 2, bytes(9000)), (1, 2, FRAME)])
    with DpdkDevice(vdev("net_pcap", f"rx_pcap={file}")) as d:
        assert [f.data for f in d.rx_burst()] == [FRAME, FRAME]
        assert d.stats()["rx_oversize"] == 2 and pools(d) == [0]


def test_receive_time_stamps_where_the_port_has_them(tmp_path):
    file = pcap(tmp_path / "stamps.pcap", [(1_600_000_000, 123_456, FRAME), (1_700_000_000, 999_999, FRAME)])
    with DpdkDevice(vdev("net_pcap", f"rx_pcap={file}"), timestamp=True) as d:
        assert [(f.ts_ns, f.ts_source) for f in d.rx_burst()] == [
            (1_600_000_000_123_456_000, 2), (1_700_000_000_999_999_000, 2)]
        assert d.caps & 8
    with pytest.raises(DpdkError, match="net_null has no receive time stamps"):
        DpdkDevice(vdev("net_null"), timestamp=True)


# -- ports

def test_what_a_port_tells_of_itself():
    with Port(vdev("net_ring"), rx_queues=2, tx_queues=2, rx_descriptors=256) as p:
        assert (p.driver, p.rx_queues, p.tx_queues, p.rx_descriptors, p.mtu) == ("net_ring", 2, 2, 256, 1500)
        assert p.link.up and p.link.full_duplex and p.link.mbps == 10000
        assert len(p.pools) == 2 and p.pools[0].room >= 1518
        assert p.offloads == {"rx": (), "tx": ()}
        assert {"rx_good_packets", "tx_q1_packets"} <= p.xstats().keys()
        assert p.stats()["ipackets"] == 0
        assert p.mac[0] == 2 and len(p.mac) == 6


def test_each_queue_pair_is_a_device_of_its_own():
    with Port(vdev("net_ring"), rx_queues=2, tx_queues=2) as port:
        one, two = DpdkDevice(port), DpdkDevice(port, queue=1)
        assert two.name.endswith("/1")
        two.tx(FRAME)
        assert one.rx_burst() == [] and len(two.rx_burst()) == 1
        with pytest.raises(ValueError, match="queue is 2, must be 0 to 1"):
            DpdkDevice(port, queue=2)
        with pytest.raises(TypeError, match="open already"):
            DpdkDevice(port, mtu=1400)
    assert one.closed and two.closed


def test_a_name_is_open_once_and_free_after_close():
    name = vdev("net_ring")
    first = DpdkDevice(name)
    with pytest.raises(DpdkError, match="open already in this process"):
        DpdkDevice(name)
    first.tx(FRAME)
    first.close()
    first.close()
    with pytest.raises(dpdk_py.DeviceError, match="closed"):
        first.rx_burst()
    with pytest.raises(DpdkError, match="the port is closed"):
        first.port.rx_burst()
    with DpdkDevice(name) as second:
        assert second.tx(FRAME)


def test_mtu_and_mac_are_the_ports_or_asked_for():
    with DpdkDevice(vdev("net_null"), mtu=9000, mac="02:aa:bb:cc:dd:ee") as d:
        assert d.mtu == 9000 and d.mac.hex() == "02aabbccddee"
        d.mtu = 1400
        assert d.mtu == 1400 and d.tx(bytes(1415)) and d.stats()["tx_errors"] == 1
        with pytest.raises(DpdkError, match="larger buffers.*open it with mtu=20000"):
            d.mtu = 20000
    with pytest.raises(ValueError, match="group address"):
        DpdkDevice(vdev("net_null"), mac="01:00:5e:00:00:01")


def test_multicast_list_or_else_all_of_it():
    with Port(vdev("net_ring")) as p:
        p.set_multicast(["01:00:5e:00:00:01"])
        assert p.multicast == (b"\x01\x00\x5e\x00\x00\x01",) and p.allmulticast
        with pytest.raises(ValueError, match="not a group address"):
            p.set_multicast(["02:00:5e:00:00:01"])
        p.set_multicast([])
        assert not p.allmulticast and p.multicast == ()


@pytest.mark.parametrize("spec, said", [
    ("net_nosuch0", "no driver of that name"),
    ("net_af_packet90,iface=nosuch0", "No such device; no such interface"),
    ("net_pcap90,rx_pcap=/nonexistent/x.pcap", "No such file or directory; the file cannot be opened"),
    ("net_null90,colour=red", "check the arguments behind its name"),
    ("0000:ff:1f.7", "EAL was initialised without PCI"),
])
def test_what_does_not_open_says_why_and_what_to_do(spec, said):
    with pytest.raises(DpdkError) as e:
        dpdk_py.open_device("dpdk:" + spec)
    assert said in str(e.value) and str(e.value).startswith(spec.partition(",")[0])


@pytest.mark.parametrize("options, said", [
    ({"rx_queues": 2000}, "rx_queues is 2000.*at most 16"), ({"rx_queues": 0}, "rx_queues is 0, must be 1"),
    ({"mtu": 70000}, "mtu is 70000"), ({"mbufs": -1}, "mbufs is -1"), ({"room": 10}, "room is 10"),
])
def test_options_out_of_range_are_refused_and_leave_nothing_open(options, said):
    name = vdev("net_ring")
    with pytest.raises(ValueError, match=said):
        Port(name, **options)
    Port(name).close()


def test_a_pool_larger_than_the_memory_is_a_clear_error():
    name = vdev("net_ring")
    with pytest.raises(DpdkError, match="no pool of 1000000 buffers.*fewer buffers"):
        Port(name, mbufs=1_000_000)
    Port(name).close()


# -- Mbufs from Python

def test_an_mbuf_is_owned_until_it_is_sent():
    with Port(vdev("net_ring")) as port:
        pool = port.pools[0]
        b = pool.alloc()
        b.append(FRAME[:100])
        with memoryview(b) as view:
            view[0] = 255
            for forbidden in (b.free, lambda: port.tx_burst([b]), lambda: setattr(b, "len", 5)):
                with pytest.raises(BufferError):
                    forbidden()
        assert port.tx_burst([b]) == 1
        with pytest.raises(ValueError, match="freed or sent"):
            _ = b.len
        (back,) = port.rx_burst()
        assert bytes(back) == b"\xff" + FRAME[1:100] and len(back) == 100
        assert pool.in_use == 1
        back.free()
        back.free()
        assert pool.in_use == 0


def test_length_follows_room_and_nothing_else():
    pool = Mempool(15, room=256)
    b = pool.alloc()
    assert (b.len, b.headroom, b.tailroom, b.segments) == (0, 128, 256, 1)
    b.append(bytes(256))
    with pytest.raises(ValueError, match="must be 0 to 256"):
        b.append(b"x")
    b.len = 3
    assert bytes(b) == bytes(3)
    with pytest.raises(DpdkError, match="1 of its buffers are still out"):
        pool.close()
    del b
    others = [pool.alloc() for _ in range(15)]
    assert None not in others and pool.alloc() is None and pool.available == 0
    others.clear()
    pool.close()
    pool.close()


def test_pools_are_named_and_their_limits_told():
    with pytest.raises(ValueError, match="room is 70000"):
        Mempool(15, room=70000)
    with pytest.raises(ValueError, match="n is 0"):
        Mempool(0)
    pool = Mempool(15, name="mine")
    with pytest.raises(DpdkError, match="a pool of that name exists"):
        Mempool(15, name="mine")
    pool.close()


def test_backends_lists_dpdk_as_there():
    (backend,) = (b for b in dpdk_py.backends() if b.name == "dpdk")
    assert backend.available
    assert issubclass(BackendUnavailable, dpdk_py.DeviceError)
