"""Which moments can be told: the years 1 to 9999. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hookhub.contracts.errors import ValidationFailed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
LATEST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
"""The first and the last moment that RFC 3339 has text for, in microseconds since 1970."""


def check_timestamps(moments: Sequence[int]) -> None:
    """Check the times of events before they are committed: one without text is told to nobody.

    Args:
        moments: microseconds since 1970, at least one.

    Raises:
        ValidationFailed: shows the first that is no such time, and what would be one.
    """
    # Two loops in C: a batch has thousands.
    if min(moments) >= EARLIEST and max(moments) <= LATEST:
        return
    wrong = next(moment for moment in moments if not EARLIEST <= moment <= LATEST)
    raise ValidationFailed(
        f"The timestamp {wrong} lies outside of the years 1 to 9999; it is in microseconds since "
        "1970, such as time.time_ns() // 1000.",
        errors=[{"loc": ["timestamp"], "msg": "is no time in microseconds since 1970"}],
    )
