"""libFuzzer on the compiled modules: `make fuzz TARGET=frames SECONDS=60`.

    python -m tests.fuzz TARGET [--seconds N] [--plant]     fuzz from the committed corpus on; exit 1 at a finding
    python -m tests.fuzz TARGET --minimise                  fuzz's findings of new paths become the committed corpus
    python -m tests.fuzz TARGET --replay FILE               one input, by itself

Needs clang 14 or newer with its runtime (Debian: clang, libclang-rt-14-dev). The modules a target needs are built
with `-fsanitize=address,fuzzer-no-link` and FIXWIRE_DEBUG=1 in build/fuzz; the harness is tests/fuzz_TARGET.pyx, which
libFuzzer calls directly: no Python runs for an input, but for `ipc`, whose segments are attached by Python. An input that
fails is kept in build/fuzz/findings.
"""
import argparse
import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))
import tree  # noqa: E402

from tests.fuzz import corpus  # noqa: E402

BASE = tree.ROOT / "build" / "fuzz"
CHECKS = "address,fuzzer-no-link"
WORDS = TESTS / "fuzz" / "words.dict"
FOUND = BASE / "findings"


def clang(*arguments):
    try:
        return subprocess.run(["clang", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except FileNotFoundError:
        sys.exit("fuzz: no clang here (Debian: apt-get install clang libclang-rt-14-dev)")


def runtime(name):
    path = pathlib.Path(clang("-print-resource-dir")) / "lib" / "linux" / f"libclang_rt.{name}"
    if not path.exists():
        sys.exit(f"fuzz: {path} is missing (Debian: apt-get install libclang-rt-14-dev)")
    return path


def build(target):
    """The instrumented copy, and libFuzzer as a library that comes before everybody else's idea of __sanitizer_cov_*."""
    copy = tree.mirror(BASE)
    env = dict(os.environ, CC="clang", FIXWIRE_DEBUG="1", FIXWIRE_SANITIZE=CHECKS, FIXWIRE_WITH_DPDK="0",
               FIXWIRE_ROOMS=corpus.TARGETS[target], PYTHONPATH=str(copy))
    done = subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=copy, env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(done.stdout)
    library = BASE / "libfuzzer.so"
    if not library.exists():
        subprocess.run(["clang++", "-shared", "-o", str(library), "-Wl,--whole-archive",
                        str(runtime("fuzzer_no_main-x86_64.a")), "-Wl,--no-whole-archive", "-lpthread", "-lm"], check=True)
    return copy, {
        **os.environ, "CC": "clang", "FIXWIRE_SANITIZE": CHECKS, "PYTHONPATH": str(copy), "PYTHONMALLOC": "malloc",
        "LD_PRELOAD": f"{library}:{runtime('asan-x86_64.so')}",
        # leaks: CPython's own drown ours; the harness counts what it lends
        "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0:handle_abort=1:allocator_may_return_null=1",
    }


def inner(target, plant, arguments):
    """In the process with libFuzzer in it: the harness is loaded, and libFuzzer takes over."""
    os.environ.pop("LD_PRELOAD")                    # not for clang
    from tests.fuzz.harness import Harness
    harness = Harness(target)
    harness.plant(plant)
    words = [os.fsencode(os.environ["FIXWIRE_FUZZER"]), *map(os.fsencode, arguments)]
    argv = (ctypes.c_char_p * (len(words) + 1))(*words, None)
    run = ctypes.CDLL(None).LLVMFuzzerRunDriver
    run.argtypes = [ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.POINTER(ctypes.c_char_p)), ctypes.c_void_p]
    count = ctypes.c_int(len(words))
    at = ctypes.cast(argv, ctypes.POINTER(ctypes.c_char_p))
    return run(ctypes.byref(count), ctypes.byref(at), harness.callback)


def clean(env):
    """Without what clang and sh must not load."""
    return {k: v for k, v in env.items() if k != "LD_PRELOAD"}


def libfuzzer(copy, env, target, plant, *arguments):
    """Runs `inner` in its own process. By a script, which libFuzzer can call again where it wants children of its own."""
    script = BASE / f"fuzz_{target}"
    script.write_text(f"#!/bin/sh\nexport LD_PRELOAD='{env['LD_PRELOAD']}'\n"
                      f"exec '{sys.executable}' -m tests.fuzz {target} --inner {int(plant)} \"$@\"\n")
    script.chmod(0o755)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as files:      # of segments; libFuzzer ends without a farewell
        env = {**clean(env), "FIXWIRE_FUZZER": str(script), "TMPDIR": files}
        return subprocess.run([script, *map(str, arguments)], cwd=copy, env=env).returncode


def prepare(copy, env, target):
    """The harness as a module, compiled where nothing is preloaded."""
    code = f"import sys; sys.path.insert(0, 'tests'); import compiled; compiled.build('fuzz_{target}')"
    subprocess.run([sys.executable, "-c", code], cwd=copy, env=clean(env), check=True)


def spread(target, folder):
    for i, x in enumerate(corpus.load(target)):
        (folder / f"{i:04}").write_bytes(x)


def main():
    ask = argparse.ArgumentParser(prog="python -m tests.fuzz")
    ask.add_argument("target", choices=corpus.TARGETS)
    ask.add_argument("--seconds", type=int, default=60)
    ask.add_argument("--plant", action="store_true", help="with the harness's planted fault, which must be found")
    ask.add_argument("--minimise", action="store_true")
    ask.add_argument("--replay")
    ask.add_argument("--inner", type=int, help=argparse.SUPPRESS)
    given, rest = ask.parse_known_args()
    if given.inner is not None:
        return inner(given.target, given.inner, rest)
    if rest:
        ask.error(f"what is {rest[0]}?")
    copy, env = build(given.target)
    prepare(copy, env, given.target)
    if given.replay:
        return libfuzzer(copy, env, given.target, given.plant, pathlib.Path(given.replay).resolve())
    live = BASE / f"corpus-{given.target}"
    live.mkdir(exist_ok=True)
    FOUND.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        spread(given.target, folder)
        if given.minimise:
            kept = folder / "kept"
            kept.mkdir()
            status = libfuzzer(copy, env, given.target, False, "-merge=1", kept, folder, live)
            corpus.save(given.target, [p.read_bytes() for p in kept.iterdir()])
            print(f"fuzz: {len(corpus.load(given.target))} inputs in {corpus.FOLDER / given.target}.bin")
            return status
        status = libfuzzer(copy, env, given.target, given.plant, f"-max_total_time={given.seconds}",
                           f"-max_len={corpus.LONGEST}", "-len_control=20", "-timeout=120", "-print_final_stats=1",
                           "-reload=0", f"-artifact_prefix={FOUND}/{given.target}-", f"-dict={WORDS}", live, folder)
    if status:
        for path in sorted(FOUND.glob(f"{given.target}-*"), key=lambda p: p.stat().st_mtime)[-1:]:
            print(f"fuzz: reproduce with: .venv/bin/python -m tests.fuzz {given.target} --replay {path}")
    return status


if __name__ == "__main__":
    sys.exit(main())
