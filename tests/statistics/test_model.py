"""Steps, counts and gauges."""

from __future__ import annotations

from hookhub.statistics.histogram import Histogram
from hookhub.statistics.samples import FINEST, RANGES, Counts, Gauges, Point, Tally, begin_of, grid

SECOND = 1_000_000
HOUR = RANGES["hour"]


def test_every_step_is_made_of_whole_finest_ones() -> None:
    """So a sample belongs to exactly one step of each range."""
    assert min(span.step for span in RANGES.values()) == FINEST == 60
    for span in RANGES.values():
        assert span.step % FINEST == 0
        assert span.length % span.step == 0
    assert {name: span.points for name, span in RANGES.items()} == {
        "hour": 60,
        "day": 288,
        "week": 168,
    }


def test_where_a_step_begins() -> None:
    """At a multiple of it since 1970."""
    assert begin_of(59 * SECOND, 60) == 0
    assert begin_of(60 * SECOND, 60) == 60 * SECOND
    assert begin_of(3_661 * SECOND, 3_600) == 3_600 * SECOND


def test_a_grid_has_every_step() -> None:
    """Those of which nothing is known have no counts and no gauges."""
    end = 7_200 * SECOND
    known = Point(end - 60 * SECOND, Counts(events=3), Gauges(pending=1), 1)
    points = grid({known.at: known}, HOUR, end)
    assert len(points) == 60
    assert points[-1] is known
    assert points[0] == Point(3_600 * SECOND, Counts(), None)


def test_counts_add_up() -> None:
    """And what is taken away never leaves less than nothing."""
    latency = Histogram()
    latency.observe(0.1)
    one = Counts(1, 2, 3, 4, latency)
    assert one + one == Counts(2, 4, 6, 8, latency + latency)
    assert one + one - one == one
    assert one - (one + one) == Counts()


def test_the_success_rate() -> None:
    """Percent of what ended; None while nothing did."""
    assert Counts(events=5, attempts=3).success_rate is None
    assert Counts(delivered=2, failed=1).success_rate == 66.67
    assert Counts(failed=1).success_rate == 0


def test_gauges_of_nodes_and_of_minutes() -> None:
    """Connections of nodes add up; all else, and everything over time, is the highest."""
    one, two = Gauges(5, 1.5, 2, 10), Gauges(4, 2.5, 1, 3)
    assert one.with_node(two) == Gauges(5, 2.5, 2, 13)
    assert one.highest(two) == Gauges(5, 2.5, 2, 10)


def test_a_tally() -> None:
    """Latency is counted where it says something, and a clock set back makes none negative."""
    tally = Tally()
    before = tally.counts()
    for _ in range(5):
        tally.attempted()
    tally.delivered(1_000_000, 1_500_000)
    tally.delivered(None, 9_000_000)
    tally.delivered(2_000_000, 1_000_000)
    tally.failed()
    counts = tally.counts()
    assert (counts.attempts, counts.delivered, counts.failed, counts.events) == (5, 3, 1, 0)
    assert (len(counts.latency), counts.latency.total) == (2, 0.5)
    assert before == Counts()
