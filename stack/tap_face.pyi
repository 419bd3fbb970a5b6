from typing import Literal, NamedTuple, Self

from typing_extensions import Buffer, disjoint_base

class Text(NamedTuple):
    flow: int
    src: str
    dst: str
    text: bytes
    ts_ns: int

@disjoint_base
class Tap:
    def __new__(cls, flows: int = 65536, memory: int = ..., checksums: bool = False) -> Self: ...
    def input(
        self, packet: Buffer, ts_ns: int, link: Literal["ethernet", "ipv4"] = "ethernet", cut: bool = False
    ) -> list[Text]: ...
    def finish(self) -> list[Text]: ...
    def stats(self) -> dict[str, int]: ...
    @property
    def watermark_ns(self) -> int | None: ...
