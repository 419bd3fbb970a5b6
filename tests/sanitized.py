"""`make test-debug`: every extension module built with ASan, UBSan and FIXWIRE_DEBUG=1, and the suite on them.

    python tests/sanitized.py [pytest arguments]

The tree is build/debug/fixwire, so the modules in place are not touched. Numbers of seeds, mutations and kills are
lowered (LIGHT); a test that cannot hold here carries `@pytest.mark.uninstrumented(reason)`. Leaks are not looked for:
CPython leaves what is static to the end of the process. Objects come from malloc, so that an overrun of a bytes object
is seen too. Every process of the run writes what it finds to build/debug/report.*, so a test that expects its child to
fail cannot hide one; reports that are there at the end fail the run.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import tree

BASE = tree.ROOT / "build" / "debug"
REPORT = BASE / "report"
# They read sources and documents, or run nothing that is compiled
ABOUT_TEXT = {"test_tcp_conformance.py", "test_mutants.py", "test_layers.py", "test_nogil.py", "test_limits.py"}
CHECKS = "address,undefined"
# Of one test, in seconds: for pytest-timeout, and for faulthandler where the GIL is held
LIMITS = ["--timeout=1800", "-o", "faulthandler_timeout=1830"]
LIGHT = {"FIXWIRE_FUZZ": 5_000, "FIXWIRE_MUTATIONS": 2_000, "FIXWIRE_BLIND": 4_000, "FIXWIRE_SEEDS": 20,
         "FIXWIRE_KILLS": 50, "FIXWIRE_BROADCAST_MESSAGES": 1_000_000, "FIXWIRE_MPSC_MESSAGES": 200_000}


def library(name):
    """The shared library gcc would link."""
    return subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()


def build(copy):
    env = dict(os.environ, FIXWIRE_DEBUG="1", FIXWIRE_SANITIZE=CHECKS, PYTHONPATH=str(copy), CC="gcc")
    done = subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=copy, env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(done.stdout)


def environment(copy, report=REPORT):
    """What a process needs to load the modules of `copy`. libstdc++ goes with ASan, which looks for its exceptions."""
    log = f"log_path={report}:" if report else ""
    return {
        "LD_PRELOAD": f"{library('libasan.so')}:{library('libstdc++.so.6')}", "PYTHONPATH": str(copy),
        "ASAN_OPTIONS": log + "detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=64",
        "UBSAN_OPTIONS": log + "print_stacktrace=1:halt_on_error=1", "PYTHONMALLOC": "malloc",
        "FIXWIRE_SANITIZE": CHECKS, "FIXWIRE_DEBUG": "1",
    }


def preload_python_only():
    """From now on ASan is loaded into the children that run Python; tshark and capinfos stand still with it."""
    start = subprocess.Popen.__init__

    def started(self, args, *positional, env=None, **named):
        words = args.split() if isinstance(args, str) else [os.fsdecode(a) for a in args]
        if not any(pathlib.PurePath(w).name.startswith(("python", "fixwire")) for w in words):
            env = {k: v for k, v in (os.environ if env is None else env).items() if k != "LD_PRELOAD"}
        elif env is not None:
            env = {**{k: os.environ[k] for k in ("LD_PRELOAD", "ASAN_OPTIONS", "UBSAN_OPTIONS")}, **env}
        start(self, args, *positional, env=env, **named)
    subprocess.Popen.__init__ = started


def in_halves(command, copy, env):
    """Every second test file in one process, the others beside it: most of this is one thread that waits for itself."""
    files = sorted(f"tests/{p.name}" for p in (copy / "tests").glob("test_*.py")
                   if p.name not in ABOUT_TEXT)
    with tempfile.TemporaryFile("w+") as said:
        other = subprocess.Popen([*command, *files[1::2]], cwd=copy, env=env, stdout=said, stderr=subprocess.STDOUT)
        status = subprocess.run([*command, *files[::2]], cwd=copy, env=env).returncode
        status |= other.wait()
        said.seek(0)
        print(said.read())
    return status


def main(arguments):
    start = time.monotonic()
    copy = tree.mirror(BASE)
    build(copy)
    print(f"test-debug: built in {time.monotonic() - start:.0f} s in {copy.relative_to(tree.ROOT)}", flush=True)
    for old in BASE.glob(REPORT.name + ".*"):
        old.unlink()
    bin_first = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, **{k: str(v) for k, v in LIGHT.items()}, **environment(copy), "PATH": bin_first}
    # what a sanitizer says before it ends the process must not be in pytest's hands then
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--capture=sys", *LIMITS, "--durations=10"]
    if arguments:
        status = subprocess.run([*command, *arguments], cwd=copy, env=env).returncode
    else:
        status = in_halves(command, copy, env)
    reports = sorted(BASE.glob(REPORT.name + ".*"))
    for report in reports[:5]:
        print(f"== {report.name}\n{report.read_text(errors='replace')[:6000]}")
    print(f"test-debug: {len(reports)} reports of the sanitizers, {time.monotonic() - start:.0f} s in all")
    return status or bool(reports)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
