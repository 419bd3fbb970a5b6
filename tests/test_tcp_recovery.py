"""How soon what is lost is repaired, on a wire of 20 us both ways together: bench/recovery.py's figures and their bounds.

RFC 8985 sections 6 and 7 scaled to the measured round trip; without SACK the three duplicate ACKs of RFC 5681 and probes of
the oldest segment. The floor is max_ack_delay_ns: how long the peer may hold the ACK of a lone segment.
"""
import pytest
from segments import ACK, MSS, PEER, f, mss
from segments import US as OUR_ISN

from bench import recovery
from bench.recovery import MS, US, S, repair

RTTS = (20 * US, 1 * MS, 30 * MS)
BOTH = pytest.mark.parametrize("sack", [True, False])


@BOTH
@pytest.mark.parametrize("rtt", RTTS)
@pytest.mark.parametrize("segments,lost", [(5, 4), (2, 1), (10, 9)])
def test_a_lost_last_segment_is_sent_again_within_two_round_trips_of_silence(rtt, sack, segments, lost):
    got = repair(rtt, segments=segments, lost=(lost,), sack=sack)
    assert got.by == "tail_probe" and got.silence_ns <= 2 * rtt + 100
    assert got.whole_ns <= 3.5 * rtt + 100


@BOTH
@pytest.mark.parametrize("floor", [0, 1 * MS, 5 * MS])
def test_a_lone_lost_segment_waits_the_configured_floor_longer(sack, floor):
    rtt = 20 * US
    got = repair(rtt, segments=1, lost=(0,), sack=sack, max_ack_delay_ns=floor)
    assert got.by == "tail_probe" and floor < got.silence_ns <= 2 * rtt + floor + 100


@pytest.mark.parametrize("rtt", RTTS)
@pytest.mark.parametrize("segments,lost", [(5, 1), (10, 5), (5, 3), (3, 1), (8, 0)])
def test_with_sack_a_lost_middle_segment_is_sent_again_within_a_round_trip_and_a_quarter(rtt, segments, lost):
    got = repair(rtt, segments=segments, lost=(lost,), sack=True)
    assert got.by == "rack_retransmit" and got.resent_ns <= 1.25 * rtt + 100


@pytest.mark.parametrize("rtt", RTTS)
@pytest.mark.parametrize("segments,lost", [(5, 1), (10, 5), (8, 0), (5, 3), (5, 2), (3, 1), (2, 0)])
def test_without_sack_too(rtt, segments, lost):
    got = repair(rtt, segments=segments, lost=(lost,), sack=False)
    assert got.by == "fast_retransmit" and got.resent_ns <= 1.25 * rtt + 100


@BOTH
@pytest.mark.parametrize("segments,lost", [(5, (3, 4)), (5, (0, 1, 2, 3, 4)), (8, (1, 2)), (10, (7, 8, 9)), (4, (2,))])
def test_no_pattern_of_single_losses_waits_for_the_timeout(sack, segments, lost):
    got = repair(20 * US, segments=segments, lost=lost, sack=sack)
    assert "timeout" not in got.by and got.whole_ns <= 20 * US * (3.5 + len(lost))


@BOTH
@pytest.mark.parametrize("floor", [MS, 50 * MS, 200 * MS, S])
def test_a_lost_probe_costs_the_floor_of_the_timeout(sack, floor):
    got = repair(20 * US, lost=(4,), copies=2, sack=sack, rto_min_ns=floor)
    assert got.by.endswith("timeout_retransmit") and floor <= got.silence_ns <= floor + 60 * US


def test_without_sack_a_probe_whose_answer_comes_too_early_begins_no_repair(make_link):
    """The ACK of a first copy that was only late, right behind the probe: nothing is known to be lost."""
    link = make_link(max_ack_delay_ns=0, rto_min_ns=10 * MS)
    link.established(opts=mss(MSS), rtt=20 * US)
    link.conn.send(f(0, 3 * MSS))
    for _ in range(3):
        assert len(link.sent().text) == MSS
    link.wait(40 * US + 1000)
    assert len(link.sent().text) == MSS
    link.rx(ACK, seq=PEER + 1, ack=OUR_ISN + 1 + MSS)
    link.silent()
    assert link.conn.info()["recovery"] == "none"


def test_without_sack_text_not_yet_acknowledged_is_before_the_first_duplicate(make_link):
    """In-order text and what lies behind a hole in one burst: its ACK leaves first, so three duplicates are three."""
    link = make_link(sack=False)
    link.established(opts=mss(MSS))
    link.rx_burst(*(link.frame(ACK, seq=PEER + 1 + i * 100, ack=OUR_ISN + 1, text=f(i * 100, 100)) for i in (0, 2, 3, 4)))
    for _ in range(4):
        link.tx(ACK, seq=OUR_ISN + 1, ack=PEER + 101)
    link.silent()


def test_the_table_prints_and_knows_its_rows(capsys):
    recovery.main([])
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 2 + len(recovery.ROWS) and out[2].split()[:6] == ["last", "of", "5", "60.00", "2.00", "RTT"]
