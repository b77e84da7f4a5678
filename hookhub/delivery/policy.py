"""What an attempt's result means for its delivery. Pure decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hookhub.contracts.deliveries import DeliveryStatus
from hookhub.contracts.sinks import AttemptResult, Outcome

RETRY_AFTER_MAX = 24 * 3600.0
"""Seconds: a receiver may ask to be left alone for a day, not for ever."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the delivery becomes."""

    status: DeliveryStatus
    wait: float | None = None
    """Seconds until the next attempt, if ``pending``."""


def backoff(schedule: Sequence[float], failures: int, jitter: float, chance: float) -> float | None:
    """Seconds to wait after this many failed attempts; None when the schedule is used up.

    Args:
        schedule: seconds after the first, second … failure.
        failures: attempts that failed, this one included.
        jitter: the share by which the wait varies, 0 to 1.
        chance: a random number in [0, 1).
    """
    if failures > len(schedule):
        return None
    return schedule[failures - 1] * (1 + jitter * (2 * chance - 1))


def decide(
    result: AttemptResult, failures: int, schedule: Sequence[float], jitter: float, chance: float
) -> Decision:
    """Decide from a result and the number of failures so far, this one included.

    ``Retry-After`` (RFC 9110 §10.2.3) can only lengthen the wait, up to a day.
    """
    if result.outcome is Outcome.DELIVERED:
        return Decision("success")
    if result.outcome is Outcome.GIVE_UP:
        return Decision("failed")
    wait = backoff(schedule, failures, jitter, chance)
    if wait is None:
        return Decision("failed")
    if result.retry_after is not None:
        wait = max(wait, min(result.retry_after, RETRY_AFTER_MAX))
    return Decision("pending", wait)
