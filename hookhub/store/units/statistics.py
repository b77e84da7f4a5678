"""What charts show: units of work.

Every sample goes into a row for each step (a minute, five minutes, an hour): counts are added up,
of gauges the highest is kept. So nothing has to be rolled up later, a chart is read from as many
rows as it has points, and however long a hub runs, there are only so many rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hookhub.statistics.histogram import Histogram
from hookhub.statistics.samples import (
    MICROSECONDS,
    RANGES,
    ChartRange,
    Counts,
    Gauges,
    Point,
    begin_of,
)
from hookhub.store.database import Reader, marks
from hookhub.store.schema import IS_PENDING
from hookhub.store.unit import Transaction

SPARE = 5
"""Steps that are kept beyond what a chart shows."""

_COLUMNS = (
    "nodes, events, attempts, delivered, failed, latency, "
    "pending, oldest_pending, open_breakers, connections"
)
_CHANGES = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", "))


class Backlog(NamedTuple):
    """What waits, over all sinks, from kept counters."""

    endpoints: int
    active: int
    pending: int
    oldest: int | None
    """When the oldest pending delivery was committed, microseconds."""


def add_sample(tx: Transaction, at: int, counts: Counts, gauges: Gauges | None) -> None:
    """Write down how it went since a node's last sample, and forget what is too old.

    Args:
        at: a moment of the minute that the sample is of, microseconds.
        gauges: how it is at the end of that minute; None: only counts, this node stops.
    """
    # Nodes take their turns, or of two that read the same row, one would be lost.
    tx.lock()
    for span in sorted(RANGES.values()):
        begin = begin_of(at, span.step)
        found = read_points(tx, span.step, begin, begin + 1).get(begin)
        point = Point(begin, counts, gauges, int(gauges is not None))
        if found is not None:
            # How many connections all nodes have is known of one minute only.
            point = _of_nodes(found, point) if span.step == _FINEST.step else _over(found, point)
        if span.step == _FINEST.step:
            gauges = point.gauges
        _put(tx, span.step, point)
        _forget(tx, span)


_FINEST = min(RANGES.values())


def _of_nodes(one: Point, two: Point) -> Point:
    """Samples of several nodes, of one minute."""
    gauges = one.gauges or two.gauges
    if one.gauges is not None and two.gauges is not None:
        gauges = one.gauges.with_node(two.gauges)
    return Point(one.at, one.counts + two.counts, gauges, one.nodes + two.nodes)


def _over(one: Point, two: Point) -> Point:
    """Samples of several minutes."""
    gauges = one.gauges or two.gauges
    if one.gauges is not None and two.gauges is not None:
        gauges = one.gauges.highest(two.gauges)
    return Point(one.at, one.counts + two.counts, gauges, max(one.nodes, two.nodes))


def _put(tx: Transaction, step: int, point: Point) -> None:
    counts, gauges = point.counts, point.gauges or Gauges()
    values: tuple[Any, ...] = (
        *(step, point.at, point.nodes),
        *(counts.events, counts.attempts, counts.delivered, counts.failed, counts.latency.text()),
        *gauges,
    )
    tx.change(
        f"INSERT INTO hookhub_stats (step, at, {_COLUMNS}) VALUES ({marks(values)}) "
        f"ON CONFLICT (step, at) DO UPDATE SET {_CHANGES}",
        values,
    )


def _forget(tx: Transaction, span: ChartRange) -> None:
    kept = (span.points + SPARE) * span.step * MICROSECONDS
    # What is of the future was written while a clock was wrong; by less than that, it comes yet.
    ahead = span.length * MICROSECONDS
    tx.change(
        "DELETE FROM hookhub_stats WHERE step = ? AND (at < ? OR at > ?)",
        (span.step, tx.now - kept, tx.now + ahead),
    )


def read_points(reader: Reader, step: int, first: int, end: int) -> dict[int, Point]:
    """The steps (seconds) that began from ``first`` on and before ``end``, both microseconds."""
    rows = reader.sql(
        f"SELECT at, {_COLUMNS} FROM hookhub_stats WHERE step = ? AND at >= ? AND at < ?",
        (step, first, end),
    )
    return {row[0]: _point(*row) for row in rows}


def _point(
    at: int,
    nodes: int,
    events: int,
    attempts: int,
    delivered: int,
    failed: int,
    latency: str,
    *gauges: Any,
) -> Point:
    counts = Counts(events, attempts, delivered, failed, Histogram.parse(latency))
    return Point(at, counts, Gauges(*gauges) if nodes else None, nodes)


def backlog(reader: Reader) -> Backlog:
    """How many endpoints there are and what waits for them.

    The oldest pending delivery is looked for with one step down an index for each endpoint that
    has any, whatever their number.
    """
    row = reader.sql(
        "SELECT COUNT(*), COALESCE(SUM(CASE WHEN is_active THEN 1 ELSE 0 END), 0), "
        "COALESCE(SUM(deliveries_total - success_count - deliveries_failed), 0) "
        "FROM hookhub_endpoints WHERE deleted_at IS NULL"
    )[0]
    endpoints, active, pending = (int(value) for value in row)
    return Backlog(endpoints, active, pending, reader.sql(OLDEST)[0][0])


OLDEST = (
    "SELECT MIN((SELECT d.created_at FROM hookhub_deliveries d "
    f"WHERE d.endpoint_id = e.id AND d.{IS_PENDING} ORDER BY d.id LIMIT 1)) "
    "FROM hookhub_endpoints e WHERE e.deleted_at IS NULL "
    "AND e.deliveries_total > e.success_count + e.deliveries_failed"
)
"""When the oldest pending delivery was committed."""
