"""Looking for deliveries, newest first, with a bounded amount of work whatever is asked for.

Deliveries have few indexes, because every one of them is paid for by every delivery. So what no
index finds is looked for in steps, from the newest id down; after so many steps the search says how
far it came, and whoever asked goes on from there.
"""

from __future__ import annotations

from typing import Any

from hookhub.contracts.deliveries import Delivery, DeliveryFilter, SearchPage
from hookhub.store.database import Reader
from hookhub.store.units.deliveries import CODES, deliveries_by_id
from hookhub.store.units.events import first_of_time, sequence_of
from hookhub.store.units.replays import of_types

STEP = 5_000
"""Deliveries that one query looks at."""
STEPS = 20
"""Queries that one call makes, unless it has found enough before."""
CLOCKS = 60_000_000
"""Microseconds by which the times of deliveries may be out of the order of their ids."""


def search_deliveries(
    reader: Reader, wanted: DeliveryFilter, *, before: int | None, limit: int
) -> SearchPage[Delivery]:
    """Deliveries that match, newest first, without those of deleted endpoints.

    Args:
        before: only those with a smaller id.
        limit: how many at most. There may be fewer, even none, and more to be found further on:
            :attr:`SearchPage.before` says so.
    """
    if wanted.event_id is not None:
        sequence = sequence_of(reader, wanted.event_id)
        found = [] if sequence is None else _of_event(reader, wanted, sequence, before, limit + 1)
        items = deliveries_by_id(reader, found[:limit])
        return SearchPage(items, found[limit - 1] if len(found) > limit else None)
    return _look_down(reader, wanted, before, limit)


def _look_down(
    reader: Reader, wanted: DeliveryFilter, before: int | None, limit: int
) -> SearchPage[Delivery]:
    low = 0 if wanted.since is None else first_since(reader, wanted.since - CLOCKS)
    below = 2**63 - 1 if before is None else before
    if wanted.until is not None:
        below = min(below, first_since(reader, wanted.until + CLOCKS))
    ids: list[int] = []
    for _ in range(STEPS):
        floor = _floor(reader, wanted, low, below)
        last = floor is None
        bottom = low if floor is None else floor
        ids += _matching(reader, wanted, bottom, below, limit + 1 - len(ids))
        if len(ids) > limit:
            return SearchPage(deliveries_by_id(reader, ids[:limit]), ids[limit - 1])
        if last:
            return SearchPage(deliveries_by_id(reader, ids), None)
        below = bottom
    return SearchPage(deliveries_by_id(reader, ids), below)


def _floor(reader: Reader, wanted: DeliveryFilter, low: int, below: int) -> int | None:
    """The id at which a step from ``below`` down ends; None if nothing is left for another one."""
    if wanted.endpoint_id is None:
        # Ids are dense but for what was deleted: a gap is passed over at once.
        rows = reader.sql("SELECT MAX(id) FROM hookhub_deliveries WHERE id < ?", (below,))
        floor = (rows[0][0] or 0) - STEP + 1
        return floor if floor > low else None
    # An endpoint's successes have no index of their own.
    status = wanted.status if wanted.status in ("pending", "failed") else None
    indexed = "" if status is None else f" AND status = {CODES[status]}"
    rows = reader.sql(
        f"SELECT id FROM hookhub_deliveries WHERE endpoint_id = ?{indexed} "
        f"AND id >= ? AND id < ? ORDER BY id DESC LIMIT 1 OFFSET {STEP - 1}",
        (wanted.endpoint_id, low, below),
    )
    return rows[0][0] if rows else None


def _matching(
    reader: Reader, wanted: DeliveryFilter, low: int, below: int, limit: int
) -> list[int]:
    text, params = "d.id >= ? AND d.id < ?", [low, below]
    if wanted.endpoint_id is not None:
        text += " AND d.endpoint_id = ?"
        params.append(wanted.endpoint_id)
    return _ids(reader, wanted, text, params, limit)


def _of_event(
    reader: Reader, wanted: DeliveryFilter, sequence: int, before: int | None, limit: int
) -> list[int]:
    # With a sign, a column is no reason to take its index: one event has few deliveries, and
    # PostgreSQL would rather walk down all ids until it has met so many of them.
    text, params = "d.sequence = ?", [sequence]
    if before is not None:
        text += " AND +d.id < ?"
        params.append(before)
    if wanted.endpoint_id is not None:
        text += " AND +d.endpoint_id = ?"
        params.append(wanted.endpoint_id)
    return _ids(reader, wanted, text, params, limit, order="+d.id")


def _ids(
    reader: Reader,
    wanted: DeliveryFilter,
    text: str,
    params: list[Any],
    limit: int,
    order: str = "d.id",
) -> list[int]:
    tables = "hookhub_deliveries d"
    if wanted.event_types is not None:
        # CROSS JOIN: SQLite takes the tables in this order.
        tables += " CROSS JOIN hookhub_events e"
        types, values = of_types(wanted.event_types)
        text += f" AND e.sequence = d.sequence AND ({types})"
        params += values
    if wanted.endpoint_id is None:
        text += (
            " AND d.endpoint_id NOT IN "
            "(SELECT id FROM hookhub_endpoints WHERE deleted_at IS NOT NULL)"
        )
    if wanted.status is not None:
        # The number itself, not a parameter: partial indexes serve only what is known to match.
        text += f" AND d.status = {CODES[wanted.status]}"
    if wanted.since is not None:
        text += " AND d.created_at >= ?"
        params.append(wanted.since)
    if wanted.until is not None:
        text += " AND d.created_at < ?"
        params.append(wanted.until)
    rows = reader.sql(
        f"SELECT d.id FROM {tables} WHERE {text} ORDER BY {order} DESC LIMIT ?", (*params, limit)
    )
    return [row[0] for row in rows]


def first_since(reader: Reader, moment: int) -> int:
    """The id of the first kept delivery of this time (microseconds) or a later one.

    Times follow the order of ids except where a clock was set back; there, some delivery at which
    they cross this moment is found. One after the last delivery if all are earlier.
    """
    [(oldest, last)] = reader.sql(
        "SELECT (SELECT MIN(id) FROM hookhub_deliveries), (SELECT MAX(id) FROM hookhub_deliveries)"
    )
    low, high = (oldest, last + 1) if oldest is not None else (1, 1)
    query = "SELECT id, created_at FROM hookhub_deliveries WHERE id >= ? ORDER BY id LIMIT 1"
    return first_of_time(reader, query, low, high, moment)
