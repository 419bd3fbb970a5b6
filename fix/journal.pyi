from typing import Literal, Self

from typing_extensions import disjoint_base

from fix.store import Store

@disjoint_base
class Journal(Store):
    name: str
    directory: str | None
    ring_directory: str
    durability: str
    def __new__(
        cls, name: str, directory: str | None = None, *, ring_directory: str = "/dev/shm", ring_octets: int = ...,
        segment_octets: int = ..., keep_segments: int = 64, messages: int = ...,
        durability: Literal["process", "machine", "each"] = "process", sync_ns: int = 5_000_000,
    ) -> Self: ...
    def sync(self) -> bool: ...
    def close(self) -> None: ...
    def remove(self) -> None: ...
    def __enter__(self) -> Journal: ...
    def __exit__(self, *exc: object) -> None: ...
