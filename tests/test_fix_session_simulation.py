"""Two sessions over a wire that breaks (tests/fix_simulation.py): everything arrives once, in order, numbers agree.

FIXWIRE_SEEDS=10000 runs more of them.
"""
import os

from fix_simulation import World

SEEDS = int(os.environ.get("FIXWIRE_SEEDS", "300"))


def test_every_message_arrives_once_and_in_order():
    breaks = resends = 0
    for seed in range(SEEDS):
        world = World(seed)
        try:
            world.run().check()
        except AssertionError as error:
            raise AssertionError(f"seed {seed} (python tests/fix_simulation.py {seed}): {error}") from None
        for side in (world.a, world.b):
            stats = side.session.stats()
            breaks += stats["disconnects"]
            resends += stats["resent"]
    assert breaks > SEEDS and resends > SEEDS           # the faults were there
