"""Every ring, its sides killed and stopped in every state of every operation (tests/stepped_rings.py).

Here a share of the list; `make soak-ipc` goes through all of it, at each instruction too.

FAILURES says, of everything that can happen to a ring, which tests show what comes of it.
"""
import pathlib
import platform
import re

import pytest
from children import LIMIT_S, in_a_small_process

FAILURES = {
    "producer killed in mid-payload, before publishing": "producer_killed_between_payload_and_publish "
        "a_slot_reserved_by_the_dead_is_skipped side_that_dies_in_any_state",
    "producer killed after publishing": "side_that_dies_in_any_state publisher_that_died_between_stamp_and_tail",
    "producer killed before it moved a hint": "producer_dead_before_it_moved_the_hint",
    "producer killed while it takes over": "while_it_takes_over_from_a_dead_one found_also_when_their_number_is_taken_again",
    "consumer killed between read and release": "consumer_killed_between_read_and_release side_that_dies_in_any_state",
    "consumer killed between slot and tail": "consumer_dead_between_slot_and_tail",
    "either killed at random, a thousand times": "producer_killed_a_thousand_times consumer_killed_a_thousand_times "
        "producers_killed_at_random_points",
    "either stopped": "successor_is_admitted_once_the_holder_was_killed stands_still_in_any_state",
    "a second producer, consumer, publisher": "second_ends_are_refused the_65th_producer second_publisher_is_refused",
    "attached while its creator makes it": "attach_waits_for_a_creator file_still_empty creator_killed_while_it_initialises",
    "magic, layout, kind, sizes, byte order, boot wrong": "each_wrong_field_has_its_error another_geometry_is_refused",
    "file too short, empty, cut off": "file_too_short file_still_empty data_cut_off file_truncated_under_the_mapping",
    "symbolic link, owner, mode": "symbolic_link_is_refused segment_of_another_user readable_segment mode_is_0600",
    "unlinked and made again": "create_refuses_what_exists those_attached_see_that_their_segment_was_replaced",
    "a PID used again": "creator_whose_pid_is_used_again",
    "counters near 2^64": "counters_may_start_anywhere",
    "counters and lengths overwritten by a peer": "what_a_peer_writes_over_the_counters a_damaged_channel_does_not_stop",
    "messages too long, and empty": "lengths_are_kept oversize_is_refused_by_every_way_in oversize_is_refused_and_counted",
    "ring full": "full_ring_refuses_drops_or_waits producers_share_one_ring",
    "no space, no locked memory, no huge pages": "no_space_is_an_error_now lock_beyond_the_limit huge_pages_are_asked_for",
    "fork after attach": "handle_carried_over_fork",
    "reader lapped by 1, 2, CAP": "got_and_lost_are_exact lapped_by_exactly_the_capacity reader_overtaken",
    "reader lapped while it copies": "nothing_torn_is_ever_accepted reader_overtaken_at_any_instruction "
        "without_the_second_look_torn",
    "a buffer of the pool recycled": "recycling_is_seen publisher_of_pooled_buffers_that_dies",
    "publisher replaced under living readers": "a_successor_goes_on side_that_dies_in_any_state",
    "a system call, an allocation in steady state": "no_system_call_in_steady_state nothing_is_allocated_in_steady_state",
}
pytestmark = [pytest.mark.slow, pytest.mark.uninstrumented("the sanitizer's own stores would be counted"),
              pytest.mark.skipif(platform.machine() != "x86_64", reason="stepped with x86-64's trap flag")]


def test_every_failure_has_its_tests():
    here = "".join(p.read_text() for p in pathlib.Path(__file__).parent.glob("test_ipc_*.py"))
    names = re.findall(r"^def (test_\w+)", here, re.M)
    for what, tests in FAILURES.items():
        for part in tests.split():
            assert any(part in name for name in names), (what, part)


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
