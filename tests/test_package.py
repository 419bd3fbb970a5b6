"""The wheel and the sdist as a user meets them: what they hold, that they build, that a clean venv can import them."""
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile

import pytest

pytestmark = pytest.mark.uninstrumented("packages are built without sanitizers")
ROOT = pathlib.Path(__file__).parent.parent
ROOMS = ("dpdk_py", "stack", "fix", "ipc", "feed", "gateway")
# A module of each room, with its room's C headers, is compiled from the sdist; of the others what the tree has is taken
COMPILED = ("dpdk_py/capture", "dpdk_py/mbuf", "stack/neighbor", "fix/parse", "ipc/segment", "gateway/callback")


def take_over(tree):
    """The tree's C files and modules where the build in `tree` looks for its own, newer than every source there."""
    library = tree / "build" / f"lib.{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    for room in ROOMS:
        for module in (p for p in (ROOT / room).rglob("*.so") if f"{room}/{p.name.split('.')[0]}" not in COMPILED):
            name = module.relative_to(ROOT)
            generated = pathlib.Path("build/cython") / name.with_name(name.name.split(".")[0] + ".c")
            for source, target in ((ROOT / generated, tree / generated), (module, library / name)):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


def run(*command, cwd=ROOT, **env):
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True,
                          env=dict(os.environ, **env), timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from the sdist; all but COMPILED is not compiled a second time."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "setup.py", "-q", "sdist", "-d", out)
    (sdist,) = out.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        tar.extractall(out, filter="data")
    (tree,) = (d for d in out.iterdir() if d.is_dir())
    missing = [str(p.relative_to(ROOT)) for room in ROOMS for s in ("pyx", "pxd", "pyi", "h", "py")
               for p in (ROOT / room).rglob(f"*.{s}") if not (tree / p.relative_to(ROOT)).exists()]
    assert not missing, f"not in the sdist: {missing}"
    take_over(tree)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", out, tree,
        FIXWIRE_OPT="-O0")
    again = {str(p.with_suffix("")).partition("/build/cython/")[2] for p in (tree / "build").rglob("*.o")}
    assert again <= set(COMPILED) and len(again) > 4, again
    (found,) = out.glob("*.whl")
    return found


@pytest.mark.slow
def test_the_wheel_holds_headers_stubs_and_markers(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for room in ROOMS:
        assert f"{room}/py.typed" in names
        for suffix in ("pxd", "pyi"):
            wanted = {str(p.relative_to(ROOT)) for p in (ROOT / room).rglob(f"*.{suffix}")}
            assert wanted <= names, sorted(wanted - names)
    compiled = {p.relative_to(ROOT).with_suffix("") for room in ROOMS for p in (ROOT / room).rglob("*.pyx")}
    built = {pathlib.Path(n.split(".")[0]) for n in names if n.endswith(".so")}
    assert compiled - built <= {pathlib.Path("dpdk_py") / m for m in ("eal", "mbuf", "port")}


@pytest.mark.slow
def test_a_clean_venv_imports_it_and_has_the_command(wheel, tmp_path):
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(sys.executable, "-m", "pip", "-q", f"--python={python}", "install", "--no-deps", wheel)
    run(python, "-c", "import dpdk_py, stack, fix, ipc, feed, gateway", cwd=tmp_path)
    assert "demo" in run(tmp_path / "venv" / "bin" / "fixwire", "--help", cwd=tmp_path)


def test_every_compiled_module_has_its_stub():
    bare = [str(p.relative_to(ROOT)) for room in ROOMS for p in (ROOT / room).rglob("*.pyx")
            if not p.with_suffix(".pyi").exists()]
    assert not bare
