"""Applies each one-line fault of tests/mutants/*.patch in a copy of the tree and names the test that kills it.

    python tests/mutants/run.py [--jobs N] [--keep DIR] [PATTERN ...]

A patch is `git diff` output against the repository's root; its first line says `# killed by: TEST_ID[, TEST_ID]`.
The copy is rebuilt incrementally at -O1, the named tests run, the patch is taken back. A mutant is killed when one
of them fails (or the build refuses it), and survives when all pass. Exit 1 if one survived, did not apply, or its
tests fail without it.
"""
import argparse
import concurrent.futures
import os
import pathlib
import queue
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import tree  # noqa: E402

HERE = ROOT / "tests" / "mutants"
PYTHON = ROOT / ".venv" / "bin" / "python"
KILLER = re.compile(r"#\s*killed by:\s*(.+)")
TIMEOUT_S = 300


def killers(patch):
    found = KILLER.match(patch.read_text().splitlines()[0])
    if not found:
        raise SystemExit(f"{patch.name}: the first line must be `# killed by: tests/...`")
    return [t.strip() for t in found[1].split(",")]


class Copy:
    """A private copy of the tree with modules of its own."""

    def __init__(self, directory):
        self.root = tree.mirror(directory)
        self.env = dict(os.environ, PYTHONPATH=str(self.root), FIXWIRE_OPT="-O1",
                        PATH=f"{PYTHON.parent}:{os.environ['PATH']}")

    def build(self):
        return subprocess.run([PYTHON, "setup.py", "-q", "build_ext", "--inplace"], cwd=self.root, env=self.env,
                              capture_output=True, text=True)

    def patch(self, patch, *flags):
        return subprocess.run(["git", "apply", "--unsafe-paths", "-p1", *flags, str(patch)], cwd=self.root,
                              capture_output=True, text=True)

    def touch(self, patch):
        # a patch taken back within the second leaves the file as old as its object: make sees nothing to do
        for name in re.findall(r"^\+\+\+ b/(\S+)", patch.read_text(), re.M):
            os.utime(self.root / name)

    def run(self, tests):
        run = subprocess.Popen([PYTHON, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests], cwd=self.root,
                               env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               start_new_session=True)
        try:
            out, _ = run.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)      # with the children its tests forked
            run.communicate()
            return None
        return subprocess.CompletedProcess(run.args, run.returncode, out)

    def judge(self, patch):
        """(verdict, detail) for one mutant; verdict is killed, survived or broken."""
        applied = self.patch(patch)
        if applied.returncode:
            return "broken", "does not apply: " + applied.stderr.strip().splitlines()[0]
        self.touch(patch)
        try:
            built = self.build()
            if built.returncode:
                refused = [line for line in (built.stdout + built.stderr).splitlines() if "refused" in line]
                return ("killed", "the build refuses it") if refused else ("broken", "does not build")
            done = self.run(killers(patch))
        finally:
            self.patch(patch, "-R")
            self.touch(patch)
        if done is None:
            return "killed", f"hangs ({TIMEOUT_S} s)"
        failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.M)
        if done.returncode == 0:
            return "survived", "all pass: " + ", ".join(killers(patch))
        if done.returncode in (4, 5):
            return "broken", "no such test: " + ", ".join(killers(patch))
        return "killed", failed[0] if failed else f"pytest ended with {done.returncode}"


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("pattern", nargs="*", help="only patches whose name contains one of these")
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    a = p.parse_args()
    patches = [f for f in sorted(HERE.glob("*.patch")) if not a.pattern or any(w in f.name for w in a.pattern)]
    if not patches:
        raise SystemExit("no patch matches")
    named = sorted({t for f in patches for t in killers(f)})
    counts = {"killed": 0, "survived": 0, "broken": 0}
    with tempfile.TemporaryDirectory(prefix="fixwire-mutants-") as tmp:
        print(f"{len(patches)} mutants; building {a.jobs} copies", flush=True)
        copies = queue.Queue()
        for k in range(a.jobs):
            copy = Copy(pathlib.Path(tmp) / str(k))
            built = copy.build()
            if built.returncode:
                raise SystemExit("the tree itself does not build:\n" + built.stdout + built.stderr)
            copies.put(copy)
        first = copies.get()
        clean = first.run(named)
        copies.put(first)
        if clean is None or clean.returncode:
            raise SystemExit("the named tests fail without any mutant:\n" + (clean.stdout[-3000:] if clean else "hang"))

        def one(patch):
            copy = copies.get()
            begun = time.monotonic()
            try:
                return patch, *copy.judge(patch), time.monotonic() - begun
            finally:
                copies.put(copy)

        with concurrent.futures.ThreadPoolExecutor(a.jobs) as pool:
            for done in concurrent.futures.as_completed([pool.submit(one, f) for f in patches]):
                patch, verdict, detail, seconds = done.result()
                counts[verdict] += 1
                print(f"{verdict:8} {patch.stem:50} {detail}  ({seconds:.0f} s)", flush=True)
    print(", ".join(f"{n} {what}" for what, n in counts.items()))
    return 1 if counts["survived"] or counts["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
