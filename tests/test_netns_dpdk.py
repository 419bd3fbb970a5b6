"""DPDK ports on kernel interfaces: net_af_packet over a veth pair, net_tap; each in a process in its own namespace."""
import os
import socket
import sys
import time

import netns
import pytest

pytestmark = [pytest.mark.dpdk, pytest.mark.netns]
pytest.importorskip("dpdk_py.port", reason="the DPDK modules are not here")

ETYPE = b"\x88\xb5"         # RFC 9542: local experiments
US = bytes.fromhex(netns.US_MAC.replace(":", ""))
PEER = bytes.fromhex(netns.PEER_MAC.replace(":", ""))


@pytest.fixture(scope="module")
def link():
    with netns.Link() as made:
        yield made


# -- what runs in the namespaces

def raw(ifname, etype=3):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(etype))
    s.bind((ifname, 0))
    s.settimeout(10)
    return s


def send_hex(ifname, *frames):
    s = raw(ifname, 0)
    for f in frames:
        s.send(bytes.fromhex(f))


def reflect(ifname, count):
    s = raw(ifname, 0x88B5)
    print("bound", flush=True)
    for _ in range(count):
        f = s.recv(2000)
        s.send(f[6:12] + f[:6] + f[12:])


def until(device, count, seconds=10):
    """Frames of our EtherType (or tagged) until `count` are there."""
    got, end = [], time.monotonic() + seconds
    while len(got) < count and time.monotonic() < end:
        got += [f for f in device.rx_burst(64) if f.data[12:14] in (ETYPE, b"\x81\x00", b"\x08\x00")]
    return got


def open_af_packet(**options):
    from dpdk_py import open_device
    return open_device("dpdk:net_af_packet0,iface=us0", **options)


def round_trips(count):
    with open_af_packet() as d:
        assert d.mac == US and d.mtu == 1500
        good = 0
        for i in range(count):
            text = i.to_bytes(4, "big") * (1 + i * 365 // count)
            assert d.tx(PEER + US + ETYPE + text.ljust(46, b"\0"))
            good += [f.data for f in until(d, 1)] == [US + PEER + ETYPE + text.ljust(46, b"\0")]
        in_use = d.port.pools[0].in_use
        return [good, in_use, d.stats(), d.port.pools[0].size]


def receive(count, options):
    with open_af_packet(**options) as d:
        print("open", flush=True)
        got = until(d, count)
        return [[f.data.hex() for f in got], [f.flags for f in got], [f.vlan_tci for f in got], d.stats()]


def promiscuity():
    """The interface's count of promiscuous users: IFF_PROMISC is bit 8 of its flags."""
    def on():
        with open("/sys/class/net/us0/flags") as f:
            return bool(int(f.read(), 16) & 0x100)
    seen = [on()]
    d = open_af_packet(promiscuous=True)
    seen += [on(), d.port.promiscuous]
    d.close()
    seen.append(on())
    open_af_packet(promiscuous=True)        # nobody keeps it: collected, so closed
    seen.append(on())
    d = open_af_packet(promiscuous=True)
    from dpdk_py import Eal
    Eal.current().cleanup()
    return seen + [on(), d.closed]


def refusal(options):
    from dpdk_py import DpdkError
    try:
        open_af_packet(**options)
    except DpdkError as e:
        return str(e)


def sends_while_down():
    with open_af_packet() as d:
        os.system("ip link set us0 down")
        for _ in range(300):
            d.tx(PEER + US + ETYPE + bytes(46))
        os.system("ip link set us0 up")
        return d.stats()


# -- net_af_packet

def test_frames_cross_both_ways_and_no_buffer_is_lost(link):
    mirror = link.peer.start_call(reflect, "peer0", 200, ready="bound")
    good, in_use, stats, size = link.us.call(round_trips, 200)
    assert good == 200 and stats["rx_frames"] >= 200 and stats["tx_frames"] == 200
    assert in_use < size / 2            # what the driver itself holds
    netns.result_of(mirror)


def test_frames_of_our_own_kernel_are_not_received(link):
    ours = link.us.start_call(receive, 1, {}, ready="open")
    link.us.call(send_hex, "us0", (PEER + US + ETYPE + b"own" + bytes(43)).hex())
    link.peer.call(send_hex, "peer0", (US + PEER + ETYPE + b"from peer" + bytes(37)).hex())
    got, flags, _, stats = netns.result_of(ours)
    assert len(got) == 1 and bytes.fromhex(got[0])[14:23] == b"from peer" and flags == [0]
    assert stats["rx_own"] == 1


def test_verify_false_vouches_for_the_peer(link):
    ours = link.us.start_call(receive, 1, {"verify": False}, ready="open")
    link.peer.call(send_hex, "peer0", (US + PEER + ETYPE + bytes(46)).hex())
    assert netns.result_of(ours)[1] == [4]          # FRAME_RX_L4_GOOD


@pytest.mark.parametrize("strip", [False, True])
def test_a_tag_stays_in_the_frame_or_goes_beside_it(link, strip):
    inner = b"\x08\x00" + b"\x45" + bytes(45)
    ours = link.us.start_call(receive, 1, {"vlan_strip": strip}, ready="open")
    link.peer.call(send_hex, "peer0", (US + PEER + b"\x81\x00\x20\x07" + inner).hex())
    got, flags, tci, _ = netns.result_of(ours)
    if strip:
        assert (got, flags, tci) == ([(US + PEER + inner).hex()], [16], [0x2007])
    else:
        assert (got, flags) == ([(US + PEER + b"\x81\x00\x20\x07" + inner).hex()], [0])


def test_promiscuous_mode_is_put_back_by_close_collection_and_cleanup(link):
    assert link.us.call(promiscuity) == [False, True, True, False, False, False, True]


def test_an_mtu_the_driver_cannot_is_refused_with_its_limit(link):
    assert "max frame size (1518)" in link.us.call(refusal, {"mtu": 9000})


def test_frames_cut_by_the_drivers_ring_are_dropped_by_name():
    with netns.Link(mtu=9000) as wide:
        ours = wide.us.start_call(receive, 1, {}, ready="open")
        wide.peer.call(send_hex, "peer0", *((US + PEER + ETYPE + bytes(n)).hex() for n in (5000, 46)))
        got, _, _, stats = netns.result_of(ours)
        assert len(got) == 1 and stats["rx_oversize"] == 1


def test_without_capabilities_the_remedy_names_them(link):
    source = ("import sys; sys.path.insert(0, 'tests'); import test_netns_dpdk as t; print(t.refusal({}))")
    out = link.us.run(["setpriv", "--bounding-set=-net_raw,-net_admin", "--inh-caps=-net_raw,-net_admin",
                       sys.executable, "-c", source], check=False)
    assert "CAP_NET_RAW" in out.stdout, out


def test_frames_sent_while_the_interface_is_down_are_lost_and_counted():
    with netns.Link() as link:
        assert link.us.call(sends_while_down)["tx_errors"] == 300
