"""Deliveries and attempts: units of work.

A claim sets ``due_at`` to the end of the lease and ``lease`` to a number of its own. Whoever
records a result must still hold that lease, except that a success always counts: the receiver has
the event, whatever the lease says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import peewee

from hookhub.delivery.model import AttemptRecord, Delivery, Page, Status
from hookhub.errors import Conflict, NotFound
from hookhub.events import Event
from hookhub.store.append import Transaction
from hookhub.store.database import Reader
from hookhub.store.models import AttemptRow, DeliveryRow, EndpointRow, EventRow
from hookhub.store.schema import FAILED, PENDING, SUCCESS

STATUSES: dict[int, Status] = {PENDING: "pending", SUCCESS: "success", FAILED: "failed"}
CODES: dict[Status, int] = {name: code for code, name in STATUSES.items()}


class Claim(NamedTuple):
    """A delivery that this process may attempt until its lease ends."""

    id: int
    endpoint_id: int
    attempts: int
    """Attempts made before."""
    schedule_from: int
    """How many of them do not count for the retry schedule (before a manual retry)."""
    lease: int
    event: Event


@dataclass(frozen=True, slots=True)
class Record:
    """What to write down after an attempt."""

    claim: Claim
    started_at: int
    duration: float
    outcome: str
    status: Status
    """What the delivery is now."""
    due_at: int | None
    """When to try again, if ``pending``."""
    response_status: int | None
    response_body: str | None
    error: str | None
    error_message: str | None


def claim_due(
    tx: Transaction, *, limit: int, lease: int, until: int, skip: Sequence[int] = ()
) -> list[Claim]:
    """Claim deliveries that are due, oldest first.

    Args:
        lease: the number of this claim.
        until: when the lease ends, microseconds.
        skip: endpoints to leave alone for now.

    Deliveries of endpoints that are switched off stay pending and are looked at again when the
    endpoint is switched on.
    """
    left_out = f"AND d.endpoint_id NOT IN ({', '.join(map(str, map(int, skip)))}) " if skip else ""
    locking = "" if tx.is_sqlite else "FOR UPDATE OF d SKIP LOCKED "
    rows = tx.sql(
        "UPDATE hookhub_deliveries SET due_at = ?, lease = ? WHERE id IN ("
        "SELECT d.id FROM hookhub_deliveries d "
        "JOIN hookhub_endpoints e ON e.id = d.endpoint_id AND e.is_active "
        f"WHERE d.status = 0 AND d.due_at <= ? {left_out}"
        f"ORDER BY d.due_at LIMIT ? {locking}) "
        "RETURNING id, endpoint_id, attempts, schedule_from, sequence",
        (until, lease, tx.now, limit),
    )
    events = _events(tx, {row[4] for row in rows})
    claims = [Claim(row[0], row[1], row[2], row[3], lease, events[row[4]]) for row in rows]
    return sorted(claims)


def _events(reader: Reader, sequences: set[int]) -> dict[int, Event]:
    if not sequences:
        return {}
    rows = reader.execute(
        EventRow.select().where(EventRow.sequence.in_(sorted(sequences))).tuples()
    )
    return {row[0]: Event(*row) for row in rows}


def next_due(reader: Reader) -> int | None:
    """When the next pending delivery of an active endpoint is due, microseconds."""
    rows = reader.sql(
        "SELECT d.due_at FROM hookhub_deliveries d "
        "JOIN hookhub_endpoints e ON e.id = d.endpoint_id AND e.is_active "
        "WHERE d.status = 0 ORDER BY d.due_at LIMIT 1"
    )
    return rows[0][0] if rows else None


def release_leases(tx: Transaction) -> int:
    """Make every leased delivery due now: only for a database that no other process uses."""
    return tx.change(
        "UPDATE hookhub_deliveries SET due_at = ?, lease = NULL "
        "WHERE status = 0 AND lease IS NOT NULL",
        (tx.now,),
    )


def record(tx: Transaction, item: Record) -> bool:
    """Write down an attempt and what it means for its delivery and endpoint.

    Returns:
        whether the delivery took the result; False when another process holds it by now.
    """
    claim = item.claim
    tx.sql(
        "INSERT INTO hookhub_attempts (delivery_id, number, started_at, duration, outcome, "
        "response_status, response_body, error, error_message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            claim.id,
            claim.attempts + 1,
            item.started_at,
            item.duration,
            item.outcome,
            item.response_status,
            item.response_body,
            item.error,
            item.error_message,
        ),
    )
    delivered = item.status == "success"
    due_at = item.due_at if item.due_at is not None else tx.now
    taken = tx.change(
        "UPDATE hookhub_deliveries SET status = ?, due_at = ?, lease = NULL, "
        "attempts = CASE WHEN attempts > ? THEN attempts ELSE ? END, delivered_at = ?, "
        "next_retry_at = ?, response_status = ?, response_body = ?, error = ?, error_message = ? "
        "WHERE id = ? AND status = 0" + ("" if delivered else " AND lease = ?"),
        (
            CODES[item.status],
            due_at,
            claim.attempts + 1,
            claim.attempts + 1,
            tx.now if delivered else None,
            item.due_at if item.status == "pending" else None,
            item.response_status,
            item.response_body,
            item.error,
            item.error_message,
            claim.id,
            *([] if delivered else [claim.lease]),
        ),
    )
    tx.change(
        "UPDATE hookhub_endpoints SET last_triggered_at = ?, success_count = success_count + ?, "
        "failure_count = failure_count + ?, deliveries_failed = deliveries_failed + ? WHERE id = ?",
        (
            tx.now,
            1 if delivered and taken else 0,
            0 if delivered else 1,
            1 if item.status == "failed" and taken else 0,
            claim.endpoint_id,
        ),
    )
    return taken > 0


_SELECT = (
    DeliveryRow.select(
        DeliveryRow,
        EventRow.id.alias("event_id"),
        EventRow.type.alias("event_type"),
        EventRow.payload,
        EndpointRow.sink,
    )
    .join(EventRow, on=(EventRow.sequence == DeliveryRow.sequence))
    .switch(DeliveryRow)
    .join(EndpointRow, on=(EndpointRow.id == DeliveryRow.endpoint_id))
)


def _delivery(row: Mapping[str, Any], attempts: tuple[AttemptRecord, ...] | None) -> Delivery:
    return Delivery(
        id=row["id"],
        endpoint_id=row["endpoint_id"],
        sink=row["sink"],
        event_id=row["event_id"],
        event_type=row["event_type"],
        payload=row["payload"],
        status=STATUSES[row["status"]],
        response_status=row["response_status"],
        response_body=row["response_body"],
        error=row["error"],
        error_message=row["error_message"],
        attempt_number=row["attempts"],
        created_at=row["created_at"],
        delivered_at=row["delivered_at"],
        next_retry_at=row["next_retry_at"],
        attempts=attempts,
    )


def list_deliveries(
    reader: Reader, endpoint_id: int, *, status: Status | None = None, limit: int, offset: int
) -> Page[Delivery]:
    """Deliveries of an endpoint, newest first; the total comes from kept counters."""
    query = _SELECT.where(DeliveryRow.endpoint_id == endpoint_id)
    if status is not None:
        # The number itself, not a parameter: partial indexes serve only what is known to match.
        query = query.where(DeliveryRow.status == peewee.SQL(str(CODES[status])))
    rows = reader.rows(query.order_by(DeliveryRow.id.desc()).limit(limit).offset(offset))
    counters = reader.row(EndpointRow.select().where(EndpointRow.id == endpoint_id))
    assert counters is not None
    done, failed = counters["success_count"], counters["deliveries_failed"]
    totals = {
        None: counters["deliveries_total"],
        "success": done,
        "failed": failed,
        "pending": counters["deliveries_total"] - done - failed,
    }
    return Page([_delivery(row, None) for row in rows], totals[status], limit, offset)


def get_delivery(reader: Reader, delivery_id: int) -> Delivery:
    """A delivery with its attempts, oldest first.

    Raises:
        NotFound: there is none with this id, or its endpoint was deleted.
    """
    row = reader.row(_SELECT.where(DeliveryRow.id == delivery_id, EndpointRow.deleted_at.is_null()))
    if row is None:
        raise NotFound(f"There is no delivery {delivery_id}; its webhook may have been deleted.")
    attempts = reader.rows(
        AttemptRow.select().where(AttemptRow.delivery_id == delivery_id).order_by(AttemptRow.id)
    )
    return _delivery(
        row,
        tuple(
            AttemptRecord(
                number=item["number"],
                started_at=item["started_at"],
                duration=item["duration"],
                outcome=item["outcome"],
                response_status=item["response_status"],
                response_body=item["response_body"],
                error=item["error"],
                error_message=item["error_message"],
            )
            for item in attempts
        ),
    )


def retry_delivery(tx: Transaction, delivery_id: int) -> Delivery:
    """Make a delivery due now, with a retry schedule that starts anew.

    Raises:
        NotFound: there is none with this id.
        Conflict: it was delivered already.
    """
    delivery = get_delivery(tx, delivery_id)
    if delivery.status == "success":
        raise Conflict(
            f"Delivery {delivery_id} was delivered already; send the event again "
            "to deliver it once more."
        )
    # One that is being attempted right now is left alone: its result is worth more than a repeat.
    tx.change(
        "UPDATE hookhub_deliveries SET status = 0, due_at = ?, next_retry_at = ?, "
        "schedule_from = attempts, lease = NULL "
        "WHERE id = ? AND (status <> 0 OR lease IS NULL OR due_at <= ?)",
        (tx.now, tx.now, delivery_id, tx.now),
    )
    if delivery.status == "failed":
        tx.change(
            "UPDATE hookhub_endpoints SET deliveries_failed = deliveries_failed - 1 WHERE id = ?",
            (delivery.endpoint_id,),
        )
    return get_delivery(tx, delivery_id)


def retry_failed(tx: Transaction, endpoint_id: int) -> int:
    """Make all failed deliveries of an endpoint due now; returns how many."""
    count = tx.change(
        "UPDATE hookhub_deliveries SET status = 0, due_at = ?, next_retry_at = ?, "
        "schedule_from = attempts, lease = NULL WHERE endpoint_id = ? AND status = 2",
        (tx.now, tx.now, endpoint_id),
    )
    tx.change(
        "UPDATE hookhub_endpoints SET deliveries_failed = deliveries_failed - ? WHERE id = ?",
        (count, endpoint_id),
    )
    return count


def cancel_pending(tx: Transaction, endpoint_id: int) -> int:
    """End all pending deliveries of an endpoint as failed; returns how many.

    Those being attempted right now are not pending in that sense: they end by their own result.
    """
    count = tx.change(
        "UPDATE hookhub_deliveries SET status = 2, next_retry_at = NULL, lease = NULL, "
        "error = 'cancelled', error_message = 'Cancelled by hand.' "
        "WHERE endpoint_id = ? AND status = 0 AND (lease IS NULL OR due_at <= ?)",
        (endpoint_id, tx.now),
    )
    tx.change(
        "UPDATE hookhub_endpoints SET deliveries_failed = deliveries_failed + ? WHERE id = ?",
        (count, endpoint_id),
    )
    return count
