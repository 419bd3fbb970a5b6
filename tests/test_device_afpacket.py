"""A kernel interface through packet(7): over a veth pair in namespaces, with the Linux kernel at the other end.

The functions above the tests run in the namespace of our end; what they return comes back as JSON.
"""
import os
import socket
import struct
import sys
import time

import netns
import pytest

from dpdk_py import AfPacketDevice, DeviceError, backends, open_device

pytestmark = pytest.mark.netns
FRAME_RX_L4_GOOD, FRAME_RX_VLAN, FRAME_RX_PARTIAL = 1 << 2, 1 << 4, 1 << 5      # device.pxd
US, PEER = netns.US_MAC, netns.PEER_MAC


@pytest.fixture(scope="module")
def link():
    with netns.Link() as made:
        yield made


@pytest.fixture(scope="module")
def offloading():
    with netns.Link(offloads=True) as made:
        yield made


def frames(device, wanted, seconds=10.0):
    """Frames for which `wanted(frame)` is true, until there are none for a moment after the first, or time is up."""
    got, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        burst = [f for f in device.rx_burst() if wanted(f)]
        got += burst
        if burst:
            deadline = min(deadline, time.monotonic() + 0.2)
    return got


# -- frames by hand: every function runs in a process of its own, which is ready sooner without scapy

def ether(src, dst, kind, payload=b""):
    return bytes.fromhex((dst + src).replace(":", "")) + struct.pack(">H", kind) + payload


