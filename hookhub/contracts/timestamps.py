"""Times: microseconds since 1970 in the hub, RFC 3339 for others. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import overload

from hookhub.contracts.errors import wrong_field

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
LATEST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
"""The first and the last moment that RFC 3339 has text for, in microseconds since 1970."""


@overload
def format_timestamp(microseconds: int) -> str: ...
@overload
def format_timestamp(microseconds: int | None) -> str | None: ...
@lru_cache(maxsize=1024)
def format_timestamp(microseconds: int | None) -> str | None:
    """RFC 3339 in UTC with ``Z``, always with six decimals, from microseconds since 1970; None of a
    time that there is not."""
    if microseconds is None:
        return None
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_timestamp(text: str) -> int:
    """Microseconds since 1970 of an RFC 3339 time; a time without a zone is taken as UTC.

    Raises:
        ValueError: the text is not a time.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1)


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
    raise wrong_field(
        f"The timestamp {wrong} lies outside of the years 1 to 9999; it is in microseconds since "
        "1970, such as time.time_ns() // 1000.",
        "timestamp",
        msg="is no time in microseconds since 1970",
    )
