"""QuickFIX's acceptance definitions of FIX 4.2, played against tests.acceptance over kernel TCP.

The definitions wait for heartbeats, so they are dealt out to several acceptors that run at once.
"""
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
ACCEPTANCE = ROOT.parent / "shared" / "acceptance"
# those that wait for time to pass come first, so that every acceptor has one of them
SLOW = ("6_SendTestRequest", "4a_", "2i_", "14a_", "AlreadyLoggedOn", "1b_")
HANDS = 4


def play(port, files):
    return subprocess.Popen(
        [sys.executable, ACCEPTANCE / "at_player.py", "127.0.0.1", str(port), *files],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
@pytest.mark.skipif(not (ACCEPTANCE / "fix42").is_dir(), reason="../shared/acceptance is not there")
def test_fix42():
    files = sorted((ACCEPTANCE / "fix42").glob("*.def"), key=lambda f: (not f.name.startswith(SLOW), f.name))
    assert len(files) == 58
    acceptors = [subprocess.Popen([sys.executable, "-m", "tests.acceptance", "--port", "0"], cwd=ROOT,
                                  stdout=subprocess.PIPE, text=True) for _ in range(HANDS)]
    try:
        ports = [int(a.stdout.readline().rsplit(":", 1)[1]) for a in acceptors]
        players = [play(port, files[n::HANDS]) for n, port in enumerate(ports)]
        told = [p.communicate(timeout=300)[0] for p in players]
    finally:
        for a in acceptors:
            a.kill()
            a.wait()
            a.stdout.close()
    failed = [line for text in told for line in text.splitlines() if not line.startswith(("PASS", "total", "fix42"))]
    assert not failed, "\n".join(failed)
    assert sum(text.count("PASS") for text in told) == 58
