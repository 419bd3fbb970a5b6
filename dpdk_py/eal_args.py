"""EAL's argument vector: what a user asks for, what the machine has, and what contradicts what.

rte_eal_init can be tried once a process, and a failed try cannot be repeated (DPDK 22.11), so everything that can be
judged beforehand is judged here, in plain Python, without libdpdk.
"""
from __future__ import annotations

import difflib
import os
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

# DPDK Programmer's Guide, "EAL parameters". True: takes a value.
OPTIONS = {
    "-c": True, "-l": True, "--lcores": True, "--main-lcore": True, "-s": True, "-S": True, "--service-corelist": True,
    "-a": True, "--allow": True, "-b": True, "--block": True, "-d": True, "--no-pci": False, "--vdev": True,
    "-m": True, "-n": True, "-r": True, "--socket-mem": True, "--socket-limit": True, "--huge-dir": True,
    "--huge-unlink": False, "--no-huge": False, "--in-memory": False, "--legacy-mem": False, "--iova-mode": True,
    "--single-file-segments": False, "--match-allocations": False, "--huge-worker-stack": True, "--file-prefix": True,
    "--proc-type": True, "--no-shconf": False, "--base-virtaddr": True, "--log-level": True, "--log-color": True,
    "--syslog": True, "--trace": True, "--trace-dir": True, "--trace-bufsz": True, "--trace-mode": True,
    "--no-telemetry": False, "--telemetry": False, "--vfio-intr": True, "--vfio-vf-token": True,
    "--force-max-simd-bitwidth": True, "--mbuf-pool-ops-name": True, "--no-hpet": False, "--vmware-tsc-map": False,
    "--create-uio-dev": False, "-v": False,
}
REFUSED = {
    "-h": "it prints and exits", "--help": "it prints and exits",
    "--vdev": "a vdev that fails there fails in silence; name it in open_device(\"dpdk:...\")",
    "--no-hpet": "nothing here uses the HPET",
}
ONE_OF = (("-c", "-l", "--lcores"), ("--no-huge", "--in-memory"), ("--no-huge", "--huge-dir"),
          ("--no-huge", "--huge-unlink"), ("--in-memory", "--legacy-mem"), ("--in-memory", "--huge-dir"),
          ("-a", "-b"), ("-m", "--socket-mem"), ("--telemetry", "--no-telemetry"))
SAME = {"--allow": "-a", "--block": "-b", "--service-corelist": "-S"}
WITH_OPTIONAL_VALUE = {"--huge-unlink", "--huge-worker-stack", "--log-color", "--syslog"}

NO_HUGE_MB = 512        # address space of a --no-huge process; touched only as pools are made
HUGE_NEED_MB = 128      # below this the free hugepages cannot hold two ports' pools
PCI = re.compile(r"^(?:([0-9a-fA-F]{4,8}):)?([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])$")


def free_hugepages_mb(root: str = "/sys/kernel/mm/hugepages") -> int:
    """MB of hugepages that nobody uses or has reserved, of every size; 0 where the kernel has none."""
    total = 0
    for pool in pathlib.Path(root).glob("hugepages-*kB"):
        try:
            size_kb = int(pool.name[len("hugepages-"):-len("kB")])
            free = int((pool / "free_hugepages").read_text()) - int((pool / "resv_hugepages").read_text())
        except (OSError, ValueError):
            continue
        total += max(0, free) * size_kb // 1024
    return total


def pci_address(text: str) -> str | None:
    """`text` as the full address DPDK names ports by (0000:3b:00.0), or None if it is no PCI address."""
    m = PCI.match(text)
    return f"{m[1] or '0000'}:{m[2]}:{m[3]}.{m[4]}".lower() if m else None


def split(args: Iterable[str]) -> list[tuple[str, str | None]]:
    """(option, value) pairs of a user's arguments. ValueError for an option EAL has not, with the nearest it has."""
    out: list[tuple[str, str | None]] = []
    items = list(args)
    for arg in items:
        if not isinstance(arg, str):
            raise ValueError(f"EAL argument {arg!r} is no string")
    i = 0
    while i < len(items):
        arg = items[i]
        i += 1
        name, eq, value = arg.partition("=")
        given: str | None = value if eq else None
        if len(arg) > 2 and arg[0] == "-" and arg[1] != "-" and arg[:2] in OPTIONS:     # -l0-1
            name, given = arg[:2], arg[2:].removeprefix("=")
        if name in REFUSED:
            raise ValueError(f"EAL argument {name} is refused: {REFUSED[name]}")
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, 1)
            raise ValueError(f"EAL has no argument {arg!r}" + (f"; did you mean {near[0]}?" if near else ""))
        if OPTIONS[name] and given is None and name not in WITH_OPTIONAL_VALUE:
            if i == len(items) or items[i].startswith("-"):
                raise ValueError(f"EAL argument {name} needs a value")
            given = items[i]
            i += 1
        elif not OPTIONS[name] and given is not None and name not in WITH_OPTIONAL_VALUE:
            raise ValueError(f"EAL argument {name} takes no value, has {given!r}")
        out.append((SAME.get(name, name), given))
    return out


