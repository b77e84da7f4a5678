"""What became of a reader's place in the history: one verdict for every kind of reader. Pure."""

from __future__ import annotations

from typing import NamedTuple

from hookhub.contracts.events import Cursor


class Gap(NamedTuple):
    """Events that follow a place are gone."""

    missed: int | None
    """How many; None if that cannot be known: the place is of another epoch."""
    place: Cursor
    """Where to go on from."""


class Resume(NamedTuple):
    """What a cursor is good for."""

    position: Cursor
    """Where to go on from."""
    gap: Gap | None = None


def resume(cursor: Cursor, now: Cursor, kept_from: int, last: int) -> Resume:
    """Find out what a cursor is good for.

    Args:
        now: the cursor of the newest event that was published.
        kept_from: the sequence of the oldest event that is kept.
        last: the sequence of the last event ever.
    """
    if cursor.epoch != now.epoch or cursor.sequence > last:
        return Resume(now, Gap(None, now))
    gap = gap_up_to(kept_from - 1, cursor)
    return Resume(cursor if gap is None else gap.place, gap)


def gap_up_to(sequence: int, place: Cursor) -> Gap | None:
    """The gap if everything up to this sequence is gone; None if the place is not before it."""
    missed = sequence - place.sequence
    return Gap(missed, place._replace(sequence=sequence)) if missed > 0 else None


def joined(one: Gap | None, two: Gap | None) -> Gap | None:
    """A gap and a later one, as one answer tells of them."""
    if one is None or two is None:
        return one or two
    missed = None if None in (one.missed, two.missed) else (one.missed or 0) + (two.missed or 0)
    return Gap(missed, two.place)
