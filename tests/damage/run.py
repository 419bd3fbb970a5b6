"""One cell: the bridge, the peer and our stack started in their namespaces, their results put together and judged."""
import zlib

import compiled
import netns

from damage import cells, ends

MB = 1_000_000
LEAST_S = 60


def make_link():
    """A BridgedLink with what every cell needs. The peer leaves checksums to a device, so the bridge must complete them."""
    compiled.module("damage_bridge")
    link = netns.BridgedLink()
    link.peer.sh(f"ethtool -K peer0 tx on; ip neigh replace {netns.US_IP} lladdr {netns.US_MAC} dev peer0 nud permanent")
    return link


def run_cell(link, cell, octets, seed=None, timed=True, **options):
    """The outcome of one cell as a dict: wire, us, peer, refused (damaged frames a checksum caught), faults.

    `octets` go each way at the same time. `seed` of everything random: else the cell's name. `options` are our TCP's.
    """
    peer, damage = cell.split("/")
    seed = zlib.crc32(cell.encode()) if seed is None else seed
    limit_s = max(LEAST_S, 5 * octets / MB)
    bridge = link.middle.start_call(ends.bridge, damage, seed, ready="carrying")
    other = link.peer.start_call(ends.linux, peer, octets, seed, limit_s, ready="listening")
    ours = link.us.start_call(ends.us, octets, seed, limit_s, options)
    us, theirs = (netns.result_of(process, limit_s + LEAST_S) for process in (ours, other))
    refused = sum(us["counters"].get(name, 0) for name in ("rx_checksum", "rx_malformed"))
    refused += us["net"]["rx_ipv4_checksum"] + us["net"]["rx_ipv4_malformed"] + theirs["checksum_drops"]
    outcome = {"cell": cell, "octets": octets, "wire": netns.result_of(bridge), "us": us, "peer": theirs, "refused": refused}
    outcome["faults"] = cells.faults(cell, outcome, timed)
    return outcome
