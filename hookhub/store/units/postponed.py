"""What waits longer than it may because the clock was set back. Units of work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hookhub.store.database import Reader
from hookhub.store.schema import HELD, IS_LEASED, IS_PENDING, IS_RUNNING, IS_UNCLAIMED
from hookhub.store.unit import Transaction

PAGE = 500
_RECENT = 100


class Waiting(NamedTuple):
    """A delivery that nobody has claimed and that is not due yet; times are microseconds."""

    id: int
    due_at: int
    attempts: int
    schedule_from: int
    wait: int | None
    """How long it was to wait when its last attempt ended."""


def from_the_future(reader: Reader) -> bool:
    """Whether the newest attempts or deliveries are later than now: the clock was set back."""
    rows = reader.sql(
        f"SELECT MAX(moment) FROM (SELECT started_at AS moment FROM (SELECT started_at FROM "
        f"hookhub_attempts ORDER BY id DESC LIMIT {_RECENT}) AS a UNION ALL SELECT created_at "
        f"FROM (SELECT created_at FROM hookhub_deliveries ORDER BY id DESC LIMIT {_RECENT}) AS d"
        ") AS both_kinds"
    )
    newest = rows[0][0]
    return newest is not None and newest > reader.now


def waiting_page(reader: Reader, endpoint_id: int, before: tuple[int, int]) -> list[Waiting]:
    """Those of an endpoint, the latest first.

    Args:
        before: only those that come after this one (``due_at`` and id) in that order.
    """
    due_at, delivery_id = before
    rows = reader.sql(
        "SELECT d.id, d.due_at, d.attempts, d.schedule_from, "
        "(SELECT MAX(a.retry_wait) FROM hookhub_attempts a "
        "WHERE a.delivery_id = d.id AND a.number = d.attempts) FROM hookhub_deliveries d "
        f"WHERE d.endpoint_id = ? AND d.{IS_PENDING} AND d.lease IS NULL AND d.due_at > ? "
        "AND d.due_at <= ? AND (d.due_at < ? OR d.id < ?) "
        f"ORDER BY d.due_at DESC, d.id DESC LIMIT {PAGE}",
        (endpoint_id, reader.now, min(due_at, HELD - 1), due_at, delivery_id),
    )
    return [Waiting(*row) for row in rows]


def bring_forward(tx: Transaction, changes: Sequence[tuple[Waiting, int]]) -> None:
    """Let them be due earlier, unless something happened to them meanwhile."""
    tx.many(
        "UPDATE hookhub_deliveries SET due_at = ?, next_retry_at = ? "
        f"WHERE id = ? AND due_at = ? AND {IS_UNCLAIMED}",
        [(due_at, due_at, row.id, row.due_at) for row, due_at in changes],
    )


def cap_leases(tx: Transaction, until: int) -> None:
    """Let no lease end later than this, be it of a delivery or of a replay."""
    tx.change(
        f"UPDATE hookhub_deliveries SET due_at = ? WHERE {IS_LEASED} AND due_at > ? AND due_at < ?",
        (until, until, HELD),
    )
    tx.change(f"UPDATE hookhub_jobs SET lease = ? WHERE {IS_RUNNING} AND lease > ?", (until, until))
