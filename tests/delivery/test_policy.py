"""Retry decisions, pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookhub.config import DeliverySettings
from hookhub.contracts.sinks import AttemptResult, Outcome
from hookhub.delivery.policy import RETRY_AFTER_MAX, Decision, backoff, decide

SCHEDULE = DeliverySettings().retry_schedule


def test_the_default_schedule_is_the_contracts() -> None:
    """5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h."""
    hours = [2, 5, 10, 14, 20, 24]
    assert SCHEDULE == [5, 300, 1800, *(hour * 3600 for hour in hours)]
    assert [backoff(SCHEDULE, n, 0, 0.5) for n in range(1, 11)] == [*SCHEDULE, None]


@given(st.integers(1, 9), st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_jitter_stays_within_its_share(failures: int, jitter: float, chance: float) -> None:
    """± the configured share of the wait."""
    wait = backoff(SCHEDULE, failures, jitter, chance)
    nominal = SCHEDULE[failures - 1]
    assert wait is not None
    assert nominal * (1 - jitter) <= wait + 1e-9
    assert wait <= nominal * (1 + jitter) + 1e-9


@pytest.mark.parametrize(
    ("result", "failures", "expected"),
    [
        (AttemptResult(Outcome.DELIVERED), 1, Decision("success")),
        (AttemptResult(Outcome.GIVE_UP), 1, Decision("failed")),
        (AttemptResult(Outcome.RETRY), 1, Decision("pending", 5)),
        (AttemptResult(Outcome.RETRY), 9, Decision("pending", 86400)),
        (AttemptResult(Outcome.RETRY), 10, Decision("failed")),
        (AttemptResult(Outcome.RETRY, retry_after=60), 1, Decision("pending", 60)),
        (AttemptResult(Outcome.RETRY, retry_after=1), 1, Decision("pending", 5)),
        (AttemptResult(Outcome.RETRY, retry_after=1e9), 1, Decision("pending", RETRY_AFTER_MAX)),
        (AttemptResult(Outcome.RETRY, retry_after=60), 10, Decision("failed")),
    ],
)
def test_decisions(result: AttemptResult, failures: int, expected: Decision) -> None:
    """Outcome, schedule and Retry-After decide together."""
    assert decide(result, failures, SCHEDULE, 0, 0.5) == expected
