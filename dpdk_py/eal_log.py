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
REMEDIES = (
    (r"Cannot get hugepage information|No available \d+ kB hugepages|free hugepages",
     "reserve hugepages (echo 256 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages) or use --no-huge"),
    (r"Cannot allocate memory|Cannot init memory|not enough memory|Requested (?:device|memory)",
     "fit what is asked (-m MB, mbufs=...) to the memory there is, or reserve more hugepages"),
    (r"SIOCGIFINDEX|No such device", "no such interface in this network namespace: see `ip link`"),
    (r"Could not open AF_PACKET|AF_PACKET.*not permitted|could not bind AF_PACKET",
     "needs root, or CAP_NET_RAW and CAP_NET_ADMIN: setcap cap_net_raw,cap_net_admin+ep on the interpreter"),
    (r"/dev/net/tun", "needs root or CAP_NET_ADMIN, and the tun module (modprobe tun)"),
    (r"lcore .* (unavailable|not found|is out of range)|Cannot exceed RTE_MAX_LCORE",
     "the CPU does not exist or is not in this process's affinity: see `taskset -p $$`"),
    (r"invalid parameters? for --|invalid channel number|coremask|core list syntax",
     "an EAL argument is malformed: DPDK's \"EAL parameters\" page has its form"),
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
)


def without_usage(text: str) -> str:
    """`text` without the option list EAL prints on bad arguments: from "Usage:" to its next log line."""
    out, usage = [], False
    for line in text.splitlines():
        usage = line.startswith("Usage:") or usage and not line.startswith("EAL: ")
        if not usage:
            out.append(line)
    return "\n".join(out)


def reasons(text: str, most: int = 3) -> list[str]:
    """The last `most` lines of `text` that say something about a failure, prefixes and repetitions taken out."""
    out: list[str] = []
    for line in without_usage(text).splitlines():
        if NOISE.match(line):
            continue
        line = re.sub(r"^EAL: (FATAL: )?|^[a-z_]+\(\): ", "", line).strip().rstrip(".")
        if line and line not in out:
            out.append(line)
    return out[-most:]


def remedy(text: str) -> str | None:
    """What to do about the failure `text` tells of, or None."""
    text = without_usage(text)
    for pattern, what in REMEDIES:
        if re.search(pattern, text):
            return what
    return None
