"""No test may stand for ever: the two time limits of pyproject.toml, met by tests that do; what tests start ends too."""
import ast
import os
import pathlib
import subprocess
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
OPTIONS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
WAITS = "time.sleep(60)"
HOLDS_THE_GIL = "ctypes.PyDLL(None).sleep(60)"      # no thread of Python's runs then, nor pytest-timeout's


def run(folder, statement, limits, **variables):
    """pytest on one test of that statement, with our conftest and our settings but for the limits."""
    settings = {k: v for k, v in OPTIONS.items() if "timeout" in k} | limits
    (folder / "pytest.ini").write_text("[pytest]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items()))
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (folder / "test_it.py").write_text("import ctypes, time\n"
                                       f"def test_that_stands():\n    print('so far')\n    {statement}\n")
    env = {k: v for k, v in os.environ.items() if not k.startswith("FIXWIRE_")}
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"], cwd=folder,
                          env={**env, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", **variables}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=300)


@pytest.mark.parametrize("statement, limits, words", [
    (WAITS, {"timeout": 1}, ["so far", "Stack of MainThread"]),
    (HOLDS_THE_GIL, {"timeout": 1, "faulthandler_timeout": 2}, ["Timeout (0:00:02)!"]),
], ids=["waits", "holds the GIL"])
def test_a_test_that_stands_ends_the_run_and_is_named(tmp_path, statement, limits, words):
    done = run(tmp_path, statement, limits)
    assert done.returncode == 1 and "in test_that_stands" in done.stdout and "passed" not in done.stdout
    assert all(w in done.stdout for w in words), done.stdout


def test_a_soak_takes_what_it_takes(tmp_path):
    done = run(tmp_path, "time.sleep(2)", {"timeout": 0.5, "faulthandler_timeout": 1}, FIXWIRE_SEEDS="1")
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout


def test_the_limits_are_there():
    assert 0 < OPTIONS["timeout"] < OPTIONS["faulthandler_timeout"] <= 900
    assert OPTIONS["timeout_method"] == "thread" and OPTIONS["faulthandler_exit_on_timeout"] is True


def endless(source):
    """The lines where a process is run without a limit of its own: the limit of the test would end the whole run."""
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
    return [n.lineno for n in calls
            if (n.func.attr == "communicate" and not n.args or ast.unparse(n.func) == "subprocess.run")
            and not any(k.arg in ("timeout", None) for k in n.keywords)]


def test_what_tests_start_has_a_limit():
    assert endless("p.communicate()\nsubprocess.run(a)\nsubprocess.run(a, timeout=1)\np.communicate(timeout=1)") == [1, 2]
    assert {f.name: lines for f in (ROOT / "tests").glob("test_*.py") if (lines := endless(f.read_text()))} == {}
