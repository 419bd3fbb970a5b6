"""The wheel and the sdist as a user meets them: what they hold, that they build, that a clean venv can import them."""
import os
import pathlib
import subprocess
import sys
import tarfile
import zipfile

import pytest

pytestmark = pytest.mark.uninstrumented("packages are built without sanitizers")
ROOT = pathlib.Path(__file__).parent.parent
ROOMS = ("dpdk_py", "stack", "fix", "ipc", "feed", "gateway")


def run(*command, cwd=ROOT, **env):
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True,
                          env=dict(os.environ, **env), timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from the sdist, with the modules of the tree put where its build looks, so nothing is compiled twice."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "setup.py", "-q", "sdist", "-d", out)
    (sdist,) = out.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        tar.extractall(out, filter="data")
    (tree,) = (d for d in out.iterdir() if d.is_dir())
    missing = [str(p.relative_to(ROOT)) for room in ROOMS for s in ("pyx", "pxd", "pyi", "h", "py")
               for p in (ROOT / room).rglob(f"*.{s}") if not (tree / p.relative_to(ROOT)).exists()]
    assert not missing, f"not in the sdist: {missing}"
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", out, tree,
        FIXWIRE_OPT="-O0")
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
