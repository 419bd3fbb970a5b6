import os

from typing_extensions import disjoint_base

from dpdk_py.base import Device
from dpdk_py.capture import PcapReader
from dpdk_py.errors import PcapError

@disjoint_base
class PcapDevice(Device):
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        paced: bool = False,
        record: str | os.PathLike[str] | None = None,
        utc_offset_ns: int = 0,
        mtu: int = 1500,
        mac: bytes | str = "02:00:00:00:00:01",
    ) -> None: ...
    @property
    def reader(self) -> PcapReader: ...
    @property
    def done(self) -> bool: ...
    @property
    def truncated(self) -> bool: ...
    @property
    def error(self) -> PcapError | None: ...
    @property
    def next_ns(self) -> int | None: ...

@disjoint_base
class PcapWriter(Device):
    def __init__(
        self,
        inner: Device,
        path: str | os.PathLike[str],
        *,
        utc_offset_ns: int = 0,
        buffer: int = 1048576,
        drop_when_full: bool = False,
    ) -> None: ...
    @property
    def inner(self) -> Device: ...
    @property
    def recorded(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    def flush(self) -> None: ...
