"""Two gateways with faults in TCP and in FIX together (tests/fix_tcp_simulation.py): once, in order, numbers agree.

FIXWIRE_SEEDS=10000 runs more of them.
"""
import collections
import os

from fix_tcp_simulation import play

SEEDS = int(os.environ.get("FIXWIRE_SEEDS", "40"))
EXERCISED = ("lost", "doubled", "moved", "damaged", "delayed", "cuts", "deaths", "retransmitted", "resent", "gap_fills",
             "disconnects", "logons")


def test_every_message_arrives_once_and_in_order_over_a_bad_wire():
    counts = collections.Counter()
    for seed in range(SEEDS):
        counts += play(seed)
    print(", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    assert not [what for what in EXERCISED if not counts[what]], counts
