"""Our stack and the Linux kernel's over a veth pair: ARP and ping, on every device that can carry it."""
import concurrent.futures
import contextlib
import random
import re
import select
import signal
import socket
import sys
import time

import netns
import pytest

import dpdk_py

DEVICES = [pytest.param("afpacket:us0", id="afpacket"),
           pytest.param("dpdk:net_af_packet0,iface=us0", id="dpdk", marks=pytest.mark.dpdk)]
pytestmark = pytest.mark.netns
MODULE = {"afpacket": "dpdk_py.afpacket", "dpdk": "dpdk_py.port"}
US = f"{netns.US_IP}/{netns.PREFIX}"


@pytest.fixture(scope="module")
def link():
    with netns.Link() as made:
        yield made


@pytest.fixture(params=DEVICES)
def device(request):
    # Not backends(): what this user may not do here it may in the namespace.
    pytest.importorskip(MODULE[request.param.partition(":")[0]], exc_type=ImportError)
    return request.param


# -- what runs in our namespace

def asked_to_stop():
    """The test closed our standard input."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def answer(device, address):
    """ARP and ICMP until told to stop; counters of interface and device."""
    from stack.netif import Netif
    with dpdk_py.open_device(device) as d:
        nif = Netif(d, address, seed=1)
        print("up", flush=True)
        while not asked_to_stop():
            for _ in range(200):
                now = time.monotonic_ns()
                nif.burst(now)
                nif.poll(now)
        return [nif.stats(), d.stats(), list(nif.neighbors())]


# -- ARP and ICMP

def ping(link, *options):
    out = link.peer.run(["ping", "-n", "-W", "10", *options, netns.US_IP], check=False).stdout
    found = re.search(r"(\d+) packets transmitted, (\d+) received", out)
    assert found, out
    return int(found[1]), int(found[2])


def test_the_kernel_resolves_us_and_our_echoes_come_back(link, device):
    link.peer.run(["ip", "neigh", "flush", "dev", "peer0"])
    ours = link.us.start_call(answer, device, US, ready="up")
    assert ping(link, "-c", "20", "-i", "0.005") == (20, 20)
    assert ping(link, "-c", "5", "-i", "0.005", "-s", "1472", "-M", "do", "-p", "a5") == (5, 5)
    neighbors = link.peer.run(["ip", "neigh", "show", "dev", "peer0"]).stdout
    assert f"{netns.US_IP} lladdr {netns.US_MAC}" in neighbors
    nif, dev, known = netns.result_of(ours)
    assert dev["tx_frames"] >= 26 and dev["tx_errors"] == 0 and netns.PEER_IP in known


# -- TCP: what runs in our namespace

def connect_and_echo(device, total, seed):
    """Our client to the kernel's echo server: `total` octets there and back, then FIN. What we saw."""
    from stack import Stack
    text = random.Random(seed).randbytes(total)
    end = time.monotonic() + 30
    with dpdk_py.open_device(device) as d, Stack(d, US, clock=time.monotonic_ns) as stack:
        conn = stack.connect(netns.PEER_IP, 7)
        back, sent, events = bytearray(), 0, []
        while "closed" not in events and time.monotonic() < end:
            stack.step()
            events += conn.events()
            if "connected" in events and sent < total:
                sent += conn.send(text[sent:sent + 20000])
                if sent == total:
                    conn.shutdown()
            back += conn.recv()
            if conn.eof and conn.state == "CLOSE-WAIT":
                conn.close()
            if conn.state == "TIME-WAIT":
                break
        return [events, back == text, conn.state, d.stats()]


def connect_to_nobody(device):
    from stack import Stack
    end = time.monotonic() + 20
    with dpdk_py.open_device(device) as d, Stack(d, US, clock=time.monotonic_ns) as stack:
        conn = stack.connect(netns.PEER_IP, 9)
        events = []
        while "closed" not in events and time.monotonic() < end:
            stack.step()
            events += conn.events()
        return events


# -- and in the kernel's