def build(user: Sequence[str] = (), *, free_mb: int, hugepages: bool | None = None, pci: Sequence[str] = (),
          cpu: int = 0) -> list[str]:
    """The vector for rte_eal_init, without argv[0].

    `user` is kept as given. Added where the user said nothing: memory (hugepages if `free_mb` suffices or `hugepages`
    is True, else --no-huge), one lcore on `cpu`, no telemetry, PCI devices only those in `pci`. ValueError names the
    contradiction. Memory is private to the process in every case: nothing stays in /dev/hugepages or /var/run.
    """
    pairs = split(user)
    has = {name for name, _ in pairs}
    values = {name: value for name, value in pairs}
    for group in ONE_OF:
        both = [name for name in group if name in has]
        if len(both) > 1:
            raise ValueError(f"EAL arguments {' and '.join(both)} contradict each other")
    if values.get("--proc-type", "primary") not in ("primary", "auto"):
        raise ValueError(f"--proc-type {values['--proc-type']}: only a primary process can own a port here")
    if "--no-pci" in has and pci:
        raise ValueError(f"--no-pci contradicts the PCI port {pci[0]}")
    if "--no-huge" in has and hugepages:
        raise ValueError("--no-huge contradicts hugepages=True")
    if hugepages is False and has & {"--in-memory", "--huge-dir", "--single-file-segments", "--socket-mem"}:
        raise ValueError("hugepages=False contradicts " + ", ".join(
            sorted(has & {"--in-memory", "--huge-dir", "--single-file-segments", "--socket-mem"})))
    allowed = [pci_address(v.partition(",")[0]) for n, v in pairs if n == "-a" and v]
    for address in pci:
        if allowed and address not in allowed:
            raise ValueError(f"the port {address} is not among those allowed by -a")

    out = [part for name, value in pairs for part in _spelled(name, value)]
    want_huge = hugepages
    if "--no-huge" in has:
        want_huge = False
    elif want_huge is None:
        explicit = has & {"--in-memory", "--huge-dir", "--single-file-segments", "--socket-mem"}
        want_huge = bool(explicit) or free_mb >= _need_mb(values)
    if want_huge and free_mb == 0:
        raise ValueError("hugepages are asked for and none is free; reserve some: "
                         "echo 256 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages, or hugepages=False")
    if want_huge:
        if not has & {"--in-memory", "--huge-dir", "--file-prefix", "--legacy-mem", "--no-shconf"}:
            out.append("--in-memory")
    else:
        # --in-memory is refused together with --no-huge; --no-shconf alone leaves no files either.
        out += [flag for flag in ("--no-huge", "--no-shconf") if flag not in has]
        if "-m" not in has:
            out += ["-m", str(NO_HUGE_MB)]
    if not has & {"-c", "-l", "--lcores"}:
        out.append(f"--lcores=0@{cpu}")
    if not has & {"--telemetry", "--no-telemetry"}:
        out.append("--no-telemetry")
    if pci:
        if not has & {"-a", "-b"}:
            out += [part for address in pci for part in ("-a", address)]
    elif not has & {"--no-pci", "-a", "-b"}:
        out.append("--no-pci")
    return out


def _need_mb(values: dict[str, str | None]) -> int:
    try:
        return int(values.get("-m") or HUGE_NEED_MB)
    except ValueError:
        raise ValueError(f"EAL argument -m is {values['-m']!r}, must be a number of MB") from None


def _spelled(name: str, value: str | None) -> list[str]:
    if value is None:
        return [name]
    return [f"{name}={value}"] if name.startswith("--") else [name, value]


def wants_runtime_dir(environ: Mapping[str, str]) -> bool:
    """Whether EAL would complain of /var/run: XDG_RUNTIME_DIR is not set and /var/run is not ours to write."""
    return not environ.get("XDG_RUNTIME_DIR") and not os.access("/var/run", os.W_OK)
