import os
from typing import Any

from typing_extensions import disjoint_base

from dpdk_py.base import Device

_End = tuple[str, int]

def survey(path: str | os.PathLike[str], us: _End, peer: _End) -> dict[str, Any]: ...

@disjoint_base
class PlaybackDevice(Device):
    def __init__(
        self,
        path: str | os.PathLike[str],
        us: _End,
        peer: _End,
        *,
        passive: bool,
        peer_first: int,
        made: bool = False,
        greeting: bytes = b"",
    ) -> None: ...
    @property
    def done(self) -> bool: ...
    @property
    def next_ns(self) -> int | None: ...
    @property
    def opened(self) -> bool: ...
    @property
    def hole(self) -> int: ...
    def counts(self) -> dict[str, int]: ...
