"""dpdk_py: frames. Every way a frame enters or leaves the process, behind one contract (device.pxd).

`open_device` opens one by name, `backends` tells which kinds exist here. Importing this package loads no compiled
module and no libdpdk: each kind is loaded when it is opened.
"""
from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any, NamedTuple

from dpdk_py.errors import BackendUnavailable, DeviceError, DpdkError, PcapError

if TYPE_CHECKING:
    from dpdk_py.afpacket import AfPacketDevice
    from dpdk_py.base import Device, Frame
    from dpdk_py.capture import PcapReader
    from dpdk_py.eal import Eal
    from dpdk_py.impair import Impairment
    from dpdk_py.pair import PairDevice
    from dpdk_py.pcap import PcapDevice, PcapWriter
    from dpdk_py.port import DpdkDevice
    from dpdk_py.recording import PcapngWriter

__all__ = [
    "AfPacketDevice", "Backend", "BackendUnavailable", "Device", "DeviceError", "DpdkDevice", "DpdkError", "Eal",
    "Frame", "Impairment", "PairDevice", "PcapDevice", "PcapError", "PcapReader", "PcapWriter", "PcapngWriter",
    "backends", "open_device",
]

_MODULE = {
    "AfPacketDevice": "afpacket", "Device": "base", "DpdkDevice": "port", "Eal": "eal", "Frame": "base",
    "Impairment": "impair", "PairDevice": "pair", "PcapDevice": "pcap", "PcapReader": "capture", "PcapWriter": "pcap",
    "PcapngWriter": "recording",
}

# what follows the colon, for the message when it is missing
_ARGUMENT = {"dpdk": "a PCI address or a vdev string", "afpacket": "an interface", "pcap": "a file", "pair": None}
_KIND = {"dpdk": "port", "afpacket": "afpacket", "pcap": "pcap", "pair": "pair"}


def __getattr__(name: str) -> Any:
    if name in _MODULE:
        return getattr(_load(_MODULE[name]), name)
    raise AttributeError(f"module 'dpdk_py' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


class Backend(NamedTuple):
    """One kind of device: whether it can be opened here, and if not `why` and the `remedy` (else both empty)."""

    name: str
    available: bool
    why: str
    remedy: str


def _load(module: str) -> Any:
    """The compiled module, or BackendUnavailable telling "not built" from "built but does not load"."""
    full = f"dpdk_py.{module}"
    kind = next((k for k, m in _KIND.items() if m == module), "dpdk" if module in ("eal", "mbuf") else module)
    try:
        return importlib.import_module(full)
    except ImportError as error:
        built = not (isinstance(error, ModuleNotFoundError) and error.name == full)
        if kind == "dpdk":
            remedy = ("install the libdpdk this was built against, or build again against the one installed" if built
                      else "apt-get install libdpdk-dev pkg-config, then build again (FIXWIRE_WITH_DPDK=1)")
            why = f"built, but does not load: {error}" if built else "this installation was built without libdpdk"
        else:
            remedy = "build again and read the compiler's messages"
            why = f"built, but does not load: {error}" if built else f"{full} was not built"
        raise BackendUnavailable(kind, why, remedy) from error


def backends() -> list[Backend]:
    """Every kind of device, in the order dpdk, afpacket, pcap, pair. Loads their modules to find out."""
    found = []
    for kind, module in _KIND.items():
        try:
            loaded = _load(module)
        except BackendUnavailable as error:
            found.append(Backend(kind, False, error.why, error.remedy or ""))
            continue
        why, remedy = loaded.unavailable() if hasattr(loaded, "unavailable") else ("", "")
        found.append(Backend(kind, not why, why, remedy))
    return found


def open_device(spec: str, **options: Any) -> Any:
    """Opens a device by name; a Device, or for "pair" a tuple of two.

    "dpdk:0000:3b:00.0"   a port by PCI address     "dpdk:net_ring0,..."   a DPDK vdev
    "afpacket:eth1"       a kernel interface        "pcap:FILE"            a capture, replayed
    "pair"                two ends in this process

    `options` go to the device (see DpdkDevice, AfPacketDevice, PcapDevice, pair). Raises ValueError for a spec that
    is none of these, BackendUnavailable where the kind cannot exist here, DeviceError where this one will not open.
    """
    kind, colon, argument = spec.partition(":")
    if kind not in _KIND:
        raise ValueError(f"device {spec!r} is none of dpdk:..., afpacket:..., pcap:..., pair")
    wanted = _ARGUMENT[kind]
    if wanted is None and colon:
        raise ValueError(f"device {spec!r}: {kind} takes no argument")
    if wanted is not None and not argument:
        raise ValueError(f"device {spec!r}: {kind}: must be followed by {wanted}")
    module = _load(_KIND[kind])
    if kind == "pair":
        return module.pair(**options)
    name = {"dpdk": "DpdkDevice", "afpacket": "AfPacketDevice", "pcap": "PcapDevice"}[kind]
    return getattr(module, name)(argument, **options)
