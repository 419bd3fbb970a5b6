"""A copy of the source tree with modules of its own: for builds that must not disturb the one in place."""
import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = {".py", ".pyi", ".pyx", ".pxd", ".h", ".c", ".toml", ".patch", ".pkt", ".bin"}


def mirror(directory):
    """`directory`/fixwire as the tree is now, whether committed or not; a file that has not changed keeps its date.

    Source files that the tree has no more go away, what was built stays. ../shared, where there is one, is beside it.
    """
    copy = pathlib.Path(directory) / "fixwire"
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, check=True).stdout
    names = {n for n in listed.decode().split("\0") if n and (ROOT / n).is_file()}
    for name in names:
        source, target = ROOT / name, copy / name
        if target.is_file() and target.stat().st_mtime_ns == source.stat().st_mtime_ns:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    for path in copy.rglob("*"):
        name = path.relative_to(copy)
        if path.suffix in SOURCES and name.parts[0] != "build" and str(name) not in names:
            path.unlink()
    shared = ROOT.parent / "shared"
    if shared.exists() and not os.path.lexists(copy.parent / "shared"):
        (copy.parent / "shared").symlink_to(shared.resolve())
    return copy
