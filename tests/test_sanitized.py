"""make test-debug can fail: planted faults stop the process, and every extension module carries the checks."""
import os
import pathlib
import signal
import subprocess
import sys

import compiled
import pytest
import sanitized

from dpdk_py.capture import PcapReader

HERE = pathlib.Path(__file__).parent
pytestmark = pytest.mark.skipif(not os.environ.get("FIXWIRE_SANITIZE"), reason="part of make test-debug")


@pytest.fixture(scope="module")
def face():
    return compiled.build("debug_face")


def child(face, call):
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import compiled; compiled.module('debug_face', {face!r}).{call}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env=dict(os.environ, **sanitized.environment(HERE.parent, report=None)), timeout=300)


@pytest.mark.parametrize("good, bad, said", [
    ("overrun(0)", "overrun(1)", "heap-buffer-overflow"),
    ("overrun_store(0)", "overrun_store(1)", "heap-buffer-overflow"),
    ("overflow(2**31 - 2)", "overflow(2**31 - 1)", "signed integer overflow"),
    ("tcp_transition(True)", "tcp_transition(False)", "tcp: state 4 cannot follow 0"),
    ("fix_transition(True)", "fix_transition(False)", "fix: state 3 cannot follow 0"),
])
def test_a_planted_fault_stops_the_process(face, good, bad, said):
    assert child(face, good).returncode == 0
    done = child(face, bad)
    assert done.returncode != 0 and said in done.stderr, done.stderr


def test_a_failed_check_leaves_the_flight_recorders_file(face, tmp_path):
    assert child(face, f"tcp_transition_recorded(True, {str(tmp_path)!r})").returncode == 0
    assert list(tmp_path.iterdir()) == []
    done = child(face, f"tcp_transition_recorded(False, {str(tmp_path)!r})")
    assert done.returncode == -signal.SIGABRT and "tcp: state 4 cannot follow 0" in done.stderr
    file, = tmp_path.iterdir()
    assert file.name.endswith("-000-check.pcapng") and len(list(PcapReader(file))) >= 1


def test_every_module_carries_the_checks():
    modules = [p for room in ("dpdk_py", "stack", "fix", "ipc", "gateway") for p in (HERE.parent / room).glob("*.so")]
    assert len(modules) > 50
    for module in modules:
        octets = module.read_bytes()
        assert b"__asan_report" in octets and b"__ubsan_handle" in octets, module
