"""What EAL is asked once a process: every test here is a process of its own."""
# ruff: noqa: F821 (the bodies run in the other process, where HEAD has imported the names)
import inspect
import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.dpdk
pytest.importorskip("dpdk_py.port", reason="the DPDK modules are not here")

HEAD = """
import os, sys, threading
from dpdk_py import DpdkDevice, DpdkError, Eal
from dpdk_py.mbuf import Mempool
from dpdk_py.port import Port

def refused(f, *args, **kw):
    try:
        f(*args, **kw)
    except (DpdkError, ValueError) as e:
        return str(e)
    raise AssertionError(f"{f} was not refused")
"""


def alone(function, **env):
    """Run the body of `function` in a new process; its output. AssertionError with the traceback if it fails."""
    body = textwrap.dedent("".join(inspect.getsourcelines(function)[0][1:]))
    done = subprocess.run([sys.executable, "-c", HEAD + body], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **env})
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_eal_begins_once_and_gives_the_affinity_back():
    def body():
        before = os.sched_getaffinity(0)
        assert Eal.current() is None
        e = Eal(["-n", "4"])
        assert os.sched_getaffinity(0) == before and Eal.current() is e
        assert "initialised already, with -n 4" in refused(Eal)
        assert Eal.ensure() is e is Eal.ensure(["-n", "4"])
        assert "not with -n 2 but with -n 4" in refused(Eal.ensure, ["-n", "2"])
        assert e.version.startswith("DPDK 2") and "Detected" in e.log
        assert e.hugepages == ("--no-huge" not in e.args)
    out = alone(body)
    assert (out.stdout, out.stderr) == ("", "")         # all that EAL says is in its log


def test_a_thread_becomes_an_lcore_and_ceases_to_be_one():
    def body():
        e = Eal()
        Port("net_ring0").close()
        seen = []
        def thread():
            seen.append(e.lcore)
            e.register_thread()
            e.register_thread()
            seen.append(e.lcore)
            e.unregister_thread()
            e.unregister_thread()
            seen.append(e.lcore)
        t = threading.Thread(target=thread)
        t.start()
        t.join()
        e.unregister_thread()
        assert e.lcore == 0 and seen[0] is None and seen[1] > 0 and seen[2] is None, seen
    alone(body)


def test_after_cleanup_calls_raise_instead_of_dumping_a_stack():
    def body():
        e = Eal()
        d, port = DpdkDevice("net_ring0"), Port("net_null0")
        pool, b = Mempool(15), port.pools[0].alloc()
        e.cleanup()
        e.cleanup()
        assert d.closed and port.closed and Eal.current() is None
        for call in (d.rx_burst, port.rx_burst, pool.alloc, e.register_thread, Eal, Eal.ensure,
                     lambda: Port("net_null1"), lambda: b.len):
            try:
                call()
            except OSError as error:
                assert "clean" in str(error) or "closed" in str(error), error
            else:
                raise AssertionError(call)
        del b, pool
    assert alone(body).stderr == ""


def test_a_failed_start_is_one_exception_and_the_next_try_repeats_it():
    def body():
        said = refused(Eal, ["--lcores=0@4095"])
        assert said.startswith("EAL: EAL does not initialise: invalid parameter for --lcores"), said
        assert said.endswith("page has its form") and len(said) < 300, said
        again = refused(Eal)
        assert "cannot try twice" in again and "does not initialise" in again, again
        assert "cannot try twice" in refused(Port, "net_null0")
    out = alone(body)
    assert (out.stdout, out.stderr) == ("", "")


def test_unknown_arguments_are_refused_and_do_not_spoil_the_process():
    def body():
        assert "did you mean --no-huge" in refused(Eal, ["--no-hugh"])
        assert "list of strings" in refused(Eal, "--no-huge")
        assert "none is free" in refused(Eal, hugepages=True) or Eal.current()
        Port("net_null0").close()
    alone(body)


def test_the_child_of_a_fork_is_told_so():
    def body():
        d = DpdkDevice("net_ring0")
        pid = os.fork()
        if pid == 0:
            try:
                said = refused(Port, "net_null0") + refused(d.port.stats)
                os._exit(0 if said.count("parent of this fork") == 2 else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert d.tx(bytes(60)) and len(d.rx_burst()) == 1
    alone(body)


def test_without_a_runtime_directory_nothing_is_left_behind(tmp_path):
    def body():
        environment = dict(os.environ)
        Eal()
        assert dict(os.environ) == environment
    alone(body, TMPDIR=str(tmp_path), XDG_RUNTIME_DIR="")
    assert os.listdir(tmp_path) == []


def test_hugepages_if_there_are_any():
    from dpdk_py import eal_args
    free = eal_args.free_hugepages_mb()

    def body():
        e = Eal()
        print(e.hugepages)
        d = DpdkDevice("net_ring0")
        assert d.tx(bytes(60)) and len(d.rx_burst()) == 1
    assert alone(body).stdout.strip() == str(free >= eal_args.HUGE_NEED_MB)


def example(*args):
    root = pathlib.Path(__file__).parent.parent
    return subprocess.run([sys.executable, "examples/dpdk_frames.py", *args], cwd=root, capture_output=True, text=True,
                          timeout=60, env={**os.environ, "PYTHONPATH": str(root)})


def test_the_example_prints_frames_one_line_each():
    done = example("net_null0,size=80", "--count", "3", "--eal", "-n", "2")
    assert done.returncode == 0, done.stderr
    assert [line[:11] for line in done.stdout.splitlines()] == ["   80 00:00"] * 3
    assert "net_null" in done.stderr and "-n 2" in done.stderr and "3 frames" in done.stderr


def test_the_example_says_what_is_wrong_in_one_line():
    done = example("net_nosuch0")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "no driver of that name" in done.stderr
    assert "Example:" in example("--help").stdout
