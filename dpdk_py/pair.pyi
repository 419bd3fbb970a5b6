from collections.abc import Sequence

from dpdk_py.base import Device

class PairLink:
    def __init__(self, queue: int, mtu: int, max_mtu: int, offload: bool) -> None: ...

class PairDevice(Device):
    @property
    def pending(self) -> int: ...
    @property
    def free_buffers(self) -> int: ...
    @property
    def buffers(self) -> int: ...

def pair(
    *,
    mtu: int = 1500,
    queue: int = 1024,
    max_mtu: int | None = None,
    offload: bool = False,
    macs: Sequence[bytes | str | None] = ...,
    names: Sequence[str] = ...,
) -> tuple[PairDevice, PairDevice]: ...
