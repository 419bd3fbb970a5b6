from collections.abc import Iterable
from typing import Any, Final

from numpy.typing import NDArray
from typing_extensions import Buffer, disjoint_base

from ipc.wait import Side

POLICIES: Final[dict[str, int]]

class End(Side):
    @property
    def max_len(self) -> int: ...
    @property
    def capacity(self) -> int: ...

@disjoint_base
class Producer(End):
    sent: int
    refused: int
    timed_out: int
    dropped: int
    oversize: int
    def send_batch(self, messages: Iterable[Buffer] | NDArray[Any]) -> int: ...
