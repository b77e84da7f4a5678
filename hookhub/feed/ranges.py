"""Parts of the history that somebody asks for, by times or by cursors."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TypeAlias

from hookhub.contracts.errors import InvalidCursor, wrong_field
from hookhub.contracts.events import Cursor, Event, format_timestamp, parse_timestamp
from hookhub.store import Reader
from hookhub.store.units.events import first_at_or_after, history_bounds

CLOCKS = 60_000_000
"""Microseconds by which the times of events may be out of the order of commits."""

Bound: TypeAlias = int | Cursor | None
"""A time in microseconds, a cursor, or the end of the history on that side."""


@dataclass(frozen=True, slots=True)
class HistoryRange:
    """A part of the history, as it is now."""

    after: int
    """The first event follows this sequence."""
    last: int
    """The sequence of the last event to look at."""
    since: int | None
    """Only events of this time or later, microseconds."""
    until: int | None
    """Only events before this time."""
    gap: bool
    """Whether events that were asked for are no longer kept."""

    def holds(self, event: Event) -> bool:
        """Whether an event between ``after`` and ``last`` is of the times that were asked for."""
        return (self.since is None or event.timestamp >= self.since) and (
            self.until is None or event.timestamp < self.until
        )


def resolve_range(reader: Reader, begin: Bound, end: Bound) -> HistoryRange:
    """Find the part of the history between two places."""
    oldest, newest = history_bounds(reader)
    after, gap = _after(reader, begin, oldest - 1 if oldest else newest, newest)
    last = max(after, _last(reader, end, newest))
    since = begin if isinstance(begin, int) else None
    until = end if isinstance(end, int) else None
    return HistoryRange(after, last, since, until, gap)


def _after(reader: Reader, begin: Bound, gone: int, newest: int) -> tuple[int, bool]:
    """Where it begins, and whether events that were asked for are missing.

    Args:
        gone: everything up to this sequence is deleted.
        newest: the sequence of the last event; a cursor of a later one tells of a lost one.
    """
    if begin is None:
        return gone, False
    if isinstance(begin, Cursor):
        return max(gone, min(begin.sequence, newest)), not gone <= begin.sequence <= newest
    gap = 0 < gone == first_at_or_after(reader, begin) - 1
    return first_at_or_after(reader, begin - CLOCKS) - 1, gap


def _last(reader: Reader, end: Bound, newest: int) -> int:
    if end is None:
        return newest
    if isinstance(end, Cursor):
        return min(newest, end.sequence)
    return first_at_or_after(reader, end + CLOCKS) - 1


def read_range(epoch: str, since: str | None, until: str | None) -> tuple[Bound, Bound]:
    """Both ends: a time in microseconds, a cursor, or None.

    Raises:
        ValidationFailed, InvalidCursor: they are neither, or the wrong way round.
    """
    begin, end = _place("since", since, epoch), _place("until", until, epoch)
    backwards = (isinstance(begin, int) and isinstance(end, int) and begin >= end) or (
        isinstance(begin, Cursor) and isinstance(end, Cursor) and begin > end
    )
    if backwards:
        raise wrong_field("until: must be after since.", "until", msg="must be after since")
    return begin, end


def _place(name: str, text: str | None, epoch: str) -> Bound:
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
            f"The cursor {text!r} is of another database, or of before this one went "
            "back; name a time instead.",
            errors=[{"loc": [name], "msg": "a cursor of another history"}],
        )
    example = "2026-01-31T12:00:00Z"
    message = f"{text[:60]!r} is neither a time ({example}) nor a cursor"
    raise wrong_field(f"{name}: {message}.", name, msg=message)
