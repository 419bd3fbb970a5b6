"""A few hundred worlds of simulation.py, that a seed repeats, and that what it looks for would be found."""
import os
import subprocess
import sys

import pytest
import simulation
from simulation import Plan, World, Wrong, run

SEEDS = range(int(os.environ.get("FIXWIRE_SEEDS", "200")))
CHUNK = 20


@pytest.mark.parametrize("first", SEEDS[::CHUNK])
def test_worlds_come_to_a_right_end(first):
    for seed in SEEDS[first:first + CHUNK]:
        run(seed)


@pytest.mark.parametrize("seed", [1687, 2166, 2782, 4392, 4711])
def test_a_world_that_once_went_wrong(seed):
    """An MTU that shrank between SYN and its ACK left segments the device loses: stuck."""
    run(seed)


def test_what_is_exercised():
    """The first 200 seeds meet every kind of trouble, or the other tests show less than they seem to."""
    total = sum((run(seed).count for seed in range(0, 200, 2)), start=simulation.collections.Counter())
    for what in ("lost", "doubled", "reordered", "damaged", "queue_full", "link_down_lost", "spikes", "mtu_changes",
                 "forged", "aborts", "crashes", "reconnects", "clock_jumps", "cookies", "tx_rack_retransmit",
                 "tx_fast_retransmit", "tx_timeout_retransmit", "tx_tail_probe", "tx_syn_retransmit", "tx_window",
                 "rx_out_of_order", "rx_duplicate", "rx_checksum", "rx_paws", "rx_predicted"):
        assert total[what], what


def digest_in_a_fresh_process(seed, hashseed):
    program = f"import simulation; print(simulation.run({seed}).digest.hexdigest())"
    return subprocess.run([sys.executable, "-c", program], cwd=os.path.dirname(__file__), check=True, text=True,
                          env={**os.environ, "PYTHONHASHSEED": hashseed}, capture_output=True, timeout=300).stdout.strip()


def test_a_seed_gives_the_same_octets_at_the_same_times():
    first = [run(seed).digest.hexdigest() for seed in (3, 4)]
    assert first == [run(seed).digest.hexdigest() for seed in (3, 4)] and first[0] != first[1]
    assert digest_in_a_fresh_process(3, "0") == digest_in_a_fresh_process(3, "12345") == first[0]


# -- planted faults: the world goes wrong, and says so

def plain():
    """A world with a perfect wire and something to say, so that a planted fault is the only one."""
    plan = Plan(1)
    plan.loss = plan.double = plan.reorder = plan.damage = plan.spike = plan.blind = plan.queue = 0
    plan.flaps, plan.jumps, plan.mtus, plan.crash_ns, plan.abort_ns, plan.static = [], [], [1500], None, None, True
    for options, app in zip(plan.options, plan.apps, strict=True):
        options.update(timestamps=False, mss=0, rcv_buf=8192, syn_cookies=True, backlog=16)
        app.update(total=20_000, chunk=1000, pause=0, reads="callback")
    return plan


def broken(**changes):
    world = World(1, plan=plain())
    for name, function in changes.items():
        setattr(world, name, function.__get__(world))
    with pytest.raises(Wrong) as caught:
        world.run()
    assert "seed 1: " in str(caught.value)
    return str(caught.value)


def test_the_plain_world_is_right():
    world = World(1, plan=plain()).run()
    assert world.count["octets"] == 40_000 and world.count["lost"] == 0


def test_a_dead_timer_is_found_at_once():
    class WithoutTimers:
        def __init__(self, stack):
            self.stack = stack

        def __getattr__(self, name):
            return getattr(self.stack, name)

        def deadline(self):
            return None

    def deaf(self):
        self.stacks[0] = WithoutTimers(self.stacks[0])
        return World.run(self)

    assert "10.0.0.1 has 1 octets unacknowledged and 0 unsent, and no timer" in broken(run=deaf)


def test_a_wrong_octet_is_found():
    def swap(self, side, data):                     # both checksums stay right: two 16-bit words change places
        if len(data) > 200 and not self.count["swapped"]:
            self.count["swapped"] += 1
            data = data[:100] + data[102:104] + data[100:102] + data[104:]
        World.carry(self, side, data)
    assert "are wrong" in broken(carry=swap)


def test_a_connection_that_stands_still_is_found():
    def swallow(self, side, data):                  # nothing with text arrives, ever
        if len(data) < 70:
            World.carry(self, side, data)
    assert "stuck" in broken(carry=swallow)


def test_a_frame_nobody_accounts_for_is_found():
    def steal(self):                                # one frame taken off the device behind the stack's back
        if self.devices[0].rx_burst(1):
            self.on_arrives = World.on_arrives.__get__(self)

    def arrives(self, side, data):
        World.on_arrives(self, side, data)
        if side == 0 and len(data) < 60:
            steal(self)
    assert "frames received" in broken(on_arrives=arrives)


def test_a_reset_out_of_nothing_is_found():
    def arrives(self, side, data):
        World.on_arrives(self, side, data)
        if side == 0 and self.apps[1].conn is not None and self.apps[1].sent > 500:
            self.apps[1].conn.abort(self.now)
            self.on_arrives = World.on_arrives.__get__(self)
    assert "reset" in broken(on_arrives=arrives)


def test_a_failing_seed_prints_its_exchange(capsys):
    assert simulation.replay(8)
    out = capsys.readouterr().out
    assert "// seed 8: delay_ns" in out and " S. " in out and " F" in out and "// right: " in out


def test_the_soak_command(capsys):
    from soak import main
    assert main(["--seeds", "30", "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert "30 seeds in" in out and "0 wrong" in out and "wire: " in out
