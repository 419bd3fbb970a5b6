"""Sessions with the real QuickFIX, which runs on the Linux kernel's TCP in a namespace of its own."""
import json
import pathlib

import netns
import pytest

pytestmark = pytest.mark.netns
pytest.importorskip("quickfix", reason="quickfix is not installed (pip install quickfix-tls)")

PEER = str(netns.ROOT / "tests" / "peers" / "quickfix_peer.py")
DICTIONARY = pathlib.Path(netns.ROOT / "../shared/dictionaries/FIX44.xml").resolve()
CHECKED = ["--dictionary", str(DICTIONARY)] if DICTIONARY.exists() else []
N = 1000


def summary(process, timeout=60):
    return json.loads(process.finish(timeout).stdout.splitlines()[-1])


def test_the_peer_itself_against_itself():
    """QuickFIX to QuickFIX over the kernel's loopback: what the other tests rely on."""
    with netns.Link() as link:
        acceptor = link.peer.python(PEER, "acceptor", "exchange", "--sender=A", "--target=B", *CHECKED, ready="ready")
        client = link.peer.python(PEER, "initiator", "client", "--sender=B", "--target=A", "--logout", *CHECKED)
        placed, filled = summary(client), summary(acceptor)
    assert len(placed["executions"]) == len(filled["orders"]) == N
    assert set(placed["executions"]) == set(filled["orders"]) and len(set(filled["orders"])) == N
    assert filled["received"]["5"] == filled["sent"]["5"] == 1 and placed["errors"] in ([], ["done"])
    assert placed["possdup"] == filled["possdup"] == 0
