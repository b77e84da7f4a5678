"""Deleting what is old: units of work, each a small step.

Every step holds the state row, as whoever appends does: so no replay gives an event a new delivery
while it is being deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hookhub.store.database import Reader, marks
from hookhub.store.schema import FAILED, HELD, SUCCESS
from hookhub.store.unit import Transaction


class Ages(NamedTuple):
    """From when on deliveries are too old (microseconds since 1970); None: never."""

    delivered: int | None
    failed: int | None

    def newest(self) -> int | None:
        """What was made later than this is not too old, whatever it is."""
        known = [moment for moment in self if moment is not None]
        return max(known) if known else None


@dataclass(frozen=True, slots=True)
class Removed:
    """What a step deleted, and whether there is more of the kind."""

    events: int = 0
    deliveries: int = 0
    attempts: int = 0
    more: bool = False


def expire_events(
    tx: Transaction, before: int, limit: int, dropped: Sequence[tuple[int, int]] = ()
) -> Removed:
    """Let the history begin later: after the oldest events, those older than ``before``.

    An event stays until all those committed before it are too old as well, so that the history
    has no holes. What has deliveries keeps its row until these are deleted.

    Args:
        before: microseconds.
        limit: how many events at most.
        dropped: ranges (the first sequence, and one after the last) whose rows stay, since they
            are dropped when all of the range is too old.
    """
    tx.lock()
    start = tx.sql("SELECT events_from FROM hookhub_state WHERE id = 1")[0][0]
    end = _last_expired(tx, start, before, limit)
    if end is None:
        return Removed()
    end = min([end, *(bound - 1 for part in dropped for bound in part if bound > start)])
    tx.change("UPDATE hookhub_state SET events_from = ? WHERE id = 1", (end + 1,))
    if any(first <= start < after for first, after in dropped):
        return Removed(more=True)
    deleted = tx.change(
        f"DELETE FROM hookhub_events WHERE sequence BETWEEN ? AND ? AND {_ALONE}",
        (start, end, start, end),
    )
    return Removed(events=deleted, more=True)


# The range once more: PostgreSQL would read all deliveries to hash them.
_ALONE = (
    "NOT EXISTS (SELECT 1 FROM hookhub_deliveries d WHERE d.sequence = hookhub_events.sequence "
    "AND d.sequence BETWEEN ? AND ?)"
)


def _last_expired(reader: Reader, start: int, before: int, limit: int) -> int | None:
    # The history has no holes: so many numbers are as many rows, and of one range.
    query = (
        "SELECT sequence, timestamp FROM hookhub_events WHERE sequence >= ? AND sequence < ? "
        "ORDER BY sequence LIMIT ?"
    )
    rows = reader.sql(query, (start, start + limit, limit)) or reader.sql(
        query, (start, 2**63 - 1, limit)
    )
    end: int | None = None
    for sequence, timestamp in rows:
        if timestamp < before:
            end = sequence
        elif timestamp <= reader.now:
            return end
    if not rows or end == rows[-1][0]:
        return end
    # The last ones are of the future: a clock was wrong. They are as old as what follows them.
    following = reader.sql(
        "SELECT timestamp FROM hookhub_events WHERE sequence > ? AND timestamp <= ? "
        "ORDER BY sequence LIMIT 1",
        (rows[-1][0], reader.now),
    )
    return rows[-1][0] if following and following[0][0] < before else end


class OldDelivery(NamedTuple):
    """What there is to know about a delivery."""

    id: int
    endpoint_id: int
    sequence: int
    status: int
    created_at: int
    delivered_at: int | None
    due_at: int
    order_key: str | None

    def too_old(self, ages: Ages) -> bool:
        """Whether it is to be deleted."""
        if self.status == SUCCESS:
            ended = self.delivered_at or self.created_at
            return ages.delivered is not None and ended < ages.delivered
        # One that holds back its key (strict order) is a person's to retry or skip.
        if self.status != FAILED or self.order_key is not None or ages.failed is None:
            return False
        # It was due when it failed; one that was cancelled, when it would have been attempted.
        return max(self.created_at, self.due_at if self.due_at < HELD else 0) < ages.failed


_ROW = "SELECT " + ", ".join(OldDelivery._fields) + " FROM hookhub_deliveries"


class Expired(NamedTuple):
    """Deliveries that are too old, and how far the search came."""

    ids: list[int]
    position: int
    end: bool
    """Whether nothing follows, or what follows is too new."""
    is_new: bool = False
    """Whether it is too new."""


def find_deliveries(
    reader: Reader, after: int, ages: Ages, limit: int, below: int = 2**63 - 1
) -> Expired:
    """Look at the next ``limit`` deliveries, in the order they were made: ids below ``below``."""
    newest = ages.newest()
    rows = reader.sql(f"{_ROW} WHERE id > ? AND id < ? ORDER BY id LIMIT ?", (after, below, limit))
    ids: list[int] = []
    position = after
    for row in map(OldDelivery._make, rows):
        # One of the future says nothing about what follows: a clock was wrong.
        if newest is None or newest <= row.created_at <= reader.now:
            return Expired(ids, position, True, True)
        position = row.id
        if row.too_old(ages):
            ids.append(row.id)
    return Expired(ids, position, len(rows) < limit)


def remove_deliveries(tx: Transaction, ids: Sequence[int], ages: Ages) -> Removed:
    """Delete deliveries with their attempts, as far as they are still too old.

    And their events, if these are older than the history and this was the last delivery.
    """
    tx.lock()
    locking = "" if tx.is_sqlite else " FOR UPDATE"
    rows = tx.sql(f"{_ROW} WHERE id IN ({marks(ids)}) ORDER BY id{locking}", ids)
    return _remove(tx, [row for row in map(OldDelivery._make, rows) if row.too_old(ages)])


def _remove(tx: Transaction, rows: Sequence[OldDelivery]) -> Removed:
    if not rows:
        return Removed()
    ids = [row.id for row in rows]
    those = f"({marks(ids)})"
    attempts = tx.change(f"DELETE FROM hookhub_attempts WHERE delivery_id IN {those}", ids)
    tx.change(f"DELETE FROM hookhub_deliveries WHERE id IN {those}", ids)
    counts: dict[int, list[int]] = {}
    of_event: dict[int, int] = {}
    for row in rows:
        delivered, failed, to = counts.setdefault(row.endpoint_id, [0, 0, 0])
        delivered += row.status == SUCCESS
        failed += row.status == FAILED
        counts[row.endpoint_id] = [delivered, failed, max(to, row.sequence)]
        of_event[row.sequence] = of_event.get(row.sequence, 0) + 1
    count_removed(tx, counts)
    events = _remove_events(tx, of_event)
    return Removed(events, len(ids), attempts, True)


def count_removed(reader: Reader, counts: Mapping[int, Sequence[int]]) -> None:
    """Note what endpoints have lost: how many delivered ones and failed ones, the last sequence."""
    reader.many(
        "UPDATE hookhub_endpoints SET removed_delivered = removed_delivered + ?, "
        "removed_failed = removed_failed + ?, "
        "removed_to = CASE WHEN removed_to < ? THEN ? ELSE removed_to END WHERE id = ?",
        [(*count, count[2], endpoint_id) for endpoint_id, count in sorted(counts.items())],
    )


def _remove_events(tx: Transaction, removed: dict[int, int]) -> int:
    sequences = sorted(removed)
    deleted = tx.change(
        f"DELETE FROM hookhub_events WHERE sequence IN ({marks(sequences)}) "
        f"AND sequence < (SELECT events_from FROM hookhub_state WHERE id = 1) AND {_ALONE}",
        (*sequences, sequences[0], sequences[-1]),
    )
    if deleted < len(sequences):
        tx.many(
            "UPDATE hookhub_events SET removed = removed + ?, kept = kept - ? WHERE sequence = ?",
            [(removed[sequence], removed[sequence], sequence) for sequence in sequences],
        )
    return deleted


def remove_alone(tx: Transaction, after: int, below: int, limit: int) -> int | None:
    """Delete events older than the history whose deliveries went with a range.

    Returns:
        the last sequence that was looked at; None if there are no more.
    """
    tx.lock()
    rows = tx.sql(
        "SELECT sequence FROM hookhub_events WHERE sequence > ? AND sequence < ? AND sequence < "
        "(SELECT events_from FROM hookhub_state WHERE id = 1) ORDER BY sequence LIMIT ?",
        (after, below, limit),
    )
    if not rows:
        return None
    first, last = rows[0][0], rows[-1][0]
    tx.change(
        f"DELETE FROM hookhub_events WHERE sequence BETWEEN ? AND ? AND {_ALONE}",
        (first, last, first, last),
    )
    return int(last)


def deleted_endpoints(reader: Reader, before: int) -> list[int]:
    """Endpoints that were deleted before this moment (microseconds) and still have rows."""
    rows = reader.sql(
        "SELECT id FROM hookhub_endpoints WHERE deleted_at < ? ORDER BY id", (before,)
    )
    return [row[0] for row in rows]


def purge_endpoint(tx: Transaction, endpoint_id: int, limit: int) -> Removed:
    """Delete the oldest deliveries of a deleted endpoint, then its row."""
    tx.lock()
    rows = tx.sql(f"{_ROW} WHERE endpoint_id = ? ORDER BY id LIMIT ?", (endpoint_id, limit))
    if rows:
        return _remove(tx, [OldDelivery(*row) for row in rows])
    tx.change(
        "DELETE FROM hookhub_endpoints WHERE id = ? AND deleted_at IS NOT NULL", (endpoint_id,)
    )
    return Removed()


def forget_keys(tx: Transaction, before: int, limit: int) -> int:
    """Forget the oldest idempotency keys that are older than this; returns how many."""
    return tx.change(
        "DELETE FROM hookhub_idempotency WHERE key IN (SELECT key FROM hookhub_idempotency "
        "WHERE created_at < ? ORDER BY created_at LIMIT ?)",
        (before, limit),
    )


def forget_jobs(tx: Transaction, before: int, limit: int) -> int:
    """Forget jobs that ended before this; returns how many."""
    return tx.change(
        "DELETE FROM hookhub_jobs WHERE id IN (SELECT id FROM hookhub_jobs "
        "WHERE finished_at < ? LIMIT ?)",
        (before, limit),
    )
