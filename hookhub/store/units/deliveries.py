"""Deliveries and attempts: units of work.

Whoever records a result must still hold the lease (:mod:`hookhub.store.units.claims`), except that
a success always counts: the receiver has the event, whatever the lease says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import peewee

from hookhub.contracts.deliveries import AttemptRecord, Claim, Delivery, Page, Status
from hookhub.contracts.errors import Conflict, NotFound
from hookhub.store.database import Reader
from hookhub.store.models import AttemptRow, DeliveryRow, EndpointRow, EventRow
from hookhub.store.schema import FAILED, HELD, PENDING, SUCCESS
from hookhub.store.subscriptions import is_ordered
from hookhub.store.unit import Transaction

STATUSES: dict[int, Status] = {PENDING: "pending", SUCCESS: "success", FAILED: "failed"}
STEP = 1_000
"""Deliveries that one transaction changes at most when a person changes many."""
_ALL = 2**62
CODES: dict[Status, int] = {name: code for code, name in STATUSES.items()}


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
    timings: str | None = None
    """JSON: phase to seconds."""
    gone: bool = False
    """Whether the receiver said that it is gone for good."""
    wait: int | None = None
    """From the end of the attempt to ``due_at``, microseconds."""
    response_headers: str | None = None
    """As :func:`hookhub.delivery.answer_headers.kept_headers` makes them."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a record."""

    taken: bool
    """Whether the delivery took the result; False when another process holds it by now."""
    released: bool
    """Whether a later delivery of the same key became due by it."""
    disabled: bool = False
    """Whether the endpoint was switched off because of it."""
    late: bool = False
    """Whether it was delivered after it had been given up."""


def record_all(tx: Transaction, items: Sequence[Record]) -> list[Recorded]:
    """Write down attempts and what they mean for their deliveries and endpoints."""
    tx.insert_rows(
        "INSERT INTO hookhub_attempts (delivery_id, number, started_at, duration, outcome, "
        "response_status, response_headers, response_body, error, error_message, timings, "
        "retry_wait)",
        [
            (
                item.claim.id,
                item.claim.attempts + 1,
                item.started_at,
                item.duration,
                item.outcome,
                item.response_status,
                item.response_headers,
                item.response_body,
                item.error,
                item.error_message,
                item.timings,
                item.wait,
            )
            for item in items
        ],
    )
    recorded = [_record_one(tx, item) for item in items]
    done = {
        item.claim.id: position
        for position, item in enumerate(items)
        if item.status == "success" and recorded[position].taken
    }
    for delivery_id in _holding_back(tx, list(done)):
        if release_key(tx, delivery_id):
            position = done[delivery_id]
            recorded[position] = replace(recorded[position], released=True)
    _count(tx, items, recorded)
    return recorded


def _holding_back(tx: Transaction, ids: Sequence[int]) -> list[int]:
    """Those that hold back their key.

    The rows say it: the engine may not know yet that another node made the endpoint ordered.
    """
    found: list[int] = []
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        rows = tx.sql(
            f"SELECT id FROM hookhub_deliveries WHERE id IN ({', '.join('?' * len(part))}) "
            "AND order_key IS NOT NULL",
            part,
        )
        found += [row[0] for row in rows]
    return found


def touch(tx: Transaction) -> None:
    """Write something that changes nothing: does the database take it?"""
    tx.change("UPDATE hookhub_state SET last_delivery = last_delivery WHERE id = 1")


def recorded_before(tx: Transaction, items: Sequence[Record]) -> set[int]:
    """Positions of what is written down already.

    When the connection breaks at the wrong moment, a transaction was committed and nobody was told.
    """
    found: set[int] = set()
    for position, item in enumerate(items):
        number = item.claim.attempts + 1
        if tx.sql(
            "SELECT 1 FROM hookhub_attempts WHERE delivery_id = ? AND number = ? "
            "AND started_at = ? LIMIT 1",
            (item.claim.id, number, item.started_at),
        ):
            found.add(position)
    return found


