"""Our stack and the Linux kernel's over a veth pair: ARP and ping, on every device that can carry it."""
import re
import select
import sys
import time

import netns
import pytest

import dpdk_py

DEVICES = [pytest.param("afpacket:us0", id="afpacket"),
           pytest.param("dpdk:net_af_packet0,iface=us0", id="dpdk", marks=pytest.mark.dpdk)]
pytestmark = pytest.mark.netns
HAVE = {b.name: b for b in dpdk_py.backends()}
US = f"{netns.US_IP}/{netns.PREFIX}"


@pytest.fixture(scope="module")
def link():
    with netns.Link() as made:
        yield made


@pytest.fixture(params=DEVICES)
def device(request):
    backend = HAVE[request.param.partition(":")[0]]
    if not backend.available:
        pytest.skip(f"{backend.name}: {backend.why}")
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
    out = link.peer.run(["ping", "-n", "-w", "10", *options, netns.US_IP], check=False).stdout
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
