"""DpdkDevice's four functions as the hot path calls them: who owns which buffer, in bursts, to the last one."""
import compiled
import pytest
from test_device_dpdk import FRAME, pcap, pools, vdev

from dpdk_py.eal import Eal
from dpdk_py.port import DpdkDevice

pytestmark = pytest.mark.dpdk
LONG = FRAME * 10


@pytest.fixture(scope="module")
def bursts():
    return compiled.module("burst_face").Bursts


def test_alloc_gives_aligned_frames_with_the_mtus_room(bursts):
    with DpdkDevice(vdev("net_ring")) as d:
        hands = bursts(d)
        assert hands.alloc(FRAME)
        at, n, room, flags = hands.field(0)
        assert (at, n, flags) == (10, len(FRAME), 0) and room >= 1518
        hands.free()
        assert pools(d) == [0]


def test_a_burst_is_taken_in_order_and_the_unsendable_between_are_lost(bursts):
    with DpdkDevice(vdev("net_ring")) as d:
        hands = bursts(d)
        for data in (FRAME, LONG[:1600], FRAME[:70], b"", FRAME[:80]):
            assert hands.alloc(data)
        assert hands.send() == 5 and hands.held == 0
        assert hands.rx() == 3
        assert [hands.data(i) for i in range(3)] == [FRAME, FRAME[:70], FRAME[:80]]
        assert d.stats()["tx_errors"] == 2 and d.stats()["tx_frames"] == 3
        hands.free()
        assert pools(d) == [0]


def test_what_a_full_queue_refuses_stays_the_callers(bursts):
    with DpdkDevice(vdev("net_ring")) as d:
        hands = bursts(d)
        sent = 0
        while True:
            for i in range(200):
                assert hands.alloc(FRAME[:100] + bytes([i]))
            taken = hands.send()
            sent += taken
            if taken < 200:
                break
        assert hands.held == 200 - taken == d.stats()["tx_full"]
        assert hands.data(0) == FRAME[:100] + bytes([taken])
        hands.free(hands.held - 1)
        assert pools(d) == [sent + 1]
        d.rx_burst()
        assert hands.send() == 1 and hands.held == 0


def test_lent_frames_outlive_the_next_burst_and_close(bursts):
    d = DpdkDevice(vdev("net_ring"))
    hands, pool = bursts(d), d.port.pools[0]
    for i in range(100):
        assert d.tx(FRAME[:100] + bytes([i]))
    assert hands.rx(512) == 64 and hands.rx(512) == 36
    d.close()
    assert [hands.data(i)[-1] for i in range(100)] == list(range(100))
    assert pool.in_use == 100
    assert hands.rx() == 0 and not hands.alloc()
    hands.free(60)
    assert hands.send() == 40                   # a closed device takes and loses
    assert pool.in_use == 0


def test_headroom_may_be_written(bursts):
    with DpdkDevice(vdev("net_ring")) as d:
        hands = bursts(d)
        hands.alloc(FRAME[4:])
        hands.push(0, FRAME[:4])
        assert hands.send() == 1 and d.rx_burst()[0].data == FRAME


def test_more_chains_in_hand_than_slots_are_dropped_by_name_and_come_back(bursts, tmp_path):
    frames = [FRAME[:14] + bytes([i]) * 5000 for i in range(120)]
    file = pcap(tmp_path / "chains.pcap", [(1, 2, octets) for octets in frames])
    with DpdkDevice(vdev("net_pcap", f"rx_pcap={file}"), mtu=9000, room=2048) as d:
        hands = bursts(d)
        assert hands.rx(40) == 40 and hands.rx(40) == 24
        assert d.stats()["rx_multiseg"] == 16
        assert [hands.data(i) for i in range(64)] == frames[:64]
        hands.free(3)
        assert hands.rx(40) == 3 and d.stats()["rx_multiseg"] == 16 + 37
        assert hands.data(63) == frames[82]
        hands.free()
        assert pools(d) == [0]


def test_nothing_else_lies_in_the_slack_behind_a_full_buffer(bursts, tmp_path):
    file = pcap(tmp_path / "full.pcap", [(1, 2, bytes(2048))] * 64)
    with DpdkDevice(vdev("net_pcap", f"rx_pcap={file}"), mtu=2034, room=2048, mbufs=127, rx_descriptors=64) as d:
        hands = bursts(d)
        assert hands.rx(64) == 64
        assert all(len(hands.data(i, slack=64)) == 2112 for i in range(64)) and d.port.pools[0].slack == 64
        hands.free()


def test_a_registered_thread_drives_the_device(bursts):
    import threading
    with DpdkDevice(vdev("net_ring")) as d:
        seen = []

        def drive():
            d.register_thread()
            hands = bursts(d)
            hands.alloc(FRAME)
            seen.append((hands.send(), hands.rx(), Eal.current().lcore))
            hands.free()
            Eal.current().unregister_thread()
        t = threading.Thread(target=drive)
        t.start()
        t.join()
        assert seen[0][:2] == (1, 1) and seen[0][2] not in (None, 0) and pools(d) == [0]
