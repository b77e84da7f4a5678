"""Deliveries and attempts: units of work.

Whoever records a result must still hold the lease (:mod:`hookhub.store.units.claims`), except that
a success always counts: the receiver has the event, whatever the lease says.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

from hookhub.contracts.deliveries import AttemptRecord, Claim, Delivery, DeliveryStatus, Page
from hookhub.contracts.errors import Conflict, NotFound
from hookhub.store.database import Reader, marks, pipelined
from hookhub.store.lookups import Rows
from hookhub.store.schema import FAILED, HELD, IS_PENDING, PENDING, SUCCESS
from hookhub.store.subscriptions import is_ordered
from hookhub.store.unit import Transaction
from hookhub.store.units.events import sequence_of

STATUSES: dict[int, DeliveryStatus] = {PENDING: "pending", SUCCESS: "success", FAILED: "failed"}
STEP = 1_000
"""Deliveries that one transaction changes at most when a person changes many."""
_ALL = 2**62
CODES: dict[DeliveryStatus, int] = {name: code for code, name in STATUSES.items()}


@dataclass(frozen=True, slots=True)
class AttemptReport:
    """What to write down after an attempt."""

    claim: Claim
    started_at: int
    duration: float
    outcome: str
    status: DeliveryStatus
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


_ATTEMPT = (
    *("started_at", "duration", "outcome", "response_status", "response_headers"),
    *("response_body", "error", "error_message", "timings"),
)
"""Columns of an attempt, and members of what is written down of it and read."""
_of = attrgetter(*_ATTEMPT)


def record_all(tx: Transaction, items: Sequence[AttemptReport]) -> list[Recorded]:
    """Write down attempts and what they mean for their deliveries and endpoints."""
    columns = f"delivery_id, number, {', '.join(_ATTEMPT)}, retry_wait"
    with pipelined(tx.database):
        tx.insert_rows(
            f"INSERT INTO hookhub_attempts ({columns})",
            [(item.claim.id, item.claim.attempts + 1, *_of(item), item.wait) for item in items],
        )
        changes = [_record_one(tx, item) for item in items]
    recorded = [_recorded(tx, item, change()) for item, change in zip(items, changes, strict=True)]
    _count(tx, items, recorded)
    return recorded


def touch(tx: Transaction) -> None:
    """Write something that changes nothing: does the database take it?"""
    tx.change("UPDATE hookhub_state SET last_delivery = last_delivery WHERE id = 1")


def recorded_before(tx: Transaction, items: Sequence[AttemptReport]) -> set[int]:
    """Positions of what is written down already.

    When the connection breaks at the wrong moment, a transaction was committed and nobody was told.
    """
    return {
        position
        for position, item in enumerate(items)
        if tx.sql(
            "SELECT 1 FROM hookhub_attempts WHERE delivery_id = ? AND number = ? "
            "AND started_at = ? LIMIT 1",
            (item.claim.id, item.claim.attempts + 1, item.started_at),
        )
    }


_DELIVERED = (
    f"UPDATE hookhub_deliveries SET status = {SUCCESS}, lease = NULL, "
    "attempts = CASE WHEN attempts > ? THEN attempts ELSE ? END, delivered_at = ?, "
    "next_retry_at = NULL, response_status = ?, response_body = ?, error = NULL, "
    "error_message = NULL WHERE id = ? AND status = ? RETURNING order_key"
)
_NOT_DELIVERED = (
    "UPDATE hookhub_deliveries SET status = ?, due_at = ?, lease = NULL, attempts = ?, "
    "next_retry_at = ?, response_status = ?, response_body = ?, error = ?, error_message = ? "
    f"WHERE id = ? AND {IS_PENDING} AND lease = ? RETURNING order_key"
)


def _record_one(tx: Transaction, item: AttemptReport) -> Rows:
    """Change the delivery; what is returned says whether it took that, and its key."""
    if item.status == "success":
        return tx.ask(_DELIVERED, (*_delivered(tx, item), PENDING))
    values = (
        CODES[item.status],
        item.due_at if item.due_at is not None else tx.now,
        item.claim.attempts + 1,
        item.due_at if item.status == "pending" else None,
        item.response_status,
        item.response_body,
        item.error,
        item.error_message,
    )
    return tx.ask(_NOT_DELIVERED, (*values, item.claim.id, item.claim.lease))


def _delivered(tx: Transaction, item: AttemptReport) -> tuple[Any, ...]:
    number = item.claim.attempts + 1
    return (number, number, tx.now, item.response_status, item.response_body, item.claim.id)


def _recorded(tx: Transaction, item: AttemptReport, rows: Sequence[tuple[Any, ...]]) -> Recorded:
    if item.status != "success":
        return Recorded(bool(rows), False)
    late = False
    if not rows:
        # The receiver has it, whatever became of the delivery meanwhile.
        rows = tx.sql(_DELIVERED, (*_delivered(tx, item), FAILED))
        late = bool(rows)
    # The row says whether it holds back its key: the engine may not know yet that another node made
    # the endpoint ordered.
    holds = bool(rows) and rows[0][0] is not None
    return Recorded(bool(rows), holds and release_key(tx, item.claim.id), late=late)


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
        f"UPDATE hookhub_deliveries SET due_at = ?, next_retry_at = ? WHERE {IS_PENDING} "
        "AND due_at = ? AND id = (SELECT MIN(id) FROM hookhub_deliveries "
        "WHERE endpoint_id = ? AND order_key = ?)",
        (tx.now, tx.now, HELD, endpoint_id, key),
    )
    return released > 0


def _count(tx: Transaction, items: Sequence[AttemptReport], recorded: Sequence[Recorded]) -> None:
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


_FROM = (
    "FROM hookhub_deliveries d JOIN hookhub_events e ON e.sequence = d.sequence "
    "JOIN hookhub_endpoints p ON p.id = d.endpoint_id"
)
_SELECT = (
    "SELECT d.id, endpoint_id, sink, e.id AS event_id, type AS event_type, payload, status, "
    "response_status, response_body, error, error_message, attempts AS attempt_number, "
    "d.created_at, delivered_at, next_retry_at, name AS endpoint_name, "
    f"status = {PENDING} AND due_at = {HELD} AS held {_FROM}"
)


def _deliveries(
    reader: Reader, rest: str, params: Sequence[Any], *, attempts: bool = False
) -> list[Delivery]:
    """Those that a query finds, from WHERE on; on demand with their attempts."""
    rows = reader.records(f"{_SELECT} {rest}", params)
    found = _attempts(reader, [row["id"] for row in rows]) if attempts else {}
    for row in rows:
        row["status"], row["held"] = STATUSES[row["status"]], bool(row["held"])
        row["attempts"] = found.get(row["id"], ()) if attempts else None
    return [Delivery(**row) for row in rows]


def list_deliveries(
    reader: Reader,
    endpoint_id: int,
    *,
    status: DeliveryStatus | None = None,
    limit: int,
    offset: int,
) -> Page[Delivery]:
    """Deliveries of an endpoint, newest first; the total comes from kept counters.

    Of those that are kept: the counters go on counting what retention has removed.
    """
    # The number itself, not a parameter: partial indexes serve only what is known to match.
    only = "" if status is None else f" AND d.status = {CODES[status]}"
    items = _deliveries(
        reader,
        f"WHERE d.endpoint_id = ?{only} ORDER BY d.id DESC LIMIT ? OFFSET ?",
        (endpoint_id, limit, offset),
    )
    [(pending, done, failed)] = reader.sql(
        "SELECT deliveries_total - success_count - deliveries_failed, "
        "success_count - removed_delivered, deliveries_failed - removed_failed "
        "FROM hookhub_endpoints WHERE id = ?",
        (endpoint_id,),
    )
    totals = {None: pending + done + failed, "success": done, "failed": failed, "pending": pending}
    return Page(items, totals[status], limit, offset)


def deliveries_by_id(reader: Reader, ids: Sequence[int]) -> list[Delivery]:
    """Deliveries without their attempts, newest first."""
    return _deliveries(reader, f"WHERE d.id IN ({marks(ids) or 'NULL'}) ORDER BY d.id DESC", ids)


def get_delivery(reader: Reader, delivery_id: int) -> Delivery:
    """A delivery with its attempts, oldest first.

    Raises:
        NotFound: there is none with this id, or its endpoint was deleted.
    """
    where = "WHERE d.id = ? AND p.deleted_at IS NULL"
    for delivery in _deliveries(reader, where, (delivery_id,), attempts=True):
        return delivery
    raise NotFound(f"There is no delivery {delivery_id}; its webhook may have been deleted.")


def list_event_deliveries(
    reader: Reader, event_id: str, *, limit: int, offset: int
) -> Page[Delivery]:
    """Where an event went, oldest first, with all attempts; without deleted endpoints.

    Raises:
        NotFound: there is no such event, or no longer.
    """
    sequence = sequence_of(reader, event_id)
    if sequence is None:
        raise NotFound(f"There is no event {event_id!r}; it may have been deleted by retention.")
    where = "WHERE d.sequence = ? AND p.deleted_at IS NULL"
    [(total,)] = reader.sql(f"SELECT COUNT(*) {_FROM} {where}", (sequence,))
    rest = f"{where} ORDER BY d.id LIMIT ? OFFSET ?"
    items = _deliveries(reader, rest, (sequence, limit, offset), attempts=True)
    return Page(items, total, limit, offset)


def _attempts(reader: Reader, delivery_ids: Sequence[int]) -> dict[int, tuple[AttemptRecord, ...]]:
    """The attempts of deliveries, oldest first."""
    found: dict[int, tuple[AttemptRecord, ...]] = {}
    for row in reader.records(
        f"SELECT delivery_id, number, {', '.join(_ATTEMPT)} FROM hookhub_attempts "
        f"WHERE delivery_id IN ({marks(delivery_ids) or 'NULL'}) ORDER BY id",
        delivery_ids,
    ):
        delivery_id, timings = row.pop("delivery_id"), row["timings"]
        row["timings"] = None if timings is None else json.loads(timings)
        found[delivery_id] = (*found.get(delivery_id, ()), AttemptRecord(**row))
    return found


_RETRY = (
    f"UPDATE hookhub_deliveries SET status = {PENDING}, due_at = ?, next_retry_at = ?, "
    "schedule_from = attempts, lease = NULL"
)
_GIVE_UP = f"UPDATE hookhub_deliveries SET status = {FAILED}, next_retry_at = NULL, lease = NULL"


def _count_failed(tx: Transaction, endpoint_id: int, more: int) -> None:
    tx.change(
        "UPDATE hookhub_endpoints SET deliveries_failed = deliveries_failed + ? WHERE id = ?",
        (more, endpoint_id),
    )


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
        f"{_RETRY} WHERE id = ? AND (status <> {PENDING} OR lease IS NULL OR due_at <= ?)",
        (tx.now, tx.now, delivery_id, tx.now),
    )
    if delivery.status == "failed":
        _count_failed(tx, delivery.endpoint_id, -1)
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
        f"{_GIVE_UP}, error = 'skipped', error_message = 'Skipped by hand.' "
        f"WHERE id = ? AND (status = {FAILED} OR lease IS NULL OR due_at <= ?)",
        (delivery_id, tx.now),
    )
    if not changed:
        raise Conflict(
            f"Delivery {delivery_id} is being attempted right now; try again when that is over."
        )
    if delivery.status == "pending":
        _count_failed(tx, delivery.endpoint_id, 1)
    release_key(tx, delivery_id)
    return get_delivery(tx, delivery_id)


class BulkStep(NamedTuple):
    """A part of what is done to many deliveries: the writer is everybody's in between."""

    changed: int
    last: int | None
    """Where to go on: behind this id; None if that was all."""


