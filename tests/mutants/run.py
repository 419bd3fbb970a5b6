"""Applies each one-line fault of tests/mutants/*.patch in a copy of the tree and names the test that kills it.

    python tests/mutants/run.py [--jobs N] [--resume FILE] [PATTERN ...]

A patch is `git diff` output against the repository's root; its first line says `# killed by: TEST_ID[, TEST_ID]`.
The copy begins with what `make build` has made; what a patch touches is rebuilt at -O1, the named tests run, and what was
changed or built is put back from a copy that is never patched. A mutant is killed when one of them fails (or the build
refuses it), and survives when all pass. Patches are judged in the order of the patterns. With --resume each verdict goes
to FILE as it falls, and what FILE calls killed is not judged again unless the patch has changed. Exit 1 if one survived,
did not apply, or its tests fail without it.
"""
import argparse
import concurrent.futures
import contextlib
import hashlib
import os
import pathlib
import queue
import re
import shutil
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
# What `make build` has made and need not be made again
BUILT = ("build/cython/**/*", "build/lib.*/**/*", "build/temp.*/**/*", "build/tests/**/*", "[a-z]*/*.so", "[a-z]*/*/*.so")


def killers(patch):
    found = KILLER.match(patch.read_text().splitlines()[0])
    if not found:
        raise SystemExit(f"{patch.name}: the first line must be `# killed by: tests/...`")
    return [t.strip() for t in found[1].split(",")]


def files(root):
    """{path below root: what tells whether it is as it was}; ../shared, a link beside it, is not of the tree."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            found[os.path.relpath(path, root)] = status.st_size, status.st_mtime_ns
    return found


class Copy:
    """A private copy of the tree with modules of its own; `like` is one that is built already."""

    def __init__(self, directory, like=None):
        self.like = like
        self.root = directory / "fixwire"
        if like:
            shutil.copytree(like.parent, directory, symlinks=True)
        else:
            tree.mirror(directory)
            for built in (p for pattern in BUILT for p in ROOT.glob(pattern) if p.is_file()):
                target = self.root / built.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(built, target)
        self.env = dict(os.environ, PYTHONPATH=str(self.root), FIXWIRE_OPT="-O1",
                        PATH=f"{PYTHON.parent}:{os.environ['PATH']}")

    def build(self):
        return subprocess.run([PYTHON, "setup.py", "-q", "build_ext", "--inplace"], cwd=self.root, env=self.env,
                              capture_output=True, text=True)

    def patch(self, patch):
        return subprocess.run(["git", "apply", "--unsafe-paths", "-p1", str(patch)], cwd=self.root,
                              capture_output=True, text=True)

    def put_back(self):
        """Sources, C files, objects and modules, with their dates: the next build has nothing of this mutant to undo."""
        was, now = files(self.like), files(self.root)
        for name in now.keys() - was.keys():
            (self.root / name).unlink()
        for name, status in was.items():
            if now.get(name) != status:
                shutil.copy2(self.like / name, self.root / name, follow_symlinks=False)

    def run(self, tests, timeout=TIMEOUT_S):
        with subprocess.Popen([PYTHON, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests], cwd=self.root,
                              env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              start_new_session=True) as run:
            try:
                out, _ = run.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                return None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGKILL)      # with what its tests started and a fault kept from ending
        return subprocess.CompletedProcess(run.args, run.returncode, out)

    def judge(self, patch):
        """(verdict, detail) for one mutant; verdict is killed, survived or broken."""
        applied = self.patch(patch)
        if applied.returncode:
            return "broken", "does not apply: " + applied.stderr.strip().splitlines()[0]
        try:
            built = self.build()
            if built.returncode:
                refused = [line for line in (built.stdout + built.stderr).splitlines() if "refused" in line]
                return ("killed", "the build refuses it") if refused else ("broken", "does not build")
            done = self.run(killers(patch))
        finally:
            self.put_back()
        if done is None:
            return "killed", f"hangs ({TIMEOUT_S} s)"
        failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.M)
        if done.returncode == 0:
            return "survived", "all pass: " + ", ".join(killers(patch))
        if done.returncode in (4, 5):
            return "broken", "no such test: " + ", ".join(killers(patch))
        return "killed", failed[0] if failed else f"pytest ended with {done.returncode}"


class Verdicts:
    """Lines `verdict, patch, digest of the patch, detail`, tab-separated; the last one on a patch counts."""

    def __init__(self, path):
        self.path = path
        lines = path.read_text().splitlines() if path and path.exists() else []
        self.known = {(name, digest): verdict for verdict, name, digest, _ in (line.split("\t", 3) for line in lines)}

    @staticmethod
    def key(patch):
        return patch.stem, hashlib.sha256(patch.read_bytes()).hexdigest()[:16]

    def killed(self, patch):
        return self.known.get(self.key(patch)) == "killed"

    def add(self, patch, verdict, detail):
        if self.path:
            with self.path.open("a") as out:
                print(verdict, *self.key(patch), detail, sep="\t", file=out)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("pattern", nargs="*", help="only patches whose name contains one of these")
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    p.add_argument("--resume", type=pathlib.Path, metavar="FILE", help="verdicts are kept there; killed ones count")
    a = p.parse_args()
    verdicts = Verdicts(a.resume)
    patches = list(dict.fromkeys(f for w in a.pattern or [""] for f in sorted(HERE.glob("*.patch")) if w in f.name))
    if not patches:
        raise SystemExit("no patch matches")
    counts = {"killed": 0, "survived": 0, "broken": 0, "killed before": sum(map(verdicts.killed, patches))}
    patches = [f for f in patches if not verdicts.killed(f)]
    if patches:
        judge_all(patches, a.jobs, verdicts, counts)
    print(", ".join(f"{n} {what}" for what, n in counts.items()))
    return 1 if counts["survived"] or counts["broken"] else 0


def judge_all(patches, jobs, verdicts, counts):
    """Each patch in a copy that is free; raises SystemExit if the tree does not build or its tests fail by themselves."""
    named = sorted({t for f in patches for t in killers(f)})
    with tempfile.TemporaryDirectory(prefix="fixwire-mutants-") as tmp:
        print(f"{len(patches)} mutants; building", flush=True)
        clean = Copy(pathlib.Path(tmp) / "clean")
        built = clean.build()
        if built.returncode:
            raise SystemExit("the tree itself does not build:\n" + built.stdout + built.stderr)
        passed = clean.run(named, timeout=None)
        if passed.returncode:
            raise SystemExit("the named tests fail without any mutant:\n" + passed.stdout[-3000:])
        copies = queue.Queue()
        for k in range(jobs):
            copies.put(Copy(pathlib.Path(tmp) / str(k), like=clean.root))

        def one(patch):
            copy = copies.get()
            begun = time.monotonic()
            try:
                return patch, *copy.judge(patch), time.monotonic() - begun
            finally:
                copies.put(copy)

        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for n, done in enumerate(concurrent.futures.as_completed([pool.submit(one, f) for f in patches]), 1):
                patch, verdict, detail, seconds = done.result()
                counts[verdict] += 1
                verdicts.add(patch, verdict, detail)
                print(f"{n:3}/{len(patches)} {verdict:8} {patch.stem:50} {detail}  ({seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    sys.exit(main())
