"""The corpora that coverage-guided fuzzing has gathered (`make fuzz`), replayed without it; here or in a sanitized build."""
import sys

import fix_oracle
import pytest

import fix  # noqa: F401
from tests.fuzz import corpus
from tests.fuzz.harness import Harness

scanner = sys.modules["fix.parse"]


@pytest.fixture(params=corpus.TARGETS)
def harness(request):
    harness = Harness(request.param)
    yield harness
    harness.plant(0)


def test_the_corpus_finds_nothing_wrong(harness):
    inputs = corpus.load(harness.target)
    assert len(inputs) >= 50
    wrong = {x.hex(): why for x in inputs if (why := harness.replay(x))}
    assert not wrong


def test_a_planted_fault_is_found(harness):
    harness.plant(1)
    assert any(harness.replay(x) for x in corpus.load(harness.target))


def test_the_independent_parser_agrees_about_the_corpus():
    """The harness compares the scanners with one another; here with plain Python, straight from the standard."""
    octets_of, compared = Harness("parse").module.octets_of, 0
    for x in corpus.load("parse"):
        data = octets_of(x)
        if data:
            compared += 1
            assert scanner.verdict(data) == fix_oracle.parse(data), data
    assert compared > 50


def test_the_corpora_are_small():
    assert sum(p.stat().st_size for p in corpus.FOLDER.iterdir()) < 1_000_000
