import os
from typing import Any

from dpdk_py.base import Device

End = tuple[str, int]

def survey(path: str | os.PathLike[str], us: End, peer: End) -> dict[str, Any]: ...

class PlaybackDevice(Device):
    def __init__(
        self,
        path: str | os.PathLike[str],
        us: End,
        peer: End,
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
