from typing import Literal, NamedTuple

from typing_extensions import Buffer

class Text(NamedTuple):
    flow: int
    src: str
    dst: str
    text: bytes
    ts_ns: int

class Tap:
    def __init__(self, flows: int = 65536, memory: int = ..., checksums: bool = False) -> None: ...
    def input(
        self, packet: Buffer, ts_ns: int, link: Literal["ethernet", "ipv4"] = "ethernet", cut: bool = False
    ) -> list[Text]: ...
    def finish(self) -> list[Text]: ...
    def stats(self) -> dict[str, int]: ...
    @property
    def watermark_ns(self) -> int | None: ...
