from typing import Literal

from typing_extensions import disjoint_base

from dpdk_py.base import Device

@disjoint_base
class Impairment(Device):
    def __init__(
        self,
        inner: Device,
        *,
        seed: int = 0,
        side: Literal["rx", "tx", "both"] = "both",
        queue: int = 1024,
        loss: float = 0,
        duplicate: float = 0,
        reorder: float = 0,
        corrupt: float = 0,
        delay_ns: int = 0,
        jitter_ns: int = 0,
        rate_bps: int = 0,
        reorder_ns: int = 1000000,
        reorder_gap: int = 3,
    ) -> None: ...
    @property
    def inner(self) -> Device: ...
    def set(
        self,
        *,
        side: Literal["rx", "tx"] | None = None,
        loss: float = ...,
        duplicate: float = ...,
        reorder: float = ...,
        corrupt: float = ...,
        delay_ns: int = ...,
        jitter_ns: int = ...,
        rate_bps: int = ...,
        reorder_ns: int = ...,
        reorder_gap: int = ...,
    ) -> None: ...
    def settings(self, side: Literal["rx", "tx"] | None = None) -> dict[str, float]: ...
    def counts(self, side: Literal["rx", "tx"] | None = None) -> dict[str, int]: ...
    @property
    def up(self) -> bool: ...
    @up.setter
    def up(self, value: bool) -> None: ...
    @property
    def waiting(self) -> int: ...
    @property
    def deadline_ns(self) -> int | None: ...
