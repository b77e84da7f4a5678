"""Epochs: whether the database is still the one that this process has seen, only further on.

A restored backup, or a replica that lagged and took over, is an earlier state of the database:
sequences are given out again, to other events. Whoever notices begins a new epoch, under the state
row's lock, so that all nodes have the same one; a cursor names its epoch, and is void in another.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from hookhub.store.database import Reader

DELIVERIES_LEFT_OUT = 1_000_000
"""Ids of deliveries that a new epoch does not give out: what comes of an attempt that is under way
must not be taken for the fate of another delivery."""


HISTORY = (
    "epoch, epoch_number, epoch_begin, last_sequence, "
    "(SELECT id FROM hookhub_events WHERE sequence = ?), last_delivery"
)
"""The columns of :class:`History`; the parameter is the sequence of the newest event seen."""


class Seen(NamedTuple):
    """The newest event that a process knows of, and the newest delivery."""

    epoch: str
    number: int
    """Epochs are counted: one that another node began has a higher number."""
    sequence: int
    id: str | None
    delivery: int
    """The highest id of one that was given out, in whatever epoch."""


NOTHING_SEEN = Seen("", 0, 0, None, 0)


class History(NamedTuple):
    """What the database says of itself."""

    epoch: str
    number: int
    begin: int
    """The epoch began after this sequence."""
    last: int
    """The sequence of the last event ever."""
    id: str | None
    """The event that has the sequence of the newest one seen; None if it is deleted."""
    last_delivery: int

    def went_back(self, seen: Seen) -> bool:
        """Whether this is no later state of what was seen."""
        if self.epoch != seen.epoch:
            return self.number <= seen.number
        # A replay makes deliveries, and no event.
        return (
            self.last < seen.sequence
            or self.last_delivery < seen.delivery
            or (None not in (self.id, seen.id) and self.id != seen.id)
        )


def read_history(reader: Reader, sequence: int) -> History:
    """What the database says of itself, and of the event with this sequence."""
    rows = reader.sql(f"SELECT {HISTORY} FROM hookhub_state WHERE id = 1", (sequence,))
    return History(*rows[0])


def read_newest(reader: Reader) -> Seen:
    """The last event ever, as one that was seen."""
    return _event_at(reader, "last_sequence")


def read_beginning(reader: Reader) -> Seen:
    """The event after which the epoch began, as one that was seen."""
    return _event_at(reader, "epoch_begin")


def _event_at(reader: Reader, place: str) -> Seen:
    rows = reader.sql(
        f"SELECT epoch, epoch_number, {place}, hookhub_events.id, last_delivery "
        "FROM hookhub_state "
        f"LEFT JOIN hookhub_events ON sequence = {place} WHERE hookhub_state.id = 1"
    )
    return Seen(*rows[0])


def new_epoch() -> str:
    """A name that no epoch has had."""
    return os.urandom(6).hex()
