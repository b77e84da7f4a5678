"""The histogram of latencies: what adds up, and what percentiles are worth."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookhub.statistics.histogram import BOUNDS, COARSE, Histogram

SECONDS = st.floats(min_value=0, max_value=2 * BOUNDS[-1])


def of(*seconds: float) -> Histogram:
    histogram = Histogram()
    for item in seconds:
        histogram.observe(item)
    return histogram


def test_bounds_rise_and_reach_beyond_any_retry_schedule() -> None:
    """From a millisecond to a week, each at most twice the one before."""
    assert BOUNDS[0] == 0.001
    assert BOUNDS[-1] > 7 * 86_400
    steps = [high / low for low, high in pairwise(BOUNDS)]
    assert all(1.3 < step <= 1.7 for step in steps), steps
    assert set(COARSE) < set(BOUNDS)
    assert COARSE[:4] == (0.001, 0.002, 0.005, 0.01)
    assert len(COARSE) == 27


def test_a_bound_belongs_to_what_is_below_it() -> None:
    """As Prometheus has it: `le` means less or equal."""
    assert of(0.0, 0.001).counts[0] == 2
    assert of(0.0010001).counts[1] == 1
    assert of(BOUNDS[-1]).counts[-2:] == [1, 0]
    assert of(BOUNDS[-1] * 2).counts[-1] == 1


@given(st.lists(SECONDS), st.lists(SECONDS))
def test_parts_add_up(some: list[float], more: list[float]) -> None:
    """What was counted in two places is what would have been counted in one; and back again."""
    both = of(*some) + of(*more)
    assert both == of(*some, *more)
    assert both.total == pytest.approx(sum(some) + sum(more))
    assert both - of(*more) == of(*some)


@given(st.lists(SECONDS))
def test_it_survives_being_stored(some: list[float]) -> None:
    """Read from its text, it is the same."""
    assert Histogram.parse(of(*some).text()) == of(*some)


def test_only_what_was_counted_is_stored() -> None:
    """An empty one is two characters."""
    assert of().text() == "{}"
    assert of(0.0004, 0.0005).text() == '{"0": 2}'


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_percentiles_are_off_by_one_bucket_at_most(share: float) -> None:
    """Compared with all values sorted, over five decades."""
    chance = random.Random(5)
    values = sorted(10 ** chance.uniform(-3, 2) for _ in range(10_000))
    true = values[int(share * len(values))]
    found = of(*values).quantile(share)
    assert found is not None
    assert true / 1.7 < found < true * 1.7


def test_percentiles_at_the_edges() -> None:
    """None of nothing; within the bucket of the only one; the last bound of what is beyond."""
    assert of().quantile(0.5) is None
    alone = of(0.0012).quantile(0.5)
    assert alone is not None
    assert 0.001 < alone <= 0.0015
    assert of(10 * BOUNDS[-1]).quantile(0.5) == BOUNDS[-1]
    assert of(0.001, 10 * BOUNDS[-1]).quantile(0.99) == BOUNDS[-1]


def test_for_prometheus() -> None:
    """Bounds as text with how many do not exceed them; the last one has all."""
    found = of(0.0009, 0.0014, 0.0019, 1e9).cumulative()
    assert found[:3] == [("0.001", 1), ("0.002", 3), ("0.005", 3)]
    assert found[-1] == ("+Inf", 4)
    assert [bound for bound, _ in found[:-1]] == [str(bound) for bound in COARSE]
