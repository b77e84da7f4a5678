"""The audit: does the database hold what was promised? Computed from the rows themselves.

An event is committed with the number of its deliveries, and whatever adds or deletes rows later is
counted beside it. So every event must satisfy

    matched + replayed = delivered + pending + failed + skipped + removed

and a row that is lost, or is in a state that it cannot be in, shows. Of an event that has lost its
deliveries with a range (:mod:`hookhub.store.units.ranges`) the rows that it still has are counted
instead, and the removed ones are what is missing to the sum. The rows are read in ranges,
each in a transaction of its own: memory stays small, and nobody waits for the audit.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from hookhub.store.database import Reader, marks
from hookhub.store.partitions import KEYS
from hookhub.store.schema import FAILED, HELD, IS_PENDING, IS_UNCLAIMED, PENDING, SUCCESS
from hookhub.store.store import Store
from hookhub.store.units.events import first_at_or_after

SHOWN = 20
"""Rows that a difference names."""
RANGE_MIN, RANGE_MAX = 50, 20_000
"""Events that one transaction looks at."""
PART = 1_000
"""Deliveries that one statement asks about."""
RANGE_SECONDS = 0.2
"""How long one such look should take."""
OVERDUE = 3_600_000_000
"""Microseconds after which a delivery that is due and that nobody attempts is a difference."""
YEAR = 365 * 86_400_000_000

SKIPPED = ("skipped", "cancelled")
"""Values of ``error`` of a delivery that somebody gave up by hand."""


@dataclass(slots=True)
class Difference:
    """Rows that are not as they must be."""

    check: str
    message: str
    count: int = 0
    rows: list[int] = field(default_factory=list)
    """The first of them."""

    def add(self, rows: Iterable[int]) -> None:
        """Note more of them."""
        for row in rows:
            self.count += 1
            if len(self.rows) < SHOWN:
                self.rows.append(row)


MESSAGES = {
    "event_missing": "events (sequences) are gone although they are not older than the history",
    "delivery_missing": "events (sequences) have fewer or more deliveries than they were promised",
    "event_of_delivery_missing": "deliveries (ids) are of an event that is gone",
    "endpoint_missing": "deliveries (ids) are of an endpoint that is gone",
    "state": "deliveries (ids) are in no state, or a success has no time",
    "attempts": "deliveries (ids) whose attempts do not bear out what they say",
    "held": "deliveries (ids) wait for an earlier one of their key that is not there",
    "counters": "endpoints (ids) whose kept counters are not what a recount finds",
    "overdue": "deliveries (ids) have long been due, and nobody attempts them",
    "numbers": "numbers are used by rows although they have not been given out yet",
}


@dataclass(slots=True)
class Audit:
    """What an audit found; see :meth:`members`."""

    first: int
    """The first sequence looked at."""
    last: int
    events: int = 0
    expired: int = 0
    """Events that retention has deleted."""
    matched: int = 0
    """Deliveries that were committed with the events."""
    replayed: int = 0
    """Deliveries that replays added."""
    delivered: int = 0
    pending: int = 0
    failed: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    """Deliveries that will not be attempted, by reason."""
    removed: int = 0
    """Deliveries that retention has deleted."""
    differences: dict[str, Difference] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether everything adds up."""
        return not self.differences

    def differ(self, check: str, rows: Iterable[int]) -> None:
        """Note rows that fail a check; none is fine."""
        found = self.differences.get(check, Difference(check, MESSAGES[check]))
        found.add(rows)
        if found.count:
            self.differences[check] = found

    def members(self) -> dict[str, Any]:
        """As JSON shows it."""
        return {
            "ok": self.ok,
            **asdict(self),
            "skipped": dict(sorted(self.skipped.items())),
            "differences": [asdict(item) for item in self.differences.values()],
        }


