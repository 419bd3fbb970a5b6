"""What a segment's file is called, what to do about one that cannot be used, and which boot a segment is of."""
import os

DEFAULT_DIRECTORY = "/dev/shm"
PREFIX = "fixwire."


def segment_path(name: str, directory: str | os.PathLike[str] | None = None) -> str:
    """The file of a segment's name. Names are 1-200 letters, digits, `.`, `_` and `-`, not beginning with `.`."""
    if not name or len(name) > 200 or name[0] == "." or not all(c.isalnum() or c in "._-" for c in name):
        raise ValueError(f"segment name {name!r} must be 1-200 letters, digits, '.', '_' or '-', not beginning with '.'")
    return os.path.join(directory or DEFAULT_DIRECTORY, PREFIX + name)


def again(path: str) -> str:
    """What to do about a segment that cannot be used."""
    name, directory = os.path.basename(path)[len(PREFIX):], os.path.dirname(path)
    where = "" if directory == DEFAULT_DIRECTORY else f" --directory {directory}"
    return f"`fixwire ipc remove {name}{where}`, or create it with replace=True"


def boot_id() -> bytes:
    """The 16 octets the kernel drew at boot; zeros where /proc is not mounted."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as f:
            return bytes.fromhex(f.read().strip().replace("-", ""))
    except OSError:
        return bytes(16)
