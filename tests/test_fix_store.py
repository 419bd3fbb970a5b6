"""Stores of sent messages: the memory ring, and numbers alone."""
import random

import pytest

import fix


@pytest.fixture
def store():
    return fix.MemoryStore(octets=4096, messages=16)


def test_a_message_comes_back_as_it_was(store):
    assert store.append(1, b"8=FIX.4.4|first|")
    assert store.append(2, b"8=FIX.4.4|second|")
    assert store.get(1) == b"8=FIX.4.4|first|" and store.get(2) == b"8=FIX.4.4|second|"
    assert store.get(3) is None


def test_an_administrative_message_is_only_a_number(store):
    assert store.append(1, b"logon", admin=True)
    assert store.get(1) is None


def test_old_messages_make_room(store):
    for seq in range(1, 41):
        assert store.append(seq, b"%04d" % seq * 50)            # 200 octets: 20 fit, the index holds 16
    assert [seq for seq in range(1, 41) if store.get(seq)] == list(range(25, 41))
    assert store.stats()["evicted"] == 24


def test_the_octets_of_a_kept_message_are_never_those_of_a_newer_one():
    rng = random.Random(1)
    store = fix.MemoryStore(octets=3000, messages=64)
    sent = {}
    for seq in range(1, 3000):
        sent[seq] = bytes([seq & 255]) * rng.randint(1, 700)
        store.append(seq, sent[seq], admin=rng.random() < 0.2)
        for old in range(max(1, seq - 70), seq + 1):
            assert store.get(old) in (None, sent[old])
    assert store.get(2999) or store.get(2998)


def test_a_message_larger_than_the_ring_is_refused(store):
    store.append(1, b"kept")
    assert not store.append(2, b"x" * 4097)
    assert store.get(1) == b"kept" and store.stats()["refused"] == 1


def test_a_number_given_again_replaces(store):
    store.append(1, b"the wire refused this")
    store.append(1, b"and took this")
    assert store.get(1) == b"and took this"


def test_reset_forgets(store):
    store.append(1, b"a")
    store.renumber(next_in=9, next_out=2)
    store.reset(utc_ns=77)
    assert store.get(1) is None
    assert (store.next_in, store.next_out, store.created_utc_ns) == (1, 1, 77)


def test_renumbering_voids_what_came_after(store):
    for seq in range(1, 6):
        store.append(seq, b"%d" % seq)
    store.renumber(next_out=3)
    assert [store.get(seq) for seq in range(1, 6)] == [b"1", b"2", None, None, None]
    for seq in range(3, 30):
        assert store.append(seq, b"n%d" % seq * 100)
    assert store.get(29) == b"n29" * 100


def test_numbers_alone():
    store = fix.Store()
    assert store.append(1, b"a") and store.get(1) is None
    store.renumber(next_in=5, next_out=7)
    assert (store.next_in, store.next_out) == (5, 7)


@pytest.mark.parametrize("make", [
    lambda: fix.MemoryStore(octets=10), lambda: fix.MemoryStore(messages=0), lambda: fix.Store().append(0, b"x"),
    lambda: fix.Store().append(1, b""), lambda: fix.Store().renumber(next_in=0),
])
def test_bad_values_are_named(make):
    with pytest.raises(ValueError, match="must be|empty"):
        make()


def test_a_store_outlives_its_sessions():
    store = fix.MemoryStore()
    first = fix.Session("initiator", "US", "PEER", store=store)
    first.connected(0)
    assert store.next_out == 2
    del first
    second = fix.Session("initiator", "US", "PEER", store=store)
    assert second.next_out == 2