_DELIVERED = (
    "UPDATE hookhub_deliveries SET status = 1, lease = NULL, "
    "attempts = CASE WHEN attempts > ? THEN attempts ELSE ? END, delivered_at = ?, "
    "next_retry_at = NULL, response_status = ?, response_body = ?, error = NULL, "
    "error_message = NULL WHERE id = ? AND status = ?"
)
_NOT_DELIVERED = (
    "UPDATE hookhub_deliveries SET status = ?, due_at = ?, lease = NULL, attempts = ?, "
    "next_retry_at = ?, response_status = ?, response_body = ?, error = ?, error_message = ? "
    "WHERE id = ? AND status = 0 AND lease = ?"
)


def _record_one(tx: Transaction, item: Record) -> Recorded:
    claim = item.claim
    number = claim.attempts + 1
    if item.status == "success":
        # The receiver has it, whatever the lease says.
        values: tuple[Any, ...] = (number, number, tx.now, item.response_status, item.response_body)
        taken = tx.change(_DELIVERED, (*values, claim.id, PENDING)) > 0
        late = not taken and tx.change(_DELIVERED, (*values, claim.id, FAILED)) > 0
        return Recorded(taken or late, False, late=late)
    values = (
        CODES[item.status],
        item.due_at if item.due_at is not None else tx.now,
        number,
        item.due_at if item.status == "pending" else None,
        item.response_status,
        item.response_body,
        item.error,
        item.error_message,
    )
    return Recorded(tx.change(_NOT_DELIVERED, (*values, claim.id, claim.lease)) > 0, False)


def release_key(tx: Transaction, delivery_id: int) -> bool:
    """A delivery holds back its key no longer: the next one of the key is due."""
    # No event of the key may be appended meanwhile.
    tx.lock()
    rows = tx.sql(
        "SELECT endpoint_id, order_key FROM hookhub_deliveries WHERE id = ?", (delivery_id,)
    )
    endpoint_id, key = rows[0]
    if key is None:
        return False
    tx.change("UPDATE hookhub_deliveries SET order_key = NULL WHERE id = ?", (delivery_id,))
    released = tx.change(
        "UPDATE hookhub_deliveries SET due_at = ?, next_retry_at = ? WHERE status = 0 "
        "AND due_at = ? AND id = (SELECT MIN(id) FROM hookhub_deliveries "
        "WHERE endpoint_id = ? AND order_key = ?)",
        (tx.now, tx.now, HELD, endpoint_id, key),
    )
    return released > 0


def _count(tx: Transaction, items: Sequence[Record], recorded: Sequence[Recorded]) -> None:
    counts: dict[int, list[int]] = {}
    for item, result in zip(items, recorded, strict=True):
        delivered, failures, failed = counts.setdefault(item.claim.endpoint_id, [0, 0, 0])
        if item.status == "success":
            delivered += result.taken
            failed -= result.late
        else:
            failures += 1
            failed += result.taken and item.status == "failed"
        counts[item.claim.endpoint_id] = [delivered, failures, failed]
    now = tx.now
    tx.many(
        "UPDATE hookhub_endpoints SET last_triggered_at = ?, "
        "success_count = success_count + ?, failure_count = failure_count + ?, "
        "deliveries_failed = deliveries_failed + ?, "
        "failing_since = CASE WHEN ? > 0 THEN NULL ELSE COALESCE(failing_since, ?) END, "
        "warned_at = CASE WHEN ? > 0 THEN NULL ELSE warned_at END WHERE id = ?",
        [
            (now, delivered, failures, failed, delivered, now, delivered, endpoint_id)
            for endpoint_id, (delivered, failures, failed) in counts.items()
        ],
    )