def kernel_echo(connections):
    s = socket.create_server((netns.PEER_IP, 7))
    s.settimeout(20)
    print("listening", flush=True)
    for _ in range(connections):
        c, _ = s.accept()
        c.settimeout(20)
        while data := c.recv(65536):
            c.sendall(data)
        c.close()


def kernel_client(address, total, chunk, seed):
    """Send `total` octets in writes of `chunk`, read them back meanwhile, half-close, read to the end."""
    text = random.Random(seed).randbytes(total)
    c = socket.create_connection((address, 7), timeout=20)
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    back, sent = bytearray(), 0
    while len(back) < total:
        readable, writable, _ = select.select([c], [c] if sent < total else [], [], 20)
        if not readable and not writable:
            break
        if writable:
            sent += c.send(text[sent:sent + chunk])
        if readable:
            data = c.recv(65536)
            if not data:
                break
            back += data
    c.shutdown(socket.SHUT_WR)
    end = c.recv(100)
    return back == text and end == b""


def kernel_clients(address, count, total):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda seed: kernel_client(address, total, 997, seed), range(count)))


def kernel_ping_pong(address, count):
    c = socket.create_connection((address, 7), timeout=20)
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for i in range(count):
        c.sendall(b"%08d" % i)
        if c.recv(8, socket.MSG_WAITALL) != b"%08d" % i:
            return i
    return count


def kernel_refused(address, port):
    try:
        socket.create_connection((address, port), timeout=10)
    except ConnectionRefusedError:
        return True


@contextlib.contextmanager
def echo(namespace, device, address, *options):
    """examples/echo.py in a namespace; it ends by SIGTERM, cleanly."""
    server = namespace.python("examples/echo.py", "--device", device, "--address", address, "--stats", *options,
                              ready="echo on")
    yield server
    server.signal(signal.SIGTERM)
    server.finish()


# -- TCP

def test_the_kernel_connects_to_us(link, device):
    with echo(link.us, device, US) as server:
        assert link.peer.call(kernel_client, netns.US_IP, 1_000_000, 65536, 1)
        assert link.peer.call(kernel_client, netns.US_IP, 20_000, 100, 2)
        assert link.peer.call(kernel_refused, netns.US_IP, 8)
    assert "'rx_own'" not in server.text("stderr")


def test_many_connections_of_the_kernels_at_once(link, device):
    with echo(link.us, device, US):
        assert link.peer.call(kernel_clients, netns.US_IP, 16, 50_000) == [True] * 16


def test_we_connect_to_the_kernel(link, device):
    server = link.peer.start_call(kernel_echo, 1, ready="listening")
    events, whole, state, stats = link.us.call(connect_and_echo, device, 500_000, 3)
    assert events[0] == "connected" and "peer_closed" in events and "reset" not in events
    assert whole and state in ("TIME-WAIT", "CLOSED") and stats["tx_errors"] == 0
    netns.result_of(server)


def test_where_nobody_listens_the_kernel_refuses_us(link, device):
    assert link.us.call(connect_to_nobody, device) == ["refused", "closed"]


def test_partial_checksums_of_a_peer_on_this_host(device):
    """The kernel's default on veth: only the pseudo-header is summed. afpacket is told so, net_af_packet is not."""
    options = ["--no-verify"] if device.startswith("dpdk") else []
    with netns.Link(offloads=True) as link, echo(link.us, device, US, *options):
        assert link.peer.call(kernel_ping_pong, netns.US_IP, 200) == 200


@pytest.mark.dpdk
def test_tcp_over_a_tap_with_the_ports_checksum_offloads(link):
    pytest.importorskip(MODULE["dpdk"], exc_type=ImportError)
    with echo(link.us, "dpdk:net_tap0,iface=tap0", "10.78.0.2/24") as server:
        link.us.sh("ip addr add 10.78.0.1/24 dev tap0; ip link set tap0 up")
        assert link.us.call(kernel_client, "10.78.0.2", 200_000, 65536, 4)
        assert link.us.call(kernel_ping_pong, "10.78.0.2", 100) == 100
    assert "tx_errors" not in server.text("stderr")
