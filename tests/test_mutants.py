"""The planted faults of tests/mutants stay true to the code: each applies, and names a test that exists.

Whether that test really kills the fault is `make mutants`, which takes over an hour.
"""
import os
import pathlib
import re
import select
import subprocess

import pytest

from tests.mutants.run import KILLER, Copy, Verdicts

ROOT = pathlib.Path(__file__).parents[1]
PATCHES = sorted((ROOT / "tests" / "mutants").glob("*.patch"))


def complaint(patch):
    """What is wrong with one patch file, or None."""
    text = patch.read_text()
    found = KILLER.match(text.splitlines()[0])
    if not found:
        return "no `# killed by:` in its first line"
    for test in (t.strip() for t in found[1].split(",")):
        path, _, names = test.partition("::")
        if not (ROOT / path).is_file():
            return f"{path} does not exist"
        source = (ROOT / path).read_text()
        for name in names.split("::") if names else ():
            if not re.search(rf"\b(?:def|class) {re.escape(name.partition('[')[0])}\b", source):
                return f"{path} has no {name}"
    checked = subprocess.run(["git", "apply", "--check", "-p1", str(patch)], cwd=ROOT, capture_output=True, text=True,
                             timeout=300)
    return checked.stderr.strip() or None if checked.returncode else None


def test_at_least_forty():
    assert len(PATCHES) >= 40


def test_each_applies_and_names_tests_that_exist():
    assert {p.name: c for p in PATCHES if (c := complaint(p))} == {}


@pytest.mark.parametrize("old, new, words", [
    ("# killed by: ", "# killed: ", "first line"),
    ("tests/test_", "tests/test_no_", "does not exist"),
    ("::test_", "::test_no_", "has no"),
])
def test_a_patch_gone_stale_is_found(tmp_path, old, new, words):
    stale = tmp_path / "stale.patch"
    text = next(p for p in PATCHES if "::test_" in p.read_text()).read_text()
    head, body = text.split("\n", 1)
    stale.write_text(head.replace(old, new) + "\n" + body)
    assert words in complaint(stale)


def test_a_patch_whose_line_has_changed_is_found(tmp_path):
    stale = tmp_path / "stale.patch"
    stale.write_text(re.sub(r"^-(?!--)", "-was something else ", PATCHES[0].read_text(), flags=re.M))
    assert "does not apply" in complaint(stale)


def test_a_copy_is_put_back_as_it_was(tmp_path):
    clean = tmp_path / "clean" / "fixwire"
    (clean / "build").mkdir(parents=True)
    for name in ("a.pyx", "build/a.c", "a.so"):
        (clean / name).write_text("clean")
        os.utime(clean / name, (1, 1))
    copy = Copy(tmp_path / "0", like=clean)
    (copy.root / "a.pyx").write_text("fault")
    (copy.root / "build" / "a.c").write_text("other")       # of the length it had
    (copy.root / "a.so").unlink()
    (copy.root / "core").write_text("left behind")
    copy.put_back()
    assert {p.name: (p.read_text(), p.stat().st_mtime) for p in copy.root.rglob("*") if p.is_file()} == {
        n: ("clean", 1) for n in ("a.pyx", "a.c", "a.so")}


@pytest.mark.parametrize("limit_s", [None, 300])
def test_what_a_test_leaves_running_ends_with_it(tmp_path, limit_s):
    os.mkfifo(tmp_path / "alive")
    alive = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    (tmp_path / "test_leaves.py").write_text(
        "import subprocess\n"
        "def test_leaves():\n"
        "    subprocess.Popen(['sleep', '1000'], stdout=open('alive', 'wb'), stderr=subprocess.DEVNULL)\n")
    copy = object.__new__(Copy)
    copy.root, copy.env = tmp_path, dict(os.environ)
    assert copy.run(["test_leaves.py"], limit_s).returncode == 0
    ended = select.poll()
    ended.register(alive, select.POLLHUP)           # nobody has it open for writing any more
    assert ended.poll(60_000)
    os.close(alive)


def test_only_what_was_killed_and_has_not_changed_is_taken_over(tmp_path):
    patches = [tmp_path / f"{name}.patch" for name in ("killed", "survived", "changed", "new")]
    for patch in patches:
        patch.write_text(patch.stem)
    kept = Verdicts(tmp_path / "verdicts")
    for patch in patches[:3]:
        kept.add(patch, "survived" if patch.stem == "survived" else "killed", "tests/test_x.py::test_y[a - b]")
    patches[2].write_text("another fault")
    assert [Verdicts(tmp_path / "verdicts").killed(p) for p in patches] == [True, False, False, False]
