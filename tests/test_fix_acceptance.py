"""QuickFIX's acceptance definitions of FIX 4.2, played against tests.acceptance over kernel TCP and over our own stack.

The definitions wait for heartbeats, so both plays run at once, each with two acceptors: one definition takes half a
minute alone, the others share the second acceptor. FIXWIRE_DEFINITIONS names another folder of definitions.
"""
import os
import pathlib
import sys

import netns
import pytest

SHARED = netns.ROOT.parent / "shared" / "acceptance"
DEFINITIONS = pathlib.Path(os.environ.get("FIXWIRE_DEFINITIONS", SHARED / "fix42"))
LONGEST = "6_SendTestRequest.def"
FILES = sorted(DEFINITIONS.glob("*.def"))

pytestmark = [pytest.mark.slow, pytest.mark.netns,
              pytest.mark.skipif(not DEFINITIONS.is_dir(), reason="../shared/acceptance is not there")]


class Play:
    """Acceptors on one TCP, and the players they answer to."""

    def __init__(self, place, commands):
        self.place, self.players = place, []
        self.acceptors = [where.python("-m", "tests.acceptance", *argv) for where, argv in commands]

    def start(self, *hands):
        """A player for each hand of files, one acceptor each."""
        for acceptor, files in zip(self.acceptors, hands, strict=False):
            acceptor.expect("listening on ")
            host, port = acceptor.text().split()[-1].split(":")
            self.players.append(self.place.start([sys.executable, str(SHARED / "at_player.py"), host, port,
                                                  "--expect-timeout", "30", *map(str, files)]))

    def result(self):
        """Lines that tell of no pass, and how many passed."""
        told = "".join(p.finish(timeout=300, check=False).stdout for p in self.players)
        self.players.clear()
        return [line for line in told.splitlines() if "FAIL" in line or line.startswith(" ")], told.count("PASS")


@pytest.fixture(scope="module")
def plays():
    with netns.Link() as link:
        found = {"kernel": Play(link.peer, [(link.peer, ["--port", "0"])] * 2),
                 "stack": Play(link.peer, [(link.us, ["--device", "afpacket:us0", "--address", f"10.77.0.{n}/24"])
                                           for n in (2, 3)])}
        for play in found.values():
            play.start([f for f in FILES if f.name == LONGEST], [f for f in FILES if f.name != LONGEST])
        yield found


@pytest.mark.parametrize("over", ["kernel", "stack"])
def test_every_definition_passes(plays, over):
    failed, passed = plays[over].result()
    assert not failed, "\n".join(failed)
    assert passed == len(FILES) >= 58


def test_a_wrong_answer_is_noticed(plays, tmp_path):
    """The judgement itself: a definition that expects another answer fails."""
    text = (SHARED / "fix42" / "1a_ValidLogonWithCorrectMsgSeqNum.def").read_bytes()
    wrong = tmp_path / "wrong.def"
    wrong.write_bytes(text.replace(b"108=30\x0110=0", b"108=31\x0110=0"))
    plays["kernel"].result()
    plays["kernel"].start([wrong])
    failed, passed = plays["kernel"].result()
    assert passed == 0 and failed[0].startswith("FAIL")
