"""What `make lint` asks of the stubs can fail: one that differs from its module, and a call that differs from its stub."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.uninstrumented("mypy is not ours, and what it is asked does not depend on the build")
ROOT = pathlib.Path(__file__).parent.parent
ALLOWLIST = ROOT / "tests/stubtest_allowlist.txt"


def complaints(*command, cwd, **env):
    done = subprocess.run([sys.executable, "-m", *map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=300,
                          env=dict(os.environ, **env))
    assert not done.stderr, done.stderr
    assert done.returncode == bool(done.stdout)
    return done.stdout.splitlines()


def test_an_argument_renamed_in_a_stub_is_found(tmp_path):
    shutil.copytree(ROOT / "ipc", tmp_path / "ipc")
    stub = tmp_path / "ipc/segment.pyi"
    text = stub.read_text()
    assert text.count("def retire(path: str, force: bool") == 1
    stub.write_text(text.replace("def retire(path: str, force: bool", "def retire(path: str, forced: bool"))
    (said,) = complaints("mypy.stubtest", "--concise", "--allowlist", ALLOWLIST, "--ignore-unused-allowlist", "ipc.segment",
                         cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert said == 'ipc.segment.retire is inconsistent, stub parameter "forced" differs from runtime parameter "force"'


def test_a_wrong_call_of_a_lazily_loaded_name_is_found(tmp_path):
    user = tmp_path / "user.py"
    user.write_text("from gateway import GatewaySession\n\n\ndef buy(session: GatewaySession) -> int:\n"
                    "    return session.order_new('FIXW', '1', Quantity=100)\n")
    said = complaints("mypy", "--no-error-summary", "--config-file", ROOT / "pyproject.toml", user, cwd=ROOT)
    assert any('Unexpected keyword argument "Quantity"' in line for line in said), said
    assert all("user.py:5" in line for line in said if ": error:" in line), said