_SELECT = (
    DeliveryRow.select(
        DeliveryRow,
        EventRow.id.alias("event_id"),
        EventRow.type.alias("event_type"),
        EventRow.payload,
        EndpointRow.sink,
        EndpointRow.name.alias("endpoint_name"),
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
        held=row["status"] == PENDING and row["due_at"] == HELD,
        attempts=attempts,
        endpoint_name=row["endpoint_name"],
    )


def list_deliveries(
    reader: Reader, endpoint_id: int, *, status: Status | None = None, limit: int, offset: int
) -> Page[Delivery]:
    """Deliveries of an endpoint, newest first; the total comes from kept counters.

    Of those that are kept: the counters go on counting what retention has removed.
    """
    query = _SELECT.where(DeliveryRow.endpoint_id == endpoint_id)
    if status is not None:
        # The number itself, not a parameter: partial indexes serve only what is known to match.
        query = query.where(DeliveryRow.status == peewee.SQL(str(CODES[status])))
    rows = reader.rows(query.order_by(DeliveryRow.id.desc()).limit(limit).offset(offset))
    counters = reader.row(EndpointRow.select().where(EndpointRow.id == endpoint_id))
    assert counters is not None
    pending = (
        counters["deliveries_total"] - counters["success_count"] - counters["deliveries_failed"]
    )
    done = counters["success_count"] - counters["removed_delivered"]
    failed = counters["deliveries_failed"] - counters["removed_failed"]
    totals = {None: pending + done + failed, "success": done, "failed": failed, "pending": pending}
    return Page([_delivery(row, None) for row in rows], totals[status], limit, offset)


def deliveries_by_id(reader: Reader, ids: Sequence[int]) -> list[Delivery]:
    """Deliveries without their attempts, newest first."""
    query = _SELECT.where(DeliveryRow.id.in_(ids)).order_by(DeliveryRow.id.desc())
    return [_delivery(row, None) for row in reader.rows(query)] if ids else []


def get_delivery(reader: Reader, delivery_id: int) -> Delivery:
    """A delivery with its attempts, oldest first.

    Raises:
        NotFound: there is none with this id, or its endpoint was deleted.
    """
    row = reader.row(_SELECT.where(DeliveryRow.id == delivery_id, EndpointRow.deleted_at.is_null()))
    if row is None:
        raise NotFound(f"There is no delivery {delivery_id}; its webhook may have been deleted.")
    return _delivery(row, _attempts(reader, [delivery_id]).get(delivery_id, ()))


def list_event_deliveries(
    reader: Reader, event_id: str, *, limit: int, offset: int
) -> Page[Delivery]:
    """Where an event went, oldest first, with all attempts; without deleted endpoints.

    Raises:
        NotFound: there is no such event, or no longer.
    """
    sequence = reader.scalar(EventRow.select(EventRow.sequence).where(EventRow.id == event_id))
    if sequence is None:
        raise NotFound(f"There is no event {event_id!r}; it may have been deleted by retention.")
    query = _SELECT.where(DeliveryRow.sequence == sequence, EndpointRow.deleted_at.is_null())
    total = query.count(reader.database)
    rows = reader.rows(query.order_by(DeliveryRow.id).limit(limit).offset(offset))
    attempts = _attempts(reader, [row["id"] for row in rows])
    items = [_delivery(row, attempts.get(row["id"], ())) for row in rows]
    return Page(items, total, limit, offset)


def _attempts(reader: Reader, delivery_ids: Sequence[int]) -> dict[int, tuple[AttemptRecord, ...]]:
    """The attempts of deliveries, oldest first."""
    query = AttemptRow.select().where(AttemptRow.delivery_id.in_(delivery_ids))
    found: dict[int, tuple[AttemptRecord, ...]] = {}
    for item in reader.rows(query.order_by(AttemptRow.id)):
        attempt = AttemptRecord(
            number=item["number"],
            started_at=item["started_at"],
            duration=item["duration"],
            outcome=item["outcome"],
            response_status=item["response_status"],
            response_body=item["response_body"],
            error=item["error"],
            error_message=item["error_message"],
            timings=None if item["timings"] is None else json.loads(item["timings"]),
            response_headers=item["response_headers"],
        )
        found[item["delivery_id"]] = (*found.get(item["delivery_id"], ()), attempt)
    return found


def _hold_row(tx: Transaction, delivery_id: int) -> None:
    """Let no other node change a delivery between the look at it and its change."""
    if not tx.is_sqlite:
        tx.sql("SELECT 1 FROM hookhub_deliveries WHERE id = ? FOR UPDATE", (delivery_id,))


def retry_delivery(tx: Transaction, delivery_id: int) -> Delivery:
    """Make a delivery due now, with a retry schedule that starts anew.

    Raises:
        NotFound: there is none with this id.
        Conflict: it was delivered already.
    """
    _hold_row(tx, delivery_id)
    delivery = get_delivery(tx, delivery_id)
    if delivery.status == "success":
        raise Conflict(
            f"Delivery {delivery_id} was delivered already; send the event again "
            "to deliver it once more."
        )
    if delivery.held:
        raise Conflict(
            f"Delivery {delivery_id} waits for an earlier one of its key (strict order); retry or "
            "skip that one."
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


def skip_delivery(tx: Transaction, delivery_id: int) -> Delivery:
    """Give up a delivery that holds back its key (strict order): the next one goes.

    Raises:
        NotFound: there is none with this id.
        Conflict: it holds back nothing, or it is being attempted right now.
    """
    tx.lock()
    _hold_row(tx, delivery_id)
    delivery = get_delivery(tx, delivery_id)
    rows = tx.sql(
        "SELECT 1 FROM hookhub_deliveries WHERE id = ? AND order_key IS NOT NULL AND due_at <> ?",
        (delivery_id, HELD),
    )
    if not rows:
        raise Conflict(f"Delivery {delivery_id} holds back nothing; there is nothing to skip.")
    changed = tx.change(
        "UPDATE hookhub_deliveries SET status = 2, next_retry_at = NULL, lease = NULL, "
        "error = 'skipped', error_message = 'Skipped by hand.' "
        "WHERE id = ? AND (status = 2 OR lease IS NULL OR due_at <= ?)",
        (delivery_id, tx.now),
    )
    if not changed:
        raise Conflict(
            f"Delivery {delivery_id} is being attempted right now; try again when that is over."
        )
    if delivery.status == "pending":
        tx.change(
            "UPDATE hookhub_endpoints SET deliveries_failed = deliveries_failed + 1 WHERE id = ?",
            (delivery.endpoint_id,),
        )
    release_key(tx, delivery_id)
    return get_delivery(tx, delivery_id)


class Step(NamedTuple):
    """A part of what is done to many deliveries: the writer is everybody's in between."""

    changed: int
    last: int | None
    """Where to go on: behind this id; None if that was all."""


def _step(ids: Sequence[tuple[Any, ...]], limit: int) -> Step:
    return Step(len(ids), max(ids)[0] if len(ids) == limit else None)


def retry_failed(tx: Transaction, endpoint_id: int, *, after: int = 0, limit: int = STEP) -> Step:
    """Make failed deliveries of an endpoint due now, oldest first."""
    ids = tx.sql(
        "UPDATE hookhub_deliveries SET status = 0, due_at = ?, next_retry_at = ?, "
        "schedule_from = attempts, lease = NULL WHERE id IN (SELECT id FROM hookhub_deliveries "
        "WHERE endpoint_id = ? AND status = 2 AND id > ? ORDER BY id LIMIT ?) RETURNING id",
        (tx.now, tx.now, endpoint_id, after, limit),
    )
    tx.change(
        "UPDATE hookhub_endpoints SET deliveries_failed = deliveries_failed - ? WHERE id = ?",
        (len(ids), endpoint_id),
    )
    return _step(ids, limit)


def cancel_pending(tx: Transaction, endpoint_id: int, *, after: int = 0, limit: int = STEP) -> Step:
    """End pending deliveries of an endpoint as failed, oldest first; of a strictly ordered one all
    at once, since nothing may be put behind one of them meanwhile.

    Those being attempted right now are not pending in that sense: they end by their own result.
    """
    tx.lock()
    if is_ordered(tx, endpoint_id):
        tx.unhurried()
        limit = _ALL
    ids = tx.sql(
        "UPDATE hookhub_deliveries SET status = 2, next_retry_at = NULL, lease = NULL, "
        "order_key = NULL, error = 'cancelled', error_message = 'Cancelled by hand.' "
        "WHERE id IN (SELECT id FROM hookhub_deliveries WHERE endpoint_id = ? AND status = 0 "
        "AND (lease IS NULL OR due_at <= ?) AND id > ? ORDER BY id LIMIT ?) RETURNING id",
        (endpoint_id, tx.now, after, limit),
    )
    tx.change(
        "UPDATE hookhub_endpoints SET deliveries_failed = deliveries_failed + ? WHERE id = ?",
        (len(ids), endpoint_id),
    )
    return _step(ids, limit)
