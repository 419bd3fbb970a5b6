"""Every ring, its sides killed and stopped in every state of every operation (tests/stepped_rings.py).

Here a share of the list; `make soak-ipc` goes through all of it, at each instruction too.
"""
import platform

import pytest
from children import LIMIT_S, in_a_small_process

pytestmark = [pytest.mark.slow, pytest.mark.uninstrumented("the sanitizer's own stores would be counted"),
              pytest.mark.skipif(platform.machine() != "x86_64", reason="stepped with x86-64's trap flag")]


@pytest.mark.parametrize("what", ["deaths", "deaths, instructions"])
def test_a_side_that_dies_in_any_state_stalls_tears_and_doubles_nothing(what):
    in_a_small_process("stepped_rings", "play", what, limit_s=3 * LIMIT_S)


def test_a_producer_that_dies_while_it_takes_over_from_a_dead_one():
    in_a_small_process("stepped_rings", "play", "attaches", limit_s=LIMIT_S)


def test_a_publisher_of_pooled_buffers_that_dies_in_any_state():
    in_a_small_process("stepped_rings", "play", "pooled", limit_s=LIMIT_S)


@pytest.mark.parametrize("what", ["stops", "stops, instructions"])
def test_a_side_that_stands_still_in_any_state_loses_nothing(what):
    in_a_small_process("stepped_rings", "play", what, limit_s=3 * LIMIT_S)


def test_a_reader_overtaken_at_any_instruction_takes_nothing_torn():
    in_a_small_process("stepped_rings", "play", "overtaken", limit_s=LIMIT_S)


def test_without_the_second_look_it_does():
    """The planted fault of the test above."""
    with pytest.raises(AssertionError, match="torn or taken for another"):
        in_a_small_process("stepped_rings", "play", "torn", limit_s=LIMIT_S)
