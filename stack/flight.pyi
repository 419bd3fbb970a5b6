import os
from typing import Any, Self

from typing_extensions import disjoint_base

from stack.netif import Netif

STATES: int

@disjoint_base
class FlightRecorder:
    def __new__(
        cls,
        net: Netif,
        frames: int,
        octets: int = 160,
        directory: str | os.PathLike[str] | None = None,
        utc_offset_ns: int = 0,
    ) -> Self: ...
    def frames(self) -> list[dict[str, Any]]: ...
    def segments(self) -> list[dict[str, Any]]: ...
    def dump(self, path: str | os.PathLike[str], utc_offset_ns: int | None = None) -> None: ...
    def fault(self) -> None: ...
    def counters(self) -> dict[str, int]: ...
