"""Two stacks over a wire that is damaged to the last octet: a byte oracle over seeds (tests/lasting_damage.py)."""
import lasting_damage
import pytest
from lasting_damage import Simulation


@pytest.mark.parametrize("first", range(0, 200, 20))
def test_twenty_seeds(first):
    for seed in range(first, first + 20):
        try:
            lasting_damage.run(seed)
        except Exception:
            pytest.fail(lasting_damage.explain(seed)[-8000:])


# seeds that once failed, each with what it showed
@pytest.mark.parametrize("seed", [
    119,        # a round trip measured across a hole: SRTT of ten minutes
    813,        # heavy loss without SACK: the timeout stayed backed off to a minute
    1282,       # records of many merged transmissions were sent again one segment a round trip
    3094,       # the echo in the ACK of a duplicate, a minute old, taken for a round trip
])
def test_seeds_that_once_failed(seed):
    lasting_damage.run(seed)


def test_the_same_seed_gives_the_same_frames():
    first, second, other = (Simulation(seed, record=True) for seed in (17, 17, 18))
    for sim in (first, second, other):
        sim.run()
    assert first.exchange() == second.exchange() != other.exchange()


def test_a_wrong_a_missing_and_a_doubled_octet_would_be_noticed():
    good = lasting_damage.STREAMS[0]
    for text in (bytes([good[0] ^ 1]), good[1:9], good[:4] + good[3:9]):
        with pytest.raises(AssertionError, match="octets 0.*are wrong"):
            Simulation(3).sides[1].take(text)


def test_a_stuck_connection_would_be_noticed(monkeypatch):
    monkeypatch.setattr(lasting_damage, "LIMIT_STEPS", 500)
    sim = Simulation(3)
    sim.sides[0].total = 5000
    for wire in sim.wires:
        wire.up = False
    with pytest.raises(AssertionError):
        sim.run()
