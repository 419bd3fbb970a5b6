"""Reassembly against a byte oracle: octet i of the stream is f(i), whatever order its pieces come in."""
import random

import pytest

from stack.reassembly import Reassembly

START = 2**32 - 20      # every stream here crosses the end of sequence space


def f(first, n):
    return bytes((i * 131 + (i >> 8) * 7 + 1) & 0xFF for i in range(first, first + n))


def put(r, first, n):
    return r.insert(START + first, f(first, n))


def test_text_in_order_is_readable_at_once():
    r = Reassembly(100, START)
    assert put(r, 0, 10) == 10
    assert put(r, 10, 15) == 15
    assert r.next() == f(0, 25)
    assert r.nxt == 5


def test_a_hole_holds_back_what_follows_until_it_is_filled():
    r = Reassembly(100, START)
    assert put(r, 10, 10) == 0
    assert put(r, 30, 10) == 0
    assert r.next() == b""
    assert put(r, 0, 10) == 20
    assert put(r, 20, 10) == 20
    assert r.next() == f(0, 40)


def test_blocks_are_the_most_recent_first():
    r = Reassembly(100, START)
    put(r, 10, 5)
    put(r, 20, 5)
    put(r, 30, 5)
    put(r, 15, 2)
    first = (START + 10) % 2**32
    assert r.blocks() == [(first, first + 7), (10, 15), (0, 5)]


def test_the_first_copy_of_an_octet_stays_and_a_different_one_is_counted():
    r = Reassembly(100, START)
    r.insert(START + 5, b"AAAAA")
    r.insert(START + 3, b"..BBB")
    r.insert(START + 0, b"012345")
    assert r.next() == b"012..AAAAA"
    r.insert(START + 0, b"XXX..AA")
    assert r.next() == b"012..AAAAA"
    assert r.counters == {"duplicate": 3 + 3 + 7, "conflicting": 3 + 3 + 3, "refused": 0}


def test_what_lies_beyond_the_limit_is_refused():
    r = Reassembly(10, START)
    assert put(r, 0, 14) == 10
    assert put(r, 20, 4) == 0
    assert r.counters["refused"] == 8
    r.consume(4)
    assert put(r, 10, 4) == 4
    assert r.next() == f(4, 10)


def test_one_hole_too_many_is_refused_but_order_is_never():
    r = Reassembly(1000, START)
    for i in range(33):
        put(r, 2 + 2 * i, 1)
    assert len(r.blocks()) == 32 and r.counters["refused"] == 1
    assert put(r, 0, 2) == 3
    assert put(r, 66, 1) == 0 and len(r.blocks()) == 32


def test_a_hole_can_be_given_up():
    r = Reassembly(100, START)
    put(r, 0, 5)
    put(r, 8, 5)
    assert r.give_up() == 0                 # what lies before the hole is read first
    r.consume(5)
    assert r.give_up() == 5
    assert r.next() == f(8, 5) and put(r, 13, 4) == 4


@pytest.mark.parametrize("seed", range(300))
def test_any_order_any_overlap_gives_the_stream(seed):
    rng = random.Random(seed)
    limit = rng.choice((7, 64, 500, 3000))
    total = limit * 6
    r = Reassembly(limit, START)
    stream, done = f(0, total), 0
    while done < total:
        first = done - rng.randrange(20) + rng.randrange(limit + 10)
        first = max(0, min(first, total - 1))
        n = min(rng.randrange(1, max(2, limit // 2)), total - first)
        if rng.random() < 0.2:
            first = (r.nxt - START) % 2**32
            n = min(n, total - first)
        r.insert(START + first, stream[first:first + n])
        there = r.next()
        assert there == stream[done:done + len(there)]
        take = rng.choice((len(there), rng.randrange(len(there) + 1)))
        r.consume(take)
        done += take
        assert (r.nxt - START) % 2**32 == done + len(there) - take
        for a, b in r.blocks():
            assert 0 < (a - r.nxt) % 2**32 < (b - r.nxt) % 2**32 <= limit
    assert r.counters["conflicting"] == 0
