"""What the Python border of `dpdk_py` raises. Bursts never raise: they return a verdict and count."""
from __future__ import annotations


class DeviceError(OSError):
    """A device could not be opened, configured or used.

    `errno` as the kernel gave it (or the nearest), `name` the device as the caller spelled it, `why` one sentence,
    `remedy` what to do about it, or None.
    """

    def __init__(self, errno: int, why: str, name: str | None = None, remedy: str | None = None) -> None:
        super().__init__(errno, why)
        self.why = why
        self.name = name
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.name}: {self.why}" if self.name else self.why
        return f"{text}; {self.remedy}" if self.remedy else text

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.errno, self.why, self.name, self.remedy)


class DpdkError(DeviceError):
    """A call into DPDK failed. `rte_errno` is DPDK's own number; 0 means DPDK gave no reason."""

    def __init__(self, rte_errno: int, why: str, name: str | None = None, remedy: str | None = None) -> None:
        super().__init__(rte_errno, why, name, remedy)
        self.rte_errno = rte_errno


class BackendUnavailable(DeviceError):
    """A kind of device this installation cannot open: `name`, `why`, and the `remedy`."""

    def __init__(self, name: str, why: str, remedy: str) -> None:
        import errno
        super().__init__(errno.ENOTSUP, why, name, remedy)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.why, self.remedy)


class PcapError(ValueError):
    """A capture file that cannot be read any further: `path`, `offset` in octets of what is wrong, `why`."""

    def __init__(self, path: str, offset: int, why: str) -> None:
        super().__init__(f"{path}: {why} (at octet {offset})")
        self.path = path
        self.offset = offset
        self.why = why

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.offset, self.why)
