from typing import Any, Final, Self, final

from _typeshed import StrPath
from typing_extensions import disjoint_base

from ipc.errors import (
    ByteOrderMismatch as ByteOrderMismatch,
)
from ipc.errors import (
    Forked as Forked,
)
from ipc.errors import (
    GeometryMismatch as GeometryMismatch,
)
from ipc.errors import (
    HeaderDamaged as HeaderDamaged,
)
from ipc.errors import (
    KindMismatch as KindMismatch,
)
from ipc.errors import (
    LayoutMismatch as LayoutMismatch,
)
from ipc.errors import (
    NotASegment as NotASegment,
)
from ipc.errors import (
    NotPrivate as NotPrivate,
)
from ipc.errors import (
    NotReady as NotReady,
)
from ipc.errors import (
    RoleTaken as RoleTaken,
)
from ipc.errors import (
    SegmentError as SegmentError,
)
from ipc.errors import (
    SegmentTruncated as SegmentTruncated,
)
from ipc.errors import (
    Stale as Stale,
)
from ipc.names import DEFAULT_DIRECTORY as DEFAULT_DIRECTORY
from ipc.names import PREFIX as PREFIX
from ipc.names import boot_id as boot_id
from ipc.names import segment_path as segment_path

KINDS: Final[dict[int, str]]

def hugetlbfs(directory: StrPath | None = None) -> StrPath: ...
def in_use(fd: int) -> bool: ...
def retire(path: str, force: bool = False) -> int: ...
def segments(directory: StrPath | None = None) -> list[dict[str, Any]]: ...

@disjoint_base
class Segment:
    kind: int
    max_len: int
    capacity: int
    epoch: int
    flags: int
    path: str
    created: bool
    @staticmethod
    def create(name: str, kind: int, max_len: int, capacity: int, octets: int, directory: StrPath | None = None,
               flags: int = 0, replace: bool = False, lock: bool = False) -> Segment: ...
    def publish(self) -> None: ...
    @staticmethod
    def attach(name: str, kind: int, directory: StrPath | None = None, max_len: int | None = None,
               capacity: int | None = None, timeout: float = 1.0, lock: bool = False) -> Segment: ...
    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    def remove(self) -> None: ...
    def discard(self) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...

@final
class View:
    def __init__(self, *args: object, **kwargs: object) -> None: ...
