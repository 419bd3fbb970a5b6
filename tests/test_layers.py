"""The layer rule of docs/architecture.md, on `import` and `cimport` lines alike."""
import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent
ALLOWED = {
    "ipc": set(),
    "dpdk_py": {"ipc"},
    "stack": {"dpdk_py"},
    "fix": set(),
    "feed": set(),
    "gateway": {"ipc", "dpdk_py", "stack", "fix", "feed"},
}
ANY_ROOM = {"stack.wire.octets", "stack.wire.trace"}
LINE = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import\b|c?import\s+([\w., ]+))", re.M)


def imports(text):
    for one, several in LINE.findall(text):
        yield from [one] if one else [name.split()[0] for name in several.split(",") if name.strip()]


def violations(room, text):
    for name in imports(text):
        top = name.split(".")[0]
        if top in ALLOWED and top != room and top not in ALLOWED[room] and name not in ANY_ROOM:
            yield name


def test_rooms_import_only_what_lies_below():
    bad = [f"{path.relative_to(ROOT)} imports {name}"
           for room in ALLOWED for suffix in ("py", "pyx", "pxd", "pyi")
           for path in (ROOT / room).rglob(f"*.{suffix}")
           for name in violations(room, path.read_text())]
    assert not bad, "\n".join(bad)


def test_the_rule_catches_a_planted_import():
    assert list(violations("fix", "from stack.tcp cimport tcb\n")) == ["stack.tcp"]
    assert list(violations("ipc", "    import gateway.cli\n")) == ["gateway.cli"]
    assert list(violations("stack", "import os, fix\n")) == ["fix"]
    assert not list(violations("fix", "from stack.wire.octets cimport load_be16\n"))
