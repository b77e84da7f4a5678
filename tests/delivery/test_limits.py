"""Rate limit, window and breaker: pure decisions over a clock that the test moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookhub.delivery.breaker import Breaker, BreakerState
from hookhub.delivery.limits import RateLimit, Window


def test_no_rate_means_no_wait() -> None:
    """Whatever was taken."""
    limit = RateLimit(None)
    for _ in range(100):
        limit.take(0.0)
    assert limit.wait(0.0) == 0.0


@given(
    rate=st.floats(0.1, 1000),
    gaps=st.lists(st.floats(0, 5), min_size=1, max_size=200),
)
def test_the_rate_is_never_exceeded(rate: float, gaps: list[float]) -> None:
    """Over any span: no more than one burst and the rate times the span."""
    limit = RateLimit(rate)
    now = 1000.0
    starts = []
    for gap in gaps:
        now += gap
        if limit.wait(now) == 0.0:
            limit.take(now)
            starts.append(now)
    for first in range(len(starts)):
        span = starts[-1] - starts[first]
        assert len(starts) - first <= max(1.5, rate / 10) + rate * span + 1e-3


@given(st.floats(0.1, 1000))
def test_after_the_wait_an_attempt_may_start(rate: float) -> None:
    """``wait`` tells the truth."""
    limit = RateLimit(rate)
    now = 0.0
    for _ in range(50):
        now += limit.wait(now)
        assert limit.wait(now) == 0.0
        limit.take(now)


def test_the_window_grows_with_success_and_falls_with_failure() -> None:
    """Within its limit, never below one."""
    window = Window(4)
    assert window.size == 2
    for _ in range(5):
        window.succeeded()
    assert window.size == 4
    window.failed()
    assert window.size == 1
    assert Window(1).size == 1


def test_the_breaker_opens_after_failures_in_a_row() -> None:
    """A success between them starts the count anew."""
    breaker = Breaker(threshold=3, open_first=5, open_max=300)
    for _ in range(2):
        assert not breaker.failed(0)
    breaker.succeeded()
    assert [breaker.failed(0) for _ in range(3)] == [False, False, True]
    assert breaker.state(4.9) is BreakerState.OPEN
    assert breaker.wait(1) == 4
    assert breaker.opened == 1


def test_half_open_lets_one_probe_through() -> None:
    """Its success closes; its failure opens for twice as long."""
    breaker = Breaker(threshold=1, open_first=5, open_max=12)
    assert breaker.failed(0)
    assert breaker.state(5) is BreakerState.HALF_OPEN
    assert breaker.wait(5) == 0
    breaker.started(5)
    assert breaker.wait(5) is None
    assert breaker.failed(6)
    assert breaker.wait(6) == 10
    breaker.started(16)
    assert breaker.failed(16)
    assert breaker.wait(16) == 12
    breaker.started(28)
    breaker.succeeded()
    assert breaker.state(28) is BreakerState.CLOSED
    assert breaker.wait(28) == 0


def test_a_cancelled_probe_says_nothing() -> None:
    """The next attempt is the probe then."""
    breaker = Breaker(threshold=1, open_first=5)
    breaker.failed(0)
    breaker.started(5)
    breaker.abandoned()
    assert breaker.wait(5) == 0


def test_failures_that_were_on_their_way_do_not_open_twice() -> None:
    """Attempts started before it opened come back after."""
    breaker = Breaker(threshold=1, open_first=5)
    assert breaker.failed(0)
    assert not breaker.failed(1)
    assert breaker.wait(1) == pytest.approx(4)
