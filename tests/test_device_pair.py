"""Two ends of a cable: order, ownership, bounds, and what closing one end means to the other."""
import errno
import gc
import subprocess
import sys

import pytest

import dpdk_py
from dpdk_py import BackendUnavailable, DeviceError
from dpdk_py.pair import PairDevice, pair

FRAME_RX_L4_GOOD, FRAME_RX_PARTIAL, FRAME_TX_IP_CSUM, FRAME_TX_L4_CSUM = 1 << 2, 1 << 5, 1 << 8, 1 << 9     # device.pxd


def frame(n=60, fill=0x5A):
    return bytes.fromhex("020000000002020000000001") + b"\x88\xb5" + bytes([fill]) * (n - 14)


@pytest.fixture
def ends():
    a, b = pair(queue=8)
    yield a, b
    a.close()
    b.close()


def test_frames_arrive_once_in_order_and_only_at_the_other_end(ends):
    a, b = ends
    sent = [frame(60 + i, i) for i in range(5)]
    assert all(a.tx(f) for f in sent)
    assert a.rx_burst() == []
    assert [f.data for f in b.rx_burst(3)] == sent[:3]
    assert [f.data for f in b.rx_burst()] == sent[3:]
    assert b.rx_burst() == []


def test_both_directions_are_apart(ends):
    a, b = ends
    a.tx(frame(fill=1))
    b.tx(frame(fill=2))
    assert a.rx_burst()[0].data == frame(fill=2)
    assert b.rx_burst()[0].data == frame(fill=1)


def test_a_full_queue_refuses_and_the_frame_stays_the_callers(ends):
    a, b = ends
    assert [a.tx(frame()) for _ in range(9)] == [True] * 8 + [False]
    assert a.stats()["tx_full"] == 1 and a.stats()["tx_frames"] == 8
    assert a.free_buffers == a.buffers - 8          # the refused one came back
    assert len(b.rx_burst(64)) == 8
    assert a.tx(frame())


def test_no_buffer_is_lost_over_many_turns_of_the_ring(ends):
    a, b = ends
    for i in range(1000):
        for _ in range(i % 8 + 1):
            assert a.tx(frame(fill=i & 255))
        assert all(f.data[-1] == i & 255 for f in b.rx_burst(64))
    assert a.free_buffers == a.buffers and b.free_buffers == b.buffers
    assert a.stats()["alloc_failed"] == 0


def test_mtu_is_the_limit_with_four_octets_more_for_a_tag(ends):
    a, b = ends
    tagged = frame(1518)[:12] + b"\x81\x00" + bytes(1504)
    for data, arrives in ((frame(1514), True), (frame(1515), False), (tagged, True)):
        assert a.tx(data)
        assert bool(b.rx_burst()) == arrives
    assert a.stats()["tx_errors"] == 1
    with pytest.raises(ValueError, match="1519 octets, pair0 has room for 1518"):
        a.tx(frame(1519))
    assert a.free_buffers == a.buffers


def test_mtu_can_be_set_up_to_what_the_buffers_hold():
    a, b = pair(mtu=576, max_mtu=9000)
    a.tx(frame(1514))
    assert b.rx_burst() == [] and a.stats()["tx_errors"] == 1
    a.mtu = 9000
    a.tx(frame(9014))
    assert len(b.rx_burst()[0].data) == 9014
    for wrong in (9001, 67, 70000):
        with pytest.raises(ValueError, match=f"MTU is {wrong}"):
            a.mtu = wrong


@pytest.mark.parametrize("n", [0, 1, 13, 14, 59])
def test_a_runt_arrives_as_it_was_sent(ends, n):
    a, b = ends
    a.tx(frame(60)[:n])
    assert b.rx_burst()[0].data == frame(60)[:n]


def test_closing_one_end_is_a_link_down_at_the_other(ends):
    a, b = ends
    a.tx(frame(fill=7))
    b.tx(frame(fill=8))
    a.close()
    assert b.rx_burst()[0].data == frame(fill=7)    # it had left before
    assert b.tx(frame())                            # taken, and lost
    assert b.stats()["tx_errors"] == 1
    assert b.free_buffers == b.buffers              # with the one nobody will ever take
    with pytest.raises(DeviceError, match="pair0: the device is closed") as e:
        a.tx(frame())
    assert e.value.errno == errno.EBADF
    a.close()