def checksum(octets):
    total = sum(struct.unpack(f">{(len(octets) + 1) // 2}H", octets + bytes(len(octets) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ipv4(protocol, payload):
    ends = socket.inet_aton(netns.US_IP) + socket.inet_aton(netns.PEER_IP)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0) + ends
    return ether(US, PEER, 0x0800, head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload)


def arp(operation, dst, target):
    return ether(US, dst, 0x0806, struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + bytes.fromhex(US.replace(":", ""))
                 + socket.inet_aton(netns.US_IP) + target + socket.inet_aton(netns.PEER_IP))


def echo_request(text):
    octets = struct.pack(">BBHHH", 8, 0, 0, 7, 9) + text
    return ipv4(1, octets[:2] + struct.pack(">H", checksum(octets)) + octets[4:])


def tcp(flags, seq, ack, options=b""):
    octets = struct.pack(">HHIIBBHHH", 5555, 7777, seq, ack, (20 + len(options)) << 2, flags, 65535, 0, 0) + options
    pseudo = socket.inet_aton(netns.US_IP) + socket.inet_aton(netns.PEER_IP) + struct.pack(">HH", 6, len(octets))
    return ipv4(6, octets[:16] + struct.pack(">H", checksum(pseudo + octets)) + octets[18:])


def numbered(i, n=60):
    return ether(US, PEER, 0x88B5, i.to_bytes(4, "big") + bytes(n - 18))


# -- run at our end

def echoes(name):
    """Asks the kernel at the other end for its address and an ICMP echo, by hand."""
    with AfPacketDevice(name) as d:
        d.tx(arp(1, "ff:ff:ff:ff:ff:ff", bytes(6)))
        answer = frames(d, lambda f: f.data[12:14] == b"\x08\x06")[0]
        d.tx(arp(2, PEER, bytes.fromhex(PEER.replace(":", ""))))
        d.tx(echo_request(b"text"))
        pong = frames(d, lambda f: f.data[23:24] == b"\x01" and f.data[34] == 0)[0]
        now = time.time_ns()
        return [answer.data[22:28].hex(":"), pong.data[38:46].hex(), pong.ts_source, abs(now - pong.ts_ns) < 5e9,
                d.mtu, d.mac.hex(":"), d.stats(), d.link_up]


def own_frames(name):
    """Two sockets on one interface: what one sends the other must not receive."""
    with AfPacketDevice(name) as a, AfPacketDevice(name) as b:
        for i in range(10):
            assert a.tx(numbered(i))
        return [len(frames(b, lambda f: f.data[12:14] == b"\x88\xb5", 0.3)), b.stats()["rx_own"], a.stats()["tx_frames"]]


def own_frames_on_an_older_kernel(name):
    """The same where the kernel knows neither PACKET_IGNORE_OUTGOING nor PACKET_QDISC_BYPASS (which hides them too)."""
    import dpdk_py.afpacket
    dpdk_py.afpacket.PACKET_IGNORE_OUTGOING = dpdk_py.afpacket.PACKET_QDISC_BYPASS = 250
    return own_frames(name)


def receive(name, kind, options, seconds=10.0):
    """What arrives of EtherType `kind` (hex): [length, flags, vlan_tci, first octets], and the counters."""
    with AfPacketDevice(name, **options) as d:
        print("ready", flush=True)
        got = frames(d, lambda f: f.data[12:14].hex() == kind, seconds)
        return [[[len(f.data), f.flags, f.vlan_tci, f.data[:60].hex()] for f in got], d.stats(), d.advice]


def partial_udp(name):
    """One datagram from the kernel at the other end: its flags, and whether its checksum is only the pseudo-header's."""
    with AfPacketDevice(name) as d:
        print("ready", flush=True)
        f = frames(d, lambda f: f.data[23:24] == b"\x11" and f.data[36:38] == b"\x1f\x90")[0]
        text = f.data[34:14 + int.from_bytes(f.data[16:18], "big")]
        pseudo = f.data[26:34] + struct.pack(">HH", 17, len(text))
        return [f.flags, checksum(pseudo + text) == 0]


def ring_order(name):
    """A full ring, twice round: every frame once and in order, whatever the burst; the rest is missed and counted."""
    with AfPacketDevice(name, ring=16) as d:
        print("ready", flush=True)
        sys.stdin.readline()
        seen = []
        while True:
            burst = [f for f in d.rx_burst(5) if f.data[12:14] == b"\x88\xb5"]
            seen += [int.from_bytes(f.data[14:18], "big") for f in burst]
            if not burst:
                break
        return [seen, d.ring_frames, d.stats()["rx_missed"]]


def held(name):
    """A ring of which one frame is held: those behind it come, it comes not again, and freed it lets the ring go on."""
    import compiled
    face = compiled.module("device_face")

    def drain():
        n = others.n
        while others.receive(8):
            pass
        return others.n - n

    with AfPacketDevice(name, ring=16) as d:
        keep, others = face.Hand(d), face.Hand(d)
        print("ready", flush=True)
        while not keep.n:
            keep.receive(1)
        mine = keep.look()
        print("holding", flush=True)
        sys.stdin.readline()
        behind = drain()
        others.free()
        came_again = drain()
        unchanged = keep.look() == mine
        keep.free()
        print("freed", flush=True)
        sys.stdin.readline()
        after = drain()
        last = others.look()
        d.close()
        return [d.ring_frames, behind, came_again, unchanged, after, others.look() == last]


def refusals(name):
    """What the kernel does not send, and that no buffer is lost over it."""
    with AfPacketDevice(name, buffers=4) as d:
        counted = []
        for octets in (bytes(5), numbered(1, 1518), numbered(1, 1514)):
            assert d.tx(octets)
            counted.append([d.stats()["tx_errors"], d.tx_error])
        for i in range(100):
            d.tx(numbered(i))
        try:
            d.tx(bytes(1519))
            return None
        except ValueError as error:
            return [counted, d.free_buffers, str(error)]


def full_queue(name):
    """The queue of the interface is full, then it is not: [taken, counters, free buffers] each time. The socket does not
    bypass the queueing discipline here."""
    import dpdk_py.afpacket
    dpdk_py.afpacket.PACKET_QDISC_BYPASS = 250
    seen = []
    with AfPacketDevice(name, buffers=4) as d:
        for _ in range(2):
            taken = sum(d.tx(numbered(i, 1000)) for i in range(20))
            seen.append([taken, {k: v for k, v in d.stats().items() if k.startswith("tx_")}, d.free_buffers])
            print("tried", flush=True)
            sys.stdin.readline()
    return seen


def syn_through_a_full_queue(name):
    """A stack connects while the queue is full, and again steps at the same time when it is not."""
    import dpdk_py.afpacket
    from stack import Stack
    dpdk_py.afpacket.PACKET_QDISC_BYPASS = 250
    with AfPacketDevice(name) as d, Stack(d, f"{netns.US_IP}/24", seed=1, announce=False) as stack:
        stack.net.add_neighbor(netns.PEER_IP, PEER)
        for _ in range(100):
            d.tx(numbered(0))
        sent = d.stats()["tx_frames"]
        stack.connect(netns.PEER_IP, 7777, now_ns=0)
        seen = [[stack.counters()[k] for k in ("tx_syn", "refused_below", "segments_out")]]
        print("tried", flush=True)
        sys.stdin.readline()
        stack.step(0)
        k = stack.counters()
        return [*seen, [k["tx_syn"], k["segments_out"]], d.stats()["tx_frames"] - sent, d.stats()["tx_errors"]]


def carrier_lost(name):
    """Frames for a link whose other end is down."""
    with AfPacketDevice(name, buffers=4) as d:
        print("ready", flush=True)
        sys.stdin.readline()
        while d.link_up:
            pass
        taken = [d.tx(numbered(i)) for i in range(10)]
        return [taken, d.stats()["tx_errors"], d.stats()["tx_full"], d.tx_error, d.free_buffers]


def opening(name):
    """What is said when it cannot be opened."""
    said = []
    for spec in ("afpacket:nothing0", f"afpacket:{name}"):
        try:
            open_device(spec).close()
            said.append("opened")
        except DeviceError as error:
            said.append([error.errno, str(error)])
    return said


def without_the_capability(name):
    """As a user without CAP_NET_RAW."""
    import ctypes
    backends()              # everything is loaded while this interpreter's files may still be read
    libc = ctypes.CDLL(None)
    os.setgroups([])
    libc.prctl(8, 0)        # PR_SET_KEEPCAPS off
    libc.setresgid(65534, 65534, 65534)
    libc.setresuid(65534, 65534, 65534)
    try:
        AfPacketDevice(name)
        return None
    except DeviceError as error:
        return [str(error), [list(b) for b in backends() if b.name == "afpacket"]]


def closed(name):
    d = AfPacketDevice(name)
    d.close()
    d.close()
    fds = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        with AfPacketDevice(name):
            pass
        try:
            AfPacketDevice(name, multicast=["02:00:00:00:00:01"])
        except ValueError:
            pass
    try:
        d.link_up  # noqa: B018
    except DeviceError as error:
        return [str(error), len(os.listdir("/proc/self/fd")) - fds, d.stats()["rx_frames"] >= 0]


def promiscuity(name):
    """IFF_PROMISC as the kernel reports it, while and after a promiscuous device is open."""
    def count():
        return int(open(f"/sys/class/net/{name}/flags").read(), 16) >> 8 & 1
    with AfPacketDevice(name, promiscuous=True):
        during = count()
    return [during, count()]


def groups(name):
    """The interface's multicast list while addresses come and go."""
    def listed():
        return sorted(line.split()[-1] for line in open("/proc/net/dev_mcast") if line.split()[1] == name
                      and line.split()[-1].startswith("01005e7f"))
    with AfPacketDevice(name, multicast=["01:00:5e:7f:00:01"]) as d:
        seen = [listed()]
        d.set_multicast([bytes.fromhex("01005e7f0002"), "01:00:5e:7f:00:01"])
        seen.append(listed())
        d.set_multicast(["01:00:5e:7f:00:02"])
        seen.append(listed())
        try:
            d.set_multicast(["02:00:5e:7f:00:02"])
        except ValueError as error:
            seen.append(str(error))
    return [*seen, listed()]


def gso_receiver(name):
    """Connects to the kernel by hand and looks at how long the frames are that it sends."""
    import logging
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logging.getLogger("dpdk_py").addHandler(handler)
    with AfPacketDevice(name) as d:
        d.tx(tcp(0x02, 100, 0, struct.pack(">BBH", 2, 4, 1460)))
        answer = frames(d, lambda f: f.data[23:24] == b"\x06" and f.data[47] == 0x12)[0].data
        d.tx(tcp(0x10, 101, int.from_bytes(answer[38:42], "big") + 1))
        deadline = time.monotonic() + 10
        while not d.advice and time.monotonic() < deadline:
            d.rx_burst()
        stats = d.stats()
        d.stats()
        d.tx(tcp(0x04, 101, 0))
        return {"rx_oversize": stats["rx_oversize"], "advice": d.advice, "logged": len(records)}


# -- run at the peer's end

SOURCE = """
import socket
server = socket.create_server(("", 7777))
print("listening", flush=True)
connection, _ = server.accept()
connection.sendall(bytes(60000))
connection.recv(1)
"""


def send_raw(name, frames_hex):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((name, 0))
    for f in frames_hex:
        s.send(bytes.fromhex(f))


def send_tagged(name, tci):
    """A frame with a tag, which the receiving kernel takes off and keeps apart."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((name, 0))
    s.send(ether(PEER, US, 0x8100, tci.to_bytes(2, "big") + b"\x88\xb5" + bytes(60)))


def send_udp(address, n):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(n):
        s.sendto(b"x" * 100, (address, 8080))


# -- tests

def test_arp_and_echo_with_the_kernel(link):
    hw, text, source, near, mtu, mac, stats, up = link.us.call(echoes, link.us.ifname)
    assert (hw, text, source, near) == (PEER, struct.pack(">HH", 7, 9).hex() + b"text".hex(), 2, True)
    assert (mtu, mac, up) == (1500, US, True)
    assert stats["tx_frames"] == 3 and stats["rx_frames"] >= 2 and stats["rx_errors"] == stats["tx_errors"] == 0


def test_own_frames_do_not_come_back(link):
    assert link.us.call(own_frames, link.us.ifname) == [0, 0, 10]


def test_own_frames_are_told_by_their_type_on_an_older_kernel(link):
    received, own, sent = link.us.call(own_frames_on_an_older_kernel, link.us.ifname)
    assert received == 0 and own >= 10 and sent == 10


def conversation(link, function, *args, sends):
    """Starts `function` at our end, `sends(link)` once it listens, and gives its result."""
    p = link.us.start_call(function, link.us.ifname, *args, ready="ready")
    sends(link)
    return netns.result_of(p)


def test_whole_checksums_are_nobodys_word(link):
    assert conversation(link, partial_udp, sends=lambda x: (static_arp(x), x.peer.call(send_udp, netns.US_IP, 1))) == [
        0, True]


def static_arp(link):
    link.peer.sh(f"ip neigh replace {netns.US_IP} lladdr {US} dev {link.peer.ifname}")


def test_a_partial_checksum_is_marked(offloading):
    static_arp(offloading)
    flags, right = conversation(offloading, partial_udp, sends=lambda x: x.peer.call(send_udp, netns.US_IP, 1))
    assert flags == FRAME_RX_L4_GOOD | FRAME_RX_PARTIAL and not right


def test_frames_above_the_mtu_are_counted_and_the_cure_is_named(offloading):
    """The kernel's TCP hands 60,000 octets over in frames far longer than the MTU, once we have shaken hands."""
    source = offloading.peer.python("-c", SOURCE, ready="listening")
    static_arp(offloading)
    got = offloading.us.call(gso_receiver, offloading.us.ifname)
    source.kill()
    assert got["rx_oversize"] > 0 and "ethtool -K PEER tso off gso off" in got["advice"]
    assert "longer than the MTU 1500" in got["advice"] and got["logged"] == 1


def test_a_stripped_tag_is_given_apart(link):
    (got, _, _) = conversation(link, receive, "88b5", {}, sends=lambda x: x.peer.call(send_tagged, x.peer.ifname, 0x2064))
    assert [(n, flags, tci) for n, flags, tci, _ in got] == [(74, FRAME_RX_VLAN, 0x2064)]


def test_frames_for_others_come_only_to_a_promiscuous_device(link):
    other = ether(PEER, "02:99:99:99:99:99", 0x88B5, bytes(46)).hex()
    assert link.us.call(promiscuity, link.us.ifname) == [1, 0]
    got, _, _ = conversation(link, receive, "88b5", {"promiscuous": True},
                             sends=lambda x: x.peer.call(send_raw, x.peer.ifname, [other]))
    assert len(got) == 1 and got[0][3].startswith("029999999999")


def test_multicast_addresses_come_and_go(link):
    assert link.us.call(groups, link.us.ifname) == [
        ["01005e7f0001"], ["01005e7f0001", "01005e7f0002"], ["01005e7f0002"],
        "'02:00:5e:7f:00:02' is not a multicast address", []]


def test_a_full_ring_keeps_the_order_and_counts_what_it_missed(link):
    sent = [numbered(i).hex() for i in range(100)]
    p = link.us.start_call(ring_order, link.us.ifname, ready="ready")
    link.peer.call(send_raw, link.peer.ifname, sent)
    p.write("go\n")
    seen, slots, missed = netns.result_of(p)
    assert seen == list(range(len(seen))) and len(seen) == slots >= 16
    assert missed >= 100 - slots


def test_a_slot_that_is_lent_is_not_lent_again(link):
    def send(n):
        link.peer.call(send_raw, link.peer.ifname, [numbered(i).hex() for i in range(n)])
    p = link.us.start_call(held, link.us.ifname, ready="ready")
    send(1)
    p.expect("holding")
    send(100)
    p.write("go\n")
    p.expect("freed")
    send(5)
    p.write("go\n")
    slots, behind, came_again, unchanged, after, readable = netns.result_of(p)
    assert (behind, came_again, unchanged, after, readable) == (slots - 1, 0, True, 5, True)


def test_what_the_kernel_refuses_is_counted_with_its_reason(link):
    counted, free, too_long = link.us.call(refusals, link.us.ifname)
    assert counted == [[1, "Invalid argument"], [2, "Message too long"], [2, "Message too long"]]
    assert free == 4 and too_long == "a frame of 1519 octets, afpacket:us0 has room for 1518"


@pytest.fixture
def throttled(link):
    """Our end's queue takes three frames of 1,000 octets and passes on none."""
    link.us.sh(f"tc qdisc add dev {link.us.ifname} root tbf rate 8bit burst 1100 limit 3300")

    def free():
        link.us.sh(f"tc qdisc del dev {link.us.ifname} root", check=False)
    yield free
    free()


def test_a_full_queue_refuses_and_nothing_counts_as_sent(link, throttled):
    p = link.us.start_call(full_queue, link.us.ifname, ready="tried")
    throttled()
    p.write("go\n")
    p.expect("tried")
    p.write("go\n")
    (full, counted, free), (all_, after, _) = netns.result_of(p)
    assert 0 < full < 20 and free == 4
    assert counted == {"tx_frames": full, "tx_octets": 1000 * full, "tx_full": 20 - full, "tx_errors": 0}
    assert all_ == 20 and after["tx_frames"] == full + 20 and after["tx_errors"] == 0


def test_what_a_full_queue_refused_is_sent_at_the_next_step_not_after_a_timeout(link, throttled):
    p = link.us.start_call(syn_through_a_full_queue, link.us.ifname, ready="tried")
    throttled()
    p.write("go\n")
    assert netns.result_of(p) == [[0, 1, 0], [1, 1], 1, 0]


def test_without_a_carrier_frames_are_lost_and_counted(link):
    """As a full queue the kernel says ENOBUFS; but this may last, and what is lost has a timer in TCP."""
    p = link.us.start_call(carrier_lost, link.us.ifname, ready="ready")
    link.peer.sh(f"ip link set {link.peer.ifname} down")
    p.write("go\n")
    got = netns.result_of(p)
    link.peer.sh(f"ip link set {link.peer.ifname} up")
    assert got == [[True] * 10, 10, 0, "No buffer space available", 4]


def test_what_cannot_be_opened_says_what_there_is(link):
    nothing, there = link.us.call(opening, link.us.ifname)
    assert nothing[0] == 19 and "afpacket:nothing0: no such interface; there are lo, us0" in nothing[1]
    assert there == "opened"


def test_an_interface_that_is_down_says_so():
    with netns.Link() as own:
        own.us.sh("ip link set us0 down")
        assert own.us.call(opening, "us0")[1] == [100, "afpacket:us0: the interface is down; `ip link set us0 up`"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without the capability")
def test_without_the_capability_the_error_names_it(link):
    said, ((_, available, why, remedy),) = link.us.call(without_the_capability, link.us.ifname)
    assert "CAP_NET_RAW" in said and "Operation not permitted" in said
    assert not available and why and "CAP_NET_RAW" in remedy


def test_closing_twice_leaks_nothing(link):
    said, leaked, counted = link.us.call(closed, link.us.ifname)
    assert "the device is closed" in said and leaked == 0 and counted


def test_jumbo_frames_fit_where_the_mtu_allows_them():
    with netns.Link(mtu=9000) as own:
        big = numbered(7, 9014).hex()
        got, stats, _ = conversation(own, receive, "88b5", {}, sends=lambda x: x.peer.call(send_raw, x.peer.ifname, [big]))
        assert [n for n, *_ in got] == [9014] and stats["rx_oversize"] == stats["rx_errors"] == 0


def test_options_are_checked():
    for wrong in ({"ring": 0}, {"buffers": 0}):
        with pytest.raises(ValueError, match="must be"):
            AfPacketDevice("lo", **wrong)
