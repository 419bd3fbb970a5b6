import os
from typing import Literal, Self

from typing_extensions import disjoint_base

from dpdk_py.errors import PcapError

@disjoint_base
class Transcript:
    def __new__(
        cls,
        path: str | os.PathLike[str],
        *,
        lines: Literal["none", "octets", "json"] = "none",
        types: tuple[str, ...] | list[str] = (),
        host: str | None = None,
        port: int | None = None,
        checksums: bool = False,
    ) -> Self: ...
    @property
    def error(self) -> PcapError | None: ...
    def read(self, packets: int = 65536) -> bool: ...
    def take(self) -> bytes | list[tuple[int, str, str, bytes]]: ...
    def summary(self) -> dict[str, int | dict[str, int]]: ...
    @property
    def progress(self) -> float | None: ...
    @property
    def truncated(self) -> bool: ...
    def close(self) -> None: ...