async def audit(
    store: Store,
    *,
    since: int | None = None,
    until: int | None = None,
    sinks: Collection[str] | None = None,
    as_of: int | None = None,
) -> Audit:
    """Check a period.

    Args:
        since: events of this time (microseconds since 1970) and later; None for all.
        until: events before this time; None for all.
        sinks: the durable sinks that are installed; nobody attempts the deliveries of others. None
            for all.
        as_of: the time from which deliveries are overdue; None for when the hub last did something
            (for one that does not run).
    """
    found = await store.read(lambda reader: _period(reader, since, until))
    position, size = found.first, RANGE_MIN
    while position <= found.last:
        to = min(position + size - 1, found.last)
        before = found.events
        began = time.perf_counter()
        await store.read(partial(_check_range, found=found, first=position, last=to))
        seconds = time.perf_counter() - began
        if seconds < RANGE_SECONDS / 2 and (size < RANGE_MAX or found.events == before):
            size *= 2
        elif seconds > RANGE_SECONDS or size > RANGE_MAX:
            size = max(RANGE_MIN, min(size // 2, RANGE_MAX))
        position = to + 1
    await store.read(lambda reader: _check_numbers(reader, found))
    for endpoint_id in await store.read(_endpoints):
        await store.read(partial(_check_counters, found=found, endpoint_id=endpoint_id))
    await store.read(lambda reader: _check_overdue(reader, found, sinks, as_of))
    return found


def _period(reader: Reader, since: int | None, until: int | None) -> Audit:
    start, last = reader.sql("SELECT events_from, last_sequence FROM hookhub_state")[0]
    first = start if since is None else first_at_or_after(reader, since)
    if first == start:
        # Also what is older than the history, and is kept because a delivery of it is.
        rows = reader.sql("SELECT MIN(sequence) FROM hookhub_events")
        first = min(start, rows[0][0] or start)
    if until is not None:
        last = min(last, first_at_or_after(reader, until) - 1)
    return Audit(first, last, expired=first - 1 if since is None else 0)


# -- events and their deliveries ------------------------------------------------------------

_KEPT = (
    "CASE WHEN e.sequence < s.counted_from THEN COALESCE(e.kept, 0) "
    "ELSE e.deliveries + e.replayed - e.removed END"
)
"""How many deliveries an event must still have."""
_EVENTS = (
    "SELECT COUNT(*), COALESCE(SUM(CASE WHEN e.sequence >= s.events_from THEN 1 ELSE 0 END), 0), "
    "COALESCE(SUM(e.deliveries), 0), COALESCE(SUM(e.replayed), 0), "
    f"COALESCE(SUM(e.deliveries + e.replayed - {_KEPT}), 0), "
    "(SELECT events_from FROM hookhub_state) "
    "FROM hookhub_events e, hookhub_state s WHERE e.sequence BETWEEN ? AND ?"
)
# The range stands on both sides of a join: planners do not carry it over, and would read the whole
# of the other table for each part.
_PROMISES = (
    "SELECT e.sequence FROM hookhub_state s CROSS JOIN hookhub_events e "
    "LEFT JOIN hookhub_deliveries d "
    "ON d.sequence = e.sequence AND d.sequence BETWEEN ? AND ? WHERE e.sequence BETWEEN ? AND ? "
    f"GROUP BY e.sequence HAVING COUNT(d.id) <> MAX({_KEPT}) "
    "ORDER BY e.sequence"
)
_ORPHANS = (
    "SELECT d.id FROM hookhub_deliveries d LEFT JOIN hookhub_events e "
    "ON e.sequence = d.sequence AND e.sequence BETWEEN ? AND ? "
    "WHERE d.sequence BETWEEN ? AND ? AND e.sequence IS NULL ORDER BY d.id"
)
_STATES = (
    "SELECT d.status, CASE "
    "WHEN p.id IS NULL THEN 'endpoint_missing' "
    f"WHEN d.status = {FAILED} THEN COALESCE(d.error, '') "
    f"WHEN d.{IS_PENDING} AND p.deleted_at IS NOT NULL THEN 'endpoint_deleted' "
    "ELSE '' END AS reason, COUNT(*), MIN(d.id) FROM hookhub_deliveries d "
    "LEFT JOIN hookhub_endpoints p ON p.id = d.endpoint_id WHERE d.sequence BETWEEN ? AND ? "
    "GROUP BY 1, 2"
)
_DELIVERIES = (
    "SELECT id, status, attempts FROM hookhub_deliveries WHERE sequence BETWEEN ? AND ? ORDER BY id"
)
_HELD = (
    "SELECT d.id FROM hookhub_deliveries d "
    "JOIN hookhub_endpoints p ON p.id = d.endpoint_id AND p.deleted_at IS NULL "
    f"WHERE d.sequence BETWEEN ? AND ? AND d.{IS_PENDING} AND d.due_at = {HELD} "
    "AND NOT EXISTS (SELECT 1 FROM hookhub_deliveries h WHERE h.endpoint_id = d.endpoint_id "
    "AND h.order_key = d.order_key AND h.id < d.id) ORDER BY d.id"
)
_WRONG_STATE = (
    "SELECT id FROM hookhub_deliveries WHERE sequence BETWEEN ? AND ? "
    f"AND (status NOT IN ({PENDING}, {SUCCESS}, {FAILED}) "
    f"OR (status = {SUCCESS} AND delivered_at IS NULL)) ORDER BY id"
)
_NO_ENDPOINT = (
    "SELECT d.id FROM hookhub_deliveries d LEFT JOIN hookhub_endpoints p ON p.id = d.endpoint_id "
    "WHERE d.sequence BETWEEN ? AND ? AND p.id IS NULL ORDER BY d.id"
)


def _check_range(reader: Reader, found: Audit, first: int, last: int) -> None:
    _hold_ranges(reader)
    place = (first, last)
    _add_events(reader, found, first, last)
    for status, reason, count, _ in reader.sql(_STATES, place):
        if status == SUCCESS:
            found.delivered += count
        elif status == FAILED and reason not in SKIPPED:
            found.failed += count
        elif status == PENDING and not reason:
            found.pending += count
        else:
            reason = reason or "unknown_state"
            found.skipped[reason] = found.skipped.get(reason, 0) + count
    for check, query in (
        ("delivery_missing", _PROMISES),
        ("event_of_delivery_missing", _ORPHANS),
        ("endpoint_missing", _NO_ENDPOINT),
        ("state", _WRONG_STATE),
        ("held", _HELD),
    ):
        params = place * (query.count("?") // 2)
        found.differ(check, (row[0] for row in reader.sql(query, params)))
    found.differ("attempts", _not_borne_out(reader, reader.sql(_DELIVERIES, place)))


def _not_borne_out(reader: Reader, deliveries: Sequence[tuple[int, int, int]]) -> Iterator[int]:
    """Deliveries (id, status, attempts) whose attempts are too few, or tell of another end.

    They are asked for by their numbers: in a join PostgreSQL would look into each range for every
    single delivery, or read all attempts to hash them.
    """
    for at in range(0, len(deliveries), PART):
        part = deliveries[at : at + PART]
        ids = [row[0] for row in part]
        rows = reader.sql(
            "SELECT delivery_id, COUNT(*), MAX(CASE WHEN outcome = 'delivered' THEN 1 ELSE 0 END) "
            f"FROM hookhub_attempts WHERE delivery_id IN ({marks(ids)}) GROUP BY delivery_id",
            ids,
        )
        made = {row[0]: (row[1], row[2]) for row in rows}
        for delivery_id, status, attempts in part:
            count, delivered = made.get(delivery_id, (0, 0))
            if count < attempts or (status == SUCCESS) != bool(delivered):
                yield delivery_id


def _hold_ranges(reader: Reader) -> None:
    """Let no range be dropped under a transaction that saw what was before: rows would be missing
    that it counts on."""
    if not reader.is_sqlite:
        reader.sql(f"LOCK TABLE {', '.join(KEYS)} IN ACCESS SHARE MODE")


def _add_events(reader: Reader, found: Audit, first: int, last: int) -> None:
    counts = reader.sql(_EVENTS, (first, last))[0]
    events, in_history, matched, replayed, removed, start = (int(value) for value in counts)
    found.events += events
    found.matched += matched
    found.replayed += replayed
    found.removed += removed
    found.expired += max(0, min(last, start - 1) - first + 1) - (events - in_history)
    must = max(first, start)
    if in_history < last - must + 1:
        rows = reader.sql(
            "SELECT sequence FROM hookhub_events WHERE sequence BETWEEN ? AND ?", (must, last)
        )
        there = {row[0] for row in rows}
        found.differ("event_missing", (n for n in range(must, last + 1) if n not in there))


# -- the whole ------------------------------------------------------------------------------


def _check_numbers(reader: Reader, found: Audit) -> None:
    """Numbers that are given out next must not have been used."""
    rows = reader.sql(
        "SELECT last_sequence, last_delivery, (SELECT MAX(sequence) FROM hookhub_events), "
        "(SELECT MAX(id) FROM hookhub_deliveries), (SELECT MAX(sequence) FROM hookhub_deliveries) "
        "FROM hookhub_state"
    )
    last_sequence, last_delivery, *used = rows[0]
    limits = (last_sequence, last_delivery, last_sequence)
    over = (n for n, limit in zip(used, limits, strict=True) if (n or 0) > limit)
    found.differ("numbers", over)


def _endpoints(reader: Reader) -> list[int]:
    rows = reader.sql("SELECT id FROM hookhub_endpoints WHERE deleted_at IS NULL ORDER BY id")
    return [row[0] for row in rows]


def _check_counters(reader: Reader, found: Audit, endpoint_id: int) -> None:
    _hold_ranges(reader)
    reader.unhurried()
    # Each count is answered from an index alone: the partial ones know the states.
    rows = reader.sql(
        "SELECT deliveries_total, success_count, deliveries_failed, removed_delivered, "
        "removed_failed, "
        "(SELECT COUNT(*) FROM hookhub_deliveries WHERE endpoint_id = ?), "
        f"(SELECT COUNT(*) FROM hookhub_deliveries WHERE endpoint_id = ? AND {IS_PENDING}), "
        f"(SELECT COUNT(*) FROM hookhub_deliveries WHERE endpoint_id = ? AND status = {FAILED}) "
        "FROM hookhub_endpoints WHERE id = ? AND deleted_at IS NULL",
        (endpoint_id,) * 4,
    )
    for total, delivered, failed, gone_delivered, gone_failed, there, pending, there_failed in rows:
        kept = (total - gone_delivered - gone_failed, delivered - gone_delivered)
        counted = (there, there - pending - there_failed, there_failed)
        if (*kept, failed - gone_failed) != counted:
            found.differ("counters", [endpoint_id])


def _check_overdue(
    reader: Reader, found: Audit, sinks: Collection[str] | None, as_of: int | None
) -> None:
    reader.unhurried()
    if as_of is None:
        # A clock that was set back makes the future of before no time to be late for.
        as_of = min(_last_activity(reader), reader.now)
    rows = reader.sql(
        "SELECT id, sink, options, COALESCE(last_triggered_at, 0), updated_at "
        "FROM hookhub_endpoints WHERE deleted_at IS NULL AND is_active ORDER BY id"
    )
    leased = reader.sql(
        f"SELECT endpoint_id, due_at, id FROM hookhub_deliveries WHERE {IS_PENDING} AND lease > 0"
    )
    for endpoint_id, sink, options, triggered_at, updated_at in rows:
        before = as_of - OVERDUE - _slowest(options)
        # Whoever works off a long queue is not idle, and one just switched on has time to begin.
        if (sinks is not None and sink not in sinks) or max(triggered_at, updated_at) >= before:
            continue
        overdue = reader.sql(
            f"SELECT id FROM hookhub_deliveries WHERE endpoint_id = ? AND {IS_UNCLAIMED} "
            "AND due_at < ? ORDER BY due_at LIMIT ?",
            (endpoint_id, before, SHOWN),
        )
        ended = [row[2] for row in leased if row[0] == endpoint_id and row[1] < before]
        found.differ("overdue", [row[0] for row in overdue] + sorted(ended))


def _slowest(options: str) -> int:
    """Microseconds that an endpoint's own rate limit leaves between attempts; at most a year."""
    rate = json.loads(options).get("rate_limit")
    return round(min(1_000_000 / rate, YEAR)) if rate else 0


def _last_activity(reader: Reader) -> int:
    rows = reader.sql(
        "SELECT (SELECT MAX(last_triggered_at) FROM hookhub_endpoints), "
        "(SELECT timestamp FROM hookhub_events ORDER BY sequence DESC LIMIT 1)"
    )
    return max(moment or 0 for moment in rows[0])