def test_an_end_that_nobody_holds_any_more_takes_the_link_down():
    a, b = pair()
    del a
    assert b.tx(frame()) and b.stats()["tx_errors"] == 1


def test_offload_hands_the_frame_over_as_a_veth_does():
    a, b = pair(offload=True)
    assert a.caps & 2 and pair()[0].caps == 0
    a.tx(frame())
    assert b.rx_burst()[0].flags == 0               # nobody asked for a checksum: nobody vouches
    a.tx(frame(), flags=FRAME_TX_L4_CSUM)
    assert b.rx_burst()[0].flags == FRAME_RX_L4_GOOD | FRAME_RX_PARTIAL
    for device, flags in ((a, FRAME_TX_IP_CSUM), (a, 1), (pair()[0], FRAME_TX_L4_CSUM)):
        with pytest.raises(ValueError, match="does not do"):
            device.tx(frame(), flags=flags)


def test_statistics_count_both_sides(ends):
    a, b = ends
    for n in (60, 100):
        a.tx(frame(n))
    b.rx_burst()
    assert (a.stats()["tx_frames"], a.stats()["tx_octets"]) == (2, 160)
    assert (b.stats()["rx_frames"], b.stats()["rx_octets"]) == (2, 160)


def test_options_are_checked():
    with pytest.raises(ValueError, match="queue is 0"):
        pair(queue=0)
    with pytest.raises(ValueError, match="MTU is 9000 and max_mtu 1500"):
        pair(mtu=9000, max_mtu=1500)
    with pytest.raises(ValueError, match="MAC address 'nonsense' must be six octets"):
        pair(macs=("nonsense", None))
    with pytest.raises(TypeError, match="two ends"):
        PairDevice()


def test_open_device_by_name():
    a, b = dpdk_py.open_device("pair", macs=("02:aa:00:00:00:01", None))
    assert a.mac == bytes.fromhex("02aa00000001") and b.mac == bytes.fromhex("020000000002")
    for spec, why in (("pair:x", "takes no argument"), ("eth0", "is none of"), ("pcap:", "followed by a file"),
                      ("afpacket", "followed by an interface"), ("", "is none of")):
        with pytest.raises(ValueError, match=why):
            dpdk_py.open_device(spec)


def test_backends_tells_each_kind_and_the_remedy():
    found = {b.name: b for b in dpdk_py.backends()}
    assert list(found) == ["dpdk", "afpacket", "pcap", "pair"]
    assert found["pair"].available
    assert all(b.available or (b.why and b.remedy) for b in found.values())


def test_not_built_and_does_not_load_are_told_apart(monkeypatch):
    import importlib
    real = importlib.import_module

    def planted(error):
        def load(name, *args):
            if name == "dpdk_py.port":
                raise error
            return real(name, *args)
        return load
    monkeypatch.setattr(importlib, "import_module", planted(ModuleNotFoundError("no", name="dpdk_py.port")))
    with pytest.raises(BackendUnavailable, match="built without libdpdk.*libdpdk-dev"):
        dpdk_py.open_device("dpdk:net_null0")
    monkeypatch.setattr(importlib, "import_module", planted(ImportError("librte_ethdev.so.23: cannot open")))
    with pytest.raises(BackendUnavailable, match="does not load: librte_ethdev.so.23"):
        dpdk_py.open_device("dpdk:net_null0")
    assert not dpdk_py.backends()[0].available


def test_importing_the_package_loads_no_compiled_module():
    code = ("import sys, dpdk_py; assert not [m for m in sys.modules if m.startswith('dpdk_py.') and "
            "m != 'dpdk_py.errors'], sys.modules; dpdk_py.open_device('pair'); "
            "assert 'librte' not in open('/proc/self/maps').read()")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_the_python_face_refuses_what_it_cannot_send(ends):
    a, b = ends
    with pytest.raises(TypeError):
        a.tx("text")
    with pytest.raises(TypeError):
        a.tx(None)
    assert a.tx(bytearray(frame())) and a.tx(memoryview(frame())) and len(b.rx_burst()) == 2
    assert b.rx_burst(-3) == [] and b.rx_burst(0) == []


def test_an_end_in_a_cycle_of_garbage_is_let_go():
    """The collector cleared the end's link before the end wrote to it: make test-debug saw the write behind free()."""
    a, b = pair()
    holder = [a]
    holder.append(holder)
    del a, b, holder
    gc.collect()
