"""Compiles what a benchmark needs beside the package: Cython users of its headers, and C yardsticks."""
import importlib.util
import os
import pathlib
import subprocess
import sys
import sysconfig
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"


def fresh(target, *sources):
    return target.exists() and all(target.stat().st_mtime > os.stat(s).st_mtime for s in sources)


def cython_module(path, flags=("-O3",)):
    """The module of a .pyx file, compiled as a user would: Cython and gcc, the package's .pxd on the include path."""
    path = pathlib.Path(path)
    BUILD.mkdir(parents=True, exist_ok=True)
    target = BUILD / (path.stem + sysconfig.get_config_var("EXT_SUFFIX"))
    headers = [p for room in ("ipc", "dpdk_py", "stack", "fix", "gateway") for p in (ROOT / room).rglob("*.pxd")]
    if not fresh(target, path, *headers):
        c = BUILD / (path.stem + ".c")
        subprocess.run([sys.executable, "-m", "cython", "-3", "-I", ROOT, path, "-o", c], check=True, cwd=ROOT)
        subprocess.run(["gcc", "-shared", "-fPIC", "-std=gnu11", "-fno-strict-aliasing", "-w", *flags, "-I", ROOT,
                        "-I", ROOT / "ipc", "-I", sysconfig.get_path("include"), c, "-o", target], check=True)
    spec = importlib.util.spec_from_file_location(path.stem, target)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def c_program(path, *flags):
    """The executable of a C file, or None where it is absent (../shared/floors in a clone)."""
    path = pathlib.Path(path)
    if not path.exists():
        return None
    BUILD.mkdir(parents=True, exist_ok=True)
    target = BUILD / path.stem
    if not fresh(target, path):
        subprocess.run(["gcc", "-O3", "-march=native", "-w", *flags, path, "-o", target], check=True)
    return target


def machine():
    """One line on what the figures were taken on."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    gcc = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True).stdout.strip()
    return f"{model}, {os.cpu_count()} cores, Linux {os.uname().release}, Python {sys.version.split()[0]}, gcc {gcc} -O3"


def scratch():
    """A directory in shared memory that goes away by itself."""
    return tempfile.TemporaryDirectory(prefix="fixwire-bench-", dir="/dev/shm")
