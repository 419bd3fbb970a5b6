from collections.abc import Sequence
from typing import Self

from typing_extensions import disjoint_base

from dpdk_py.base import Device

@disjoint_base
class PairLink:
    def __new__(cls, queue: int, mtu: int, max_mtu: int, offload: bool) -> Self: ...

@disjoint_base
class PairDevice(Device):
    def __init__(self, *args: object, **kwargs: object) -> None: ...
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
