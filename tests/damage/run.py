"""One cell: the bridge, the peer and our stack started in their namespaces, their results put together and judged."""
import pathlib
import zlib

import compiled
import netns

from damage import cells, ends

MB = 1_000_000
LEAST_S = 60
LWIP = pathlib.Path("/usr/include/lwip/lwip/tcp.h")


def has_lwip():
    return LWIP.exists()


def make_link():
    """A BridgedLink with what every cell needs. The peer leaves checksums to a device, so the bridge must complete them."""
    compiled.module("damage_bridge")
    if has_lwip():
        compiled.module("lwip_face")
    link = netns.BridgedLink()
    link.peer.sh(f"ethtool -K peer0 tx on; ip neigh replace {netns.US_IP} lladdr {netns.US_MAC} dev peer0 nud permanent")
    return link


def run_cell(link, cell, octets, seed=None, timed=True, **options):
    """The outcome of one cell as a dict: wire, us, peer, refused of refusable (damaged frames not believed), faults.

    `octets` go each way at the same time, fewer from lwIP where it is slow (cells.octets_back).
    `seed` of everything random: else the cell's name. `options` are our TCP's.
    """
    peer, damage = cell.split("/")
    seed = zlib.crc32(cell.encode()) if seed is None else seed
    limit_s = max(LEAST_S, 5 * octets / MB)
    bridge = link.middle.start_call(ends.bridge, damage, seed, ready="carrying")
    end, address = (ends.lwip, ends.LWIP_IP) if peer == "lwip" else (ends.linux, netns.PEER_IP)
    back = cells.octets_back(cell, octets)
    other = link.peer.start_call(end, peer, back, seed, limit_s, ready="listening")
    ours = link.us.start_call(ends.us, address, octets, seed, limit_s, options)
    for process in (ours, other) if peer == "lwip" else (ours,):
        process.expect("done", limit_s + LEAST_S)
    # the kernel's end says nothing before its result: ours stays until then, the last ACK may be lost
    theirs, us = (netns.result_of(process, limit_s + LEAST_S) for process in (other, ours))
    refused = us["net"]["rx_frames"] - us["net"]["rx_l4"] - us["net"]["rx_arp"]
    refused += sum(us["counters"].get(name, 0) for name in ("rx_checksum", "rx_malformed"))
    wire = netns.result_of(bridge)
    if theirs["checksum_drops"] is None:        # this build of lwIP counts nothing
        refusable = wire["to_us"]["damaged"]
    else:
        refused += theirs["checksum_drops"]
        refusable = wire["damaged"]
    outcome = {"cell": cell, "octets": octets, "octets_back": back, "wire": wire, "us": us, "peer": theirs,
               "refused": refused, "refusable": refusable}
    outcome["faults"] = cells.faults(cell, outcome, timed)
    return outcome
