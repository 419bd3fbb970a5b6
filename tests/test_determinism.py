"""One seed gives one transmit capture, whatever the process, hash seed, clock and backend; see determinism.py."""
import os

import determinism
import pytest

pytestmark = pytest.mark.uninstrumented("its processes preload a shifted clock, ASan must come first")
RUNS = int(os.environ.get("FIXWIRE_RUNS", "20"))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return determinism.build_shifted_clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def found(library):
    return determinism.runs(library, 1, RUNS)


def test_fresh_processes_transmit_the_same_octets_at_the_same_times_over_pair_and_pcap(found):
    (result, n), = found.items()
    over_pair, over_pcap, segments, repairs = result
    assert n == RUNS and over_pair == over_pcap and int(segments) > 300 and int(repairs) > 10


def test_another_seed_gives_other_octets(library, found):
    assert determinism.fresh(library, 2, 0)[0] not in {over_pair for over_pair, *_ in found}


@pytest.mark.parametrize("planted", determinism.PLANTED)
def test_a_planted_dependence_shows(library, planted):
    results = determinism.runs(library, 1, 2, planted)
    assert len(results) == 2 or any(over_pair != over_pcap for over_pair, over_pcap, *_ in results)
