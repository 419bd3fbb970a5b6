"""What can be wrong with a segment: one class a cause, each an OSError with `path`, `why` and `remedy`."""
import errno


class SegmentError(OSError):
    """A segment cannot be made, attached or used. `remedy` says what to do, where something can be done."""

    def __init__(self, path: str, why: str, remedy: str = "", code: int = errno.EINVAL) -> None:
        super().__init__(code, f"{path}: {why}" + (f" ({remedy})" if remedy else ""))
        self.path, self.why, self.remedy = path, why, remedy


class NotASegment(SegmentError):
    """Wrong magic: the file is something else."""


class LayoutMismatch(SegmentError):
    """Made by a release with another layout."""


class ByteOrderMismatch(SegmentError):
    """Made on a machine of the other byte order."""


class HeaderDamaged(SegmentError):
    """The header's fields do not add up: somebody wrote over one that nothing else betrays (epoch, flags)."""


class GeometryMismatch(SegmentError):
    """Kind, message size, capacity or options differ from what was asked for, or cannot be."""


class KindMismatch(GeometryMismatch):
    """A segment of another kind."""


class SegmentTruncated(SegmentError):
    """The file is shorter than its header says."""


class NotPrivate(SegmentError):
    """Owner or mode would let others write; or the name is a symbolic link; or it is not ours to open."""


class NotReady(SegmentError):
    """The creator has not finished, or died before it did."""


class Stale(NotReady):
    """Made before the machine's last boot."""


class RoleTaken(SegmentError):
    """Another living process holds the role asked for."""


class Forked(SegmentError):
    """A handle crossed fork(); open it again in the child."""
