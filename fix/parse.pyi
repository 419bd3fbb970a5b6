from typing import Literal

from typing_extensions import Buffer

_Isa = Literal["scalar", "avx2", "avx512"]
ISA: dict[str, int]

def use_isa(name: _Isa = "avx512") -> _Isa: ...
def verdict(data: Buffer, max_size: int = 65535, trailer: bool = False, room: int = 0,
            in_place: bool = False) -> tuple[
    int, int, int | tuple[int, int, int] | None, list[tuple[int, int, int]]]: ...
