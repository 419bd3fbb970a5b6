"""The command itself: exit codes, one sentence for a mistake, and what starting it may not import."""
import json
import os
import subprocess
import sys

import pytest

from gateway import cli

HEAVY = {"numpy", "scapy", "hypothesis", "matplotlib", "asyncio", "importlib.metadata", "inspect", "dataclasses",
         "typing", "json", "tomllib", "gateway.engine", "gateway.demo", "gateway.show", "gateway.replay", "gateway.run",
         "gateway.config", "dpdk_py.eal", "dpdk_py.port", "difflib", "ipaddress"}


def fixwire(*args, **kw):
    env = {**os.environ, "COLUMNS": "100", **kw.pop("env", {})}
    return subprocess.run([sys.executable, "-m", "gateway", *args], capture_output=True, text=True, env=env,
                          timeout=300, **kw)


def imported_by(code):
    """Modules in a fresh interpreter after `code`, beyond those of an empty one."""
    def modules(text):
        out = subprocess.run([sys.executable, "-c", f"{text}\nimport sys; print(*sys.modules)"], capture_output=True,
                             text=True, check=True, timeout=300)
        return set(out.stdout.split())
    return modules(code) - modules("pass")


def test_help_imports_no_more_than_it_needs():
    loaded = imported_by("from gateway.cli import parser\nparser().format_help()")
    assert not loaded & (HEAVY - {"typing"}), loaded & HEAVY
    assert "argparse" in loaded


def test_import_fix_imports_nothing_heavy():
    loaded = imported_by("import fix")
    assert not loaded & {"numpy", "asyncio", "inspect", "argparse", "xml.etree", "gateway", "stack", "dpdk_py"}


def test_the_import_list_sees_a_planted_numpy():
    assert "numpy" in imported_by("import gateway.cli, numpy")


def test_help_of_every_command_has_examples():
    whole = fixwire("--help")
    assert whole.returncode == 0 and "examples:" in whole.stdout
    for name in ("demo", "show", "replay", "run", "devices"):
        assert f"  fixwire {name}" in whole.stdout
        one = fixwire(name, "--help")
        assert one.returncode == 0 and "examples:" in one.stdout and not one.stderr


def test_version():
    out = fixwire("--version")
    assert out.returncode == 0 and out.stdout.startswith("fixwire ")


@pytest.mark.parametrize("args, sentence", [
    ([], "fixwire: which command? demo, show, replay, run, strategy, session, devices or ipc; see fixwire --help"),
    (["shwo"], "fixwire: argument command: invalid choice: 'shwo'"),
    (["show"], "fixwire show: the following arguments are required: FILE; see fixwire show --help"),
    (["show", "x", "--json", "--summary"], "fixwire show: argument --summary: not allowed with argument --json; "
                                           "see fixwire show --help"),
    (["demo", "--orders", "-3"], "fixwire demo: argument --orders: '-3' is not a whole number of 0 or more; "
                                 "see fixwire demo --help"),
    (["demo", "--orders", "ten"], "fixwire demo: argument --orders: 'ten' is not a whole number of 0 or more; "
                                  "see fixwire demo --help"),
    (["replay", "f"], "fixwire replay: the following arguments are required: --strategy; see fixwire replay --help"),
])
def test_wrong_usage_is_one_sentence_and_exit_2(args, sentence):
    out = fixwire(*args)
    assert out.returncode == 2 and not out.stdout
    assert out.stderr.startswith(sentence) and out.stderr.count("\n") == 1


@pytest.mark.parametrize("text, what", [("10.0.0.1", ("10.0.0.1", None)), ("10.0.0.1:99", ("10.0.0.1", 99))])
def test_an_end(text, what):
    assert cli.end(text, "--us") == what


@pytest.mark.parametrize("text", ["10.0.0", "host", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:x", "",
                                  "::1"])
def test_no_end(text):
    with pytest.raises(cli.Mistake, match="--us is "):
        cli.end(text, "--us")


class Terminal:
    def isatty(self):
        return True


def test_colour_only_on_a_terminal_that_wants_it(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert cli.colour(Terminal()) and not cli.colour(object())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not cli.colour(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not cli.colour(Terminal())


def test_a_mistake_a_closed_pipe_and_ctrl_c(monkeypatch, capsys):
    def raising(e):
        def run(args):
            raise e
        return run
    monkeypatch.setattr(cli, "_devices", raising(cli.Mistake("x is 3, must be 4")))
    assert cli.main(["devices"]) == 2
    assert capsys.readouterr().err == "fixwire: x is 3, must be 4\n"
    monkeypatch.setattr(cli, "_devices", raising(KeyboardInterrupt()))
    assert cli.main(["devices"]) == 130


def test_a_reader_that_leaves_is_no_error():
    """`fixwire --help | true`, with a pipe whose reader is gone before we write."""
    r, w = os.pipe()
    os.close(r)
    out = subprocess.run([sys.executable, "-m", "gateway", "--version"], stdout=w, stderr=subprocess.PIPE, text=True,
                         timeout=300)
    os.close(w)
    assert (out.returncode, out.stderr) == (0, "")


def test_devices_name_what_is_missing_and_the_remedy():
    out = fixwire("devices", "--json")
    found = json.loads(out.stdout)
    assert out.returncode == 0 and {"pair", "pcap", "afpacket", "dpdk"} <= set(found)
    assert all(b["available"] or (b["why"] and b["remedy"]) for b in found.values())
    assert all(name in fixwire("devices").stdout for name in found)
