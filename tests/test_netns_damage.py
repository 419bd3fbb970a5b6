"""The smallest cells of the damage matrix (`make damage`), and its judge: what it must not let pass.

Standing still is not judged here: on a loaded machine it is the scheduler's. What is judged does not depend on time.
"""
import copy

import netns
import pytest
from damage import cells, run
from damage.cells import Stalls

MS = 1_000_000
# Small cells meet few frames: these seeds' first thousands of draws keep to what is asked well within 20 %.
SMALL = [("reno/loss5", 1 * run.MB, 5), ("cubic/all", 2 * run.MB, 12), ("bbr/corrupt1", 2 * run.MB, 5)]
SMALL += [("lwip/reorder25", 1 * run.MB, 1)] if run.has_lwip() else []


@pytest.fixture(scope="module")
def link():
    netns.require()
    with run.make_link() as made:
        yield made


@pytest.fixture(scope="module")
def outcomes(link):
    return {cell: run.run_cell(link, cell, octets, seed, timed=False) for cell, octets, seed in SMALL}


@pytest.mark.netns
@pytest.mark.parametrize("cell", [cell for cell, _, _ in SMALL])
def test_both_streams_come_through_whole(outcomes, cell):
    outcome = outcomes[cell]
    assert outcome["faults"] == []
    assert outcome["us"]["sha256_in"] == outcome["peer"]["sha256_out"] != outcome["us"]["sha256_out"]
    assert outcome["peer"]["control"] == cell.partition("/")[0] and outcome["octets_back"] == outcome["octets"]
    assert outcome["us"]["received"] == outcome["octets"] and outcome["us"]["info"]["retransmitted"] > 0


@pytest.mark.netns
def test_a_wire_that_does_otherwise_than_asked_is_told(outcomes):
    asked_for_less = cells.faults("reno/loss1", outcomes["reno/loss5"], timed=False)
    assert len(asked_for_less) == 1 and " frames lost, asked " in asked_for_less[0]
    assert len(cells.faults("bbr/loss0", outcomes["cubic/all"], timed=False)) == 4
    none_done = cells.faults("cubic/corrupt1", outcomes["reno/loss5"], timed=False)
    assert any(fault.startswith("0 frames damaged") for fault in none_done)


@pytest.mark.netns
@pytest.mark.parametrize("place, value, said", [
    (("us", "sha256_in"), "0", "us received"), (("peer", "received"), 1, "peer received 1 of"),
    (("peer", "error"), "reset", "peer: reset"), (("us", "accounting"), "one too many", "us: one too many"),
    (("wire", "no_room"), 1, "by the bridge itself"), (("refused",), 3, "only 3 of"),
])
def test_what_goes_wrong_is_told(outcomes, place, value, said):
    outcome = copy.deepcopy(outcomes["bbr/corrupt1"])
    at = outcome
    for name in place[:-1]:
        at = at[name]
    at[place[-1]] = value
    faults = cells.faults("bbr/corrupt1", outcome, timed=False)
    assert len(faults) == 1 and said in faults[0]


# -- standing still

def watch(*looks):
    """A Stalls that was shown (at, octets acknowledged, busy, RTO), all times in ms."""
    stalls = Stalls()
    for at, value, busy, rto in looks:
        stalls.look(at * MS, value, busy, lambda rto=rto: rto * MS)
    return stalls.result()


def test_a_pause_is_measured_in_the_rto_before_and_after_its_back_off():
    seen = watch((0, 5, True, 50), (2, 5, True, 50), (51, 5, True, 100), (149, 5, True, 100), (150, 6, True, 50))
    assert seen == {"longest_ms": 150.0, "rtos": 1.5, "first_rtos": 3.0}


def test_a_sender_that_has_nothing_to_send_does_not_stand_still():
    assert watch((0, 5, False, 50), (900, 5, False, 50), (1000, 5, True, 50), (1001, 6, True, 50))["longest_ms"] == 0


def test_a_sender_that_forgot_its_timer_is_told():
    stall = watch((0, 5, True, 50), (2, 5, True, 50), (160, 6, True, 50))
    end = {"sent": 1, "received": 1, "sha256_in": "", "sha256_out": "", "error": "", "accounting": "", "stall": stall}
    outcome = {"us": end, "peer": end, "refused": 0, "wire": {"seen": 9, "lost": 0, "moved": 0, "doubled": 0, "damaged": 0}}
    assert cells.faults("reno/loss0", outcome, timed=False) == []
    assert ["stood still for 160" in fault for fault in cells.faults("reno/loss0", outcome)] == [True, True]
