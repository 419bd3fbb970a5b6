from typing import Final

from typing_extensions import disjoint_base

from ipc.wait import Side

POLICIES: Final[dict[str, int]]

@disjoint_base
class Producer(Side):
    sent: int
    refused: int
    timed_out: int
    dropped: int
    oversize: int
