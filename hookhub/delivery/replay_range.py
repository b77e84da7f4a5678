"""What a replay is asked for, as a range of sequences and a condition."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from hookhub.delivery.model import ReplayChoice
from hookhub.errors import InvalidCursor, ValidationFailed
from hookhub.events import Cursor, check_pattern, format_timestamp, parse_timestamp
from hookhub.store import Reader
from hookhub.store.endpoints import get_endpoint
from hookhub.store.events import first_at_or_after, history_bounds
from hookhub.store.jobs import Wanted

CLOCKS = 60_000_000
"""Microseconds by which the times of events may be out of the order of commits."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for; see :meth:`hookhub.delivery.replay.Replays.start`."""

    sink: str | None
    endpoint_id: int
    begin: int | Cursor | None
    end: int | Cursor | None
    events: Sequence[str] | None
    only: ReplayChoice

    def resolve(self, reader: Reader) -> tuple[Wanted, bool]:
        """The range as it is now, and whether it begins before the history.

        Raises:
            NotFound: there is no such endpoint.
            ValidationFailed: a pattern is none, or the endpoint subscribes to nothing of this.
        """
        endpoint = get_endpoint(reader, self.sink, self.endpoint_id)
        patterns = check_events(endpoint.event_types, self.events)
        after, gap = self._after(reader)
        last = max(after, self._last(reader))
        since = self.begin if isinstance(self.begin, int) else None
        until = self.end if isinstance(self.end, int) else None
        return Wanted(endpoint.id, patterns, self.only, after, last, since, until), gap

    def _after(self, reader: Reader) -> tuple[int, bool]:
        oldest, newest = history_bounds(reader)
        gone = oldest - 1 if oldest else newest
        if self.begin is None:
            return gone, False
        if isinstance(self.begin, Cursor):
            return max(gone, self.begin.sequence), self.begin.sequence < gone
        gap = 0 < gone == first_at_or_after(reader, self.begin) - 1
        return first_at_or_after(reader, self.begin - CLOCKS) - 1, gap

    def _last(self, reader: Reader) -> int:
        _, newest = history_bounds(reader)
        if self.end is None:
            return newest
        if isinstance(self.end, Cursor):
            return min(newest, self.end.sequence)
        return first_at_or_after(reader, self.end + CLOCKS) - 1


def read_range(
    epoch: str, since: str | None, until: str | None
) -> tuple[int | Cursor | None, int | Cursor | None]:
    """Both ends: a time in microseconds, a cursor, or None.

    Raises:
        ValidationFailed, InvalidCursor: they are neither, or the wrong way round.
    """
    begin, end = _place("since", since, epoch), _place("until", until, epoch)
    backwards = (isinstance(begin, int) and isinstance(end, int) and begin >= end) or (
        isinstance(begin, Cursor) and isinstance(end, Cursor) and begin > end
    )
    if backwards:
        raise _wrong("until", "must be after since")
    return begin, end


def _place(name: str, text: str | None, epoch: str) -> int | Cursor | None:
    if text is None:
        return None
    cursor = None
    with contextlib.suppress(InvalidCursor):
        cursor = Cursor.parse(text)
    if cursor is not None and cursor.epoch == epoch:
        return cursor
    with contextlib.suppress(ValueError, OverflowError):
        moment = parse_timestamp(text.upper())
        format_timestamp(moment)  # as it will be shown: no zone may carry it out of the calendar
        return moment
    if cursor is not None:
        raise InvalidCursor(
            f"The cursor {text!r} is of another database; name a time instead.",
            errors=[{"loc": [name], "msg": "a cursor of another database"}],
        )
    example = "2026-01-31T12:00:00Z"
    raise _wrong(name, f"{text[:60]!r} is neither a time ({example}) nor a cursor")


def check_events(subscribed: Sequence[str], events: Sequence[str] | None) -> tuple[str, ...]:
    """The type patterns of a replay.

    Args:
        subscribed: the patterns of its endpoint.
        events: None for all that it subscribes to.

    Raises:
        ValidationFailed: a pattern is none, or the endpoint subscribes to nothing of this.
    """
    if events is None:
        return ("*",)
    for position, pattern in enumerate(events):
        try:
            check_pattern(pattern)
        except ValueError as error:
            raise _wrong("events", f"{error}", position) from None
    if not any(_overlap(one, other) for one in events for other in subscribed):
        listed = ", ".join(subscribed)
        raise _wrong("events", f"the endpoint subscribes to nothing of this, only to {listed}")
    return tuple(events)


def _overlap(one: str, other: str) -> bool:
    """Whether some type could match both patterns."""
    if one == other or "*" in (one, other):
        return True
    return (other.endswith(".*") and one.startswith(other[:-1])) or (
        one.endswith(".*") and other.startswith(one[:-1])
    )


def _wrong(name: str, message: str, *position: int) -> ValidationFailed:
    return ValidationFailed(
        f"{name}: {message}.", errors=[{"loc": [name, *position], "msg": message}]
    )
