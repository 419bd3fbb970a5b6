"""EAL's log, read for people: which lines say why a call failed, and what to do about it.

DPDK's return values mislead (22.11: no hugepages gives EACCES, most failed vdev probes EPERM, a second primary
process "Success"), its log does not. Patterns are of 22.11's messages; a line none of them knows is passed on as is.
"""
from __future__ import annotations

import re

# Lines every start prints, and what only repeats that something failed.
NOISE = re.compile(
    r"^(EAL: )?(Detected (CPU lcores|NUMA nodes|shared linkage|static linkage)|Multi-process socket|Selected IOVA mode"
    r"|No free \d+ kB hugepages|VFIO support|Using IOMMU|Failed to attach device on primary|Driver cannot attach"
    r"|Physical addresses are unavailable|Probe PCI driver|Failed to detach|TELEMETRY: No legacy callbacks"
    r"|No telemetry legacy support|WARNING: Main core has no memory|Ignoring duplicate)")
USAGE = re.compile(r"^(Usage:|EAL common options:|EAL options|EAL Linux options:|\s+-|\s{10,}|\s*$)")

REMEDIES = (
    (r"Cannot get hugepage information|No available \d+ kB hugepages|free hugepages",
     "reserve hugepages (echo 256 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages) or use --no-huge"),
    (r"Cannot allocate memory|Cannot init memory|not enough memory|Requested (?:device|memory)",
     "give EAL more memory (-m MB), reserve more hugepages, or make the pools smaller (mbufs=...)"),
    (r"SIOCGIFINDEX|No such device", "no such interface in this network namespace: see `ip link`"),
    (r"Could not open AF_PACKET|AF_PACKET.*not permitted|could not bind AF_PACKET",
     "needs root, or CAP_NET_RAW and CAP_NET_ADMIN: setcap cap_net_raw,cap_net_admin+ep on the interpreter"),
    (r"/dev/net/tun", "needs root or CAP_NET_ADMIN, and the tun module (modprobe tun)"),
    (r"failed to parse device|Cannot find device|failed to find driver",
     "no driver of that name: a vdev begins with its driver's name (net_null, net_ring, net_pcap, net_af_packet, "
     "net_tap); Debian has each driver in a package librte-net-...23"),
    (r"Unknown parameter|[Ii]nvalid key|[Ee]rror parsing|invalid parameter|unknown argument",
     "the driver does not know one of the arguments behind the vdev's name"),
    (r"Couldn't open|couldn't open", "the file cannot be opened: does it exist and may you read it?"),
    (r"Cannot create lock|already locked|Is another primary process running",
     "another process owns this file prefix: give one of them --file-prefix NAME, or let fixwire choose the arguments"),
    (r"VFIO group is not viable|not bound to|Requested device .* cannot be used",
     "bind the port to vfio-pci with dpdk-devbind.py and turn the IOMMU on (docs/deploy.md)"),
    (r"lcore .* (unavailable|not found|is out of range)|invalid (core|lcore)|Invalid lcore",
     "the CPU does not exist or is not in this process's affinity: see `taskset -p $$`"),
)


def reasons(text: str, most: int = 3) -> list[str]:
    """The last `most` lines of `text` that say something about a failure, prefixes and repetitions taken out."""
    out: list[str] = []
    for line in text.splitlines():
        line = line.rstrip()
        if not line or USAGE.match(line) or NOISE.match(line):
            continue
        line = re.sub(r"^EAL: |^[a-z_]+\(\): ", "", line).strip()
        if line and line not in out:
            out.append(line)
    return out[-most:]


def remedy(text: str) -> str | None:
    """What to do about the failure `text` tells of, or None."""
    for pattern, what in REMEDIES:
        if re.search(pattern, text):
            return what
    return None