def _step(ids: Sequence[tuple[Any, ...]], limit: int) -> BulkStep:
    return BulkStep(len(ids), max(ids)[0] if len(ids) == limit else None)


def retry_failed(
    tx: Transaction, endpoint_id: int, *, after: int = 0, limit: int = STEP
) -> BulkStep:
    """Make failed deliveries of an endpoint due now, oldest first."""
    ids = tx.sql(
        f"{_RETRY} WHERE id IN (SELECT id FROM hookhub_deliveries "
        f"WHERE endpoint_id = ? AND status = {FAILED} AND id > ? ORDER BY id LIMIT ?) RETURNING id",
        (tx.now, tx.now, endpoint_id, after, limit),
    )
    _count_failed(tx, endpoint_id, -len(ids))
    return _step(ids, limit)


def cancel_pending(
    tx: Transaction, endpoint_id: int, *, after: int = 0, limit: int = STEP
) -> BulkStep:
    """End pending deliveries of an endpoint as failed, oldest first; of a strictly ordered one all
    at once, since nothing may be put behind one of them meanwhile.

    Those being attempted right now are not pending in that sense: they end by their own result.
    """
    tx.lock()
    if is_ordered(tx, endpoint_id):
        tx.unhurried()
        limit = _ALL
    ids = tx.sql(
        f"{_GIVE_UP}, order_key = NULL, error = 'cancelled', error_message = 'Cancelled by hand.' "
        f"WHERE id IN (SELECT id FROM hookhub_deliveries WHERE endpoint_id = ? AND {IS_PENDING} "
        "AND (lease IS NULL OR due_at <= ?) AND id > ? ORDER BY id LIMIT ?) RETURNING id",
        (endpoint_id, tx.now, after, limit),
    )
    _count_failed(tx, endpoint_id, len(ids))
    return _step(ids, limit)
