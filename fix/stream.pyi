from typing import Literal, Self

from typing_extensions import Buffer, disjoint_base

from .dictionary import Dictionary
from .face import Message

GARBLED: dict[int, str]

def parse(data: Buffer | str, dictionary: Dictionary | None = None) -> Message: ...

@disjoint_base
class Parser:
    messages: int
    garbled: int
    skipped: int
    last_garbled: str | None
    def __new__(cls, dictionary: Dictionary | None = None, *, max_size: int = 65535,
                 resync: Literal["next", "trailer"] = "next") -> Self: ...
    @property
    def pending(self) -> int: ...
    def feed(self, data: Buffer) -> list[Message]: ...
