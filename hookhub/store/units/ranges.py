"""Ranges of events and deliveries on PostgreSQL: made ahead of time, dropped when they are old.

A drop is looked at without locks first, which finds what has to survive; then it holds the state
row and the table for a few milliseconds, counts, moves the survivors into the default partition and
drops the rest. What changes in between is seen by the second look, which is by index alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from hookhub.store.database import Reader, marks
from hookhub.store.partitions import KEYS, add_range, begin_ranges
from hookhub.store.schema import FAILED, HELD, IS_PENDING, LAST_NUMBER, SUCCESS
from hookhub.store.units.retention import Ages, Removed, count_removed

SMALLEST, LARGEST = 250_000, 2_000_000
"""Numbers in a range: fewer are deleted one by one as cheaply, and more take long to count."""
SHARE = 32
"""A new range gets this part of the numbers that are kept, so there are some tens of them."""
AHEAD = 2
"""Ranges that are made before a number of theirs is given out, at least."""
SURVIVORS = 20_000
"""Rows that are moved at most; a range with more is worked off row by row, as a plain table is."""
EVENTS, DELIVERIES = ("hookhub_events",), ("hookhub_deliveries", "hookhub_attempts")
"""Tables that are cut at the same numbers."""

_BOUNDS = re.compile(r"FROM \('(\d+)'\) TO \('(\d+)'\)")
_NEVER = -(2**62)


class Range(NamedTuple):
    """The numbers from ``first`` to below ``end``."""

    first: int
    end: int

    def of(self, table: str) -> str:
        """The partition that holds it."""
        return f"{table}_{self.first}"


def ranges(reader: Reader, tables: Sequence[str]) -> list[Range]:
    """The ranges that there are, oldest first; none on SQLite."""
    if reader.is_sqlite:
        return []
    rows = reader.sql(
        "SELECT pg_get_expr(relpartbound, pg_class.oid) FROM pg_inherits "
        "JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = CAST(? AS regclass)",
        (tables[0],),
    )
    # Of one that another hub drops at this moment, the server finds the row and no more its text.
    found = (_BOUNDS.search(row[0] or "") for row in rows)
    return sorted(Range(int(bounds[1]), int(bounds[2])) for bounds in found if bounds)


def last_number(reader: Reader, tables: Sequence[str]) -> int:
    """The last number that was given out."""
    found: int = reader.sql(f"SELECT {LAST_NUMBER[tables[0]]} FROM hookhub_state WHERE id = 1")[0][
        0
    ]
    return found


def make_ranges(reader: Reader, tables: Sequence[str], least: int) -> None:
    """Make as many ranges as are missing: none before ``least`` numbers were given out."""
    _hold(reader)
    there = ranges(reader, tables)
    last = last_number(reader, tables)
    if not there:
        if last < least:
            return
        for table in tables:
            reader.sql(_bare(begin_ranges(table, LAST_NUMBER[table], least)))
        there = [Range(0, last + 1)]
    size = range_size(there, last, least)
    # Beyond all ranges are numbers when they have leapt: those are the default partition's.
    end = max(there[-1].end, last + 1)
    while end <= last + AHEAD * size:
        for table in tables:
            for statement in add_range(table, end, end + size):
                reader.sql(statement)
        end += size


def missing_ranges(there: Sequence[Range], last: int, least: int) -> bool:
    """Whether :func:`make_ranges` would make some."""
    if not there:
        return last >= least
    return there[-1].end <= last + AHEAD * range_size(there, last, least)


def range_size(there: Sequence[Range], last: int, least: int) -> int:
    """How many numbers the next range holds."""
    return min(max((last - there[0].first) // SHARE, least), max(LARGEST, least))


def _bare(statement: str) -> str:
    return statement.removeprefix("{postgresql}")


def _hold(reader: Reader) -> None:
    reader.sql("SELECT 1 FROM hookhub_state WHERE id = 1 FOR UPDATE")


# -- deliveries -----------------------------------------------------------------------------

_TOO_OLD = (
    f"(status = {SUCCESS} AND COALESCE(delivered_at, created_at) < ?) OR "
    f"(status = {FAILED} AND order_key IS NULL AND "
    f"GREATEST(created_at, CASE WHEN due_at < {HELD} THEN due_at ELSE 0 END) < ?)"
)
"""What :meth:`hookhub.store.units.retention.OldDelivery.too_old` says."""


def _moments(ages: Ages) -> tuple[int, int]:
    delivered, failed = ages
    return _NEVER if delivered is None else delivered, _NEVER if failed is None else failed


class Droppable(NamedTuple):
    """What a look without locks found out about a range of deliveries."""

    survivors: list[int]
    """Deliveries (ids) that stay."""
    attempts: int
    last_of: dict[int, int]
    """Endpoint to its highest sequence in the range."""


def times(reader: Reader, table: str, part: Range, column: str) -> tuple[int, int] | None:
    """When the first and the last row of a range were made; None if it is empty."""
    key = KEYS[table]
    query = f"SELECT {column} FROM {table} WHERE {key} >= ? AND {key} < ? ORDER BY {key} %s LIMIT 1"
    first, last = (reader.sql(query % way, part) for way in ("ASC", "DESC"))
    return (first[0][0], last[0][0]) if first and last else None


def look_at_deliveries(reader: Reader, part: Range, ages: Ages) -> Droppable | None:
    """Find what would survive the drop of the oldest range; None if it is too much."""
    reader.unhurried()
    deliveries, attempts = (part.of(table) for table in DELIVERIES)
    rows = reader.sql(
        f"SELECT id FROM {deliveries} WHERE NOT ({_TOO_OLD}) LIMIT ?",
        (*_moments(ages), SURVIVORS + 1),
    )
    if len(rows) > SURVIVORS:
        return None
    counted, to = _boundary(reader, deliveries)
    uneven = reader.sql(
        f"SELECT COUNT(*) FROM ({_uneven(deliveries)}) AS u", (counted, counted, to)
    )
    if uneven[0][0] > 2 * SURVIVORS:
        return None
    last_of = dict(reader.sql(f"SELECT endpoint_id, MAX(sequence) FROM {deliveries} GROUP BY 1"))
    number = reader.sql(f"SELECT COUNT(*) FROM {attempts}")[0][0]
    return Droppable([row[0] for row in rows], number, last_of)


def _boundary(reader: Reader, deliveries: str) -> tuple[int, int]:
    """Where the count by event ends now, and where it is to end."""
    [(counted, last)] = reader.sql(
        f"SELECT counted_from, (SELECT MAX(sequence) FROM {deliveries}) "
        "FROM hookhub_state WHERE id = 1"
    )
    return counted, max(counted, (last or 0) + 1)


def _uneven(deliveries: str) -> str:
    """Events that lose or keep something else than all the others in the range do."""
    return (
        f"SELECT sequence FROM {deliveries} WHERE sequence < ? UNION "
        "SELECT sequence FROM hookhub_deliveries WHERE sequence >= ? AND sequence < ? "
        f"AND tableoid <> CAST('{deliveries}' AS regclass)"
    )


def drop_deliveries(reader: Reader, part: Range, ages: Ages, seen: Droppable) -> Removed:
    """Drop the oldest range of deliveries with their attempts, but for what survives.

    Args:
        seen: what a look at it has found.
    """
    _hold(reader)
    if part not in ranges(reader, DELIVERIES)[:1]:
        return Removed()
    deliveries, attempts = (part.of(table) for table in DELIVERIES)
    for table in DELIVERIES:
        reader.sql(f"ALTER TABLE {table} DETACH PARTITION {part.of(table)}")
    _move(reader, part, ages, seen.survivors)
    moved = reader.change(
        f"INSERT INTO hookhub_attempts SELECT * FROM {attempts} WHERE delivery_id IN "
        "(SELECT id FROM hookhub_deliveries WHERE id >= ? AND id < ?)",
        part,
    )
    removed = _count(reader, part, seen)
    _note_kept(reader, part)
    reader.sql(f"DROP TABLE {deliveries}, {attempts}")
    return Removed(0, removed, max(0, seen.attempts - moved), True)


def _move(reader: Reader, part: Range, ages: Ages, survivors: Sequence[int]) -> None:
    """Move what stays into the default partition.

    Whatever has changed since the look is pending or failed, or was so then.
    """
    deliveries = part.of("hookhub_deliveries")
    some = f"id IN ({marks(survivors) or 'NULL'})"
    for place, params in ((some, survivors), (IS_PENDING, ()), (f"status = {FAILED}", ())):
        reader.change(
            f"INSERT INTO hookhub_deliveries SELECT * FROM {deliveries} "
            f"WHERE {place} AND NOT ({_TOO_OLD}) ON CONFLICT DO NOTHING",
            (*params, *_moments(ages)),
        )


def _count(reader: Reader, part: Range, seen: Droppable) -> int:
    """Count for each endpoint what goes; returns how many deliveries."""
    deliveries = part.of("hookhub_deliveries")
    # Each from an index alone.
    there = dict(reader.sql(f"SELECT endpoint_id, COUNT(*) FROM {deliveries} GROUP BY 1"))
    failed = dict(
        reader.sql(
            f"SELECT endpoint_id, COUNT(*) FROM {deliveries} WHERE status = {FAILED} GROUP BY 1"
        )
    )
    stay = reader.sql(
        f"SELECT endpoint_id, COUNT(*), SUM(CASE WHEN status = {FAILED} THEN 1 ELSE 0 END) "
        "FROM hookhub_deliveries WHERE id >= ? AND id < ? GROUP BY 1",
        part,
    )
    kept = {row[0]: (row[1], row[2]) for row in stay}
    counts = {}
    for endpoint_id, number in there.items():
        stays, stays_failed = kept.get(endpoint_id, (0, 0))
        gone_failed = failed.get(endpoint_id, 0) - stays_failed
        gone = number - stays - gone_failed
        counts[endpoint_id] = (gone, gone_failed, seen.last_of.get(endpoint_id, 0))
    count_removed(reader, counts)
    return sum(gone + failed for gone, failed, _ in counts.values())


def _note_kept(reader: Reader, part: Range) -> None:
    """Let an audit know which events still have deliveries, and that the others have none."""
    deliveries = part.of("hookhub_deliveries")
    counted, to = _boundary(reader, deliveries)
    reader.change(
        "UPDATE hookhub_events AS e SET kept = CASE WHEN e.sequence < ? THEN COALESCE(e.kept, 0) "
        "ELSE e.deliveries + e.replayed - e.removed END "
        f"- (SELECT COUNT(*) FROM {deliveries} d WHERE d.sequence = e.sequence) "
        "+ (SELECT COUNT(*) FROM hookhub_deliveries d WHERE d.sequence = e.sequence "
        "AND d.id >= ? AND d.id < ?) "
        f"WHERE e.sequence IN ({_uneven(deliveries)})",
        (counted, *part, counted, counted, to),
    )
    reader.change("UPDATE hookhub_state SET counted_from = ? WHERE id = 1", (to,))


# -- events ---------------------------------------------------------------------------------

_NEEDED = "SELECT DISTINCT sequence FROM hookhub_deliveries WHERE sequence >= ? AND sequence < ?"


def needed_events(reader: Reader, part: Range) -> int | None:
    """How many events of a range still have deliveries; None if they are too many to be moved."""
    reader.unhurried()
    rows = reader.sql(f"SELECT COUNT(*) FROM ({_NEEDED} LIMIT ?) AS n", (*part, SURVIVORS + 1))
    count: int = rows[0][0]
    return count if count <= SURVIVORS else None


def history_start(reader: Reader) -> int:
    """Where the history begins."""
    found: int = reader.sql("SELECT events_from FROM hookhub_state WHERE id = 1")[0][0]
    return found


def drop_events(reader: Reader, part: Range) -> Removed:
    """Drop a range of events that are older than the history, but for those with deliveries."""
    _hold(reader)
    if part not in ranges(reader, EVENTS) or history_start(reader) < part.end:
        return Removed()
    events = part.of("hookhub_events")
    reader.sql(f"ALTER TABLE hookhub_events DETACH PARTITION {events}")
    moved = reader.change(
        f"INSERT INTO hookhub_events SELECT * FROM {events} WHERE sequence IN ({_NEEDED})", part
    )
    count = reader.sql(f"SELECT COUNT(*) FROM {events}")[0][0]
    reader.sql(f"DROP TABLE {events}")
    return Removed(events=count - moved, more=True)
