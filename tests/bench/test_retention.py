"""What retention costs on a PostgreSQL with twenty million rows: time in the database for an hour.

A third of the rows are events, each with a delivery and an attempt, over 31 days. Prints a table.
Nothing is asserted about time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
import trio

from hookhub.background.retention import LOOK, Retention
from hookhub.config import DatabaseSettings, RetentionSettings
from hookhub.contracts.deliveries import NewEndpoint
from hookhub.contracts.events import Draft, new_event_id
from hookhub.store import Store, open_store
from hookhub.store.units import ranges as units
from hookhub.store.units.audit import audit
from hookhub.store.units.endpoints import insert_endpoint
from hookhub.store.units.retention import (
    Ages,
    expire_events,
    find_deliveries,
    remove_deliveries,
)
from hookhub.testing.postgres import PostgresCluster, running_cluster

ROWS = int(os.environ.get("HOOKHUB_BENCH_ROWS", "20000000"))
EVENTS = ROWS // 3
HOUR = 3_600_000_000
DAYS = 31
KEPT = 30
SPACING = DAYS * 24 * HOUR // EVENTS
"""Microseconds between two events."""
LEAST = min(units.SMALLEST, EVENTS // 27)
"""Numbers in a range."""
CHUNK = 50_000
SWEEPS = 60
"""In an hour, with ``[retention] interval`` as it is by default."""
PENDING, FAILED = 10_000, 100
"""Every so many deliveries."""


@pytest.fixture
def cluster() -> Iterator[PostgresCluster]:
    """A server that counts the time of statements."""
    with running_cluster() as server:
        with (server.data / "postgresql.conf").open("a") as settings:
            settings.write(
                "shared_preload_libraries = 'pg_stat_statements'\n"
                "pg_stat_statements.track_planning = on\n"
                "shared_buffers = '512MB'\nmax_wal_size = '8GB'\n"
            )
        server.stop()
        server.start()
        yield server


class Clock:
    """Set by hand."""

    now = int(time.time()) * 1_000_000

    def __call__(self) -> int:
        return self.now


FILL = (
    "INSERT INTO hookhub_events (sequence, id, type, payload, timestamp, deliveries) "
    "SELECT n, md5(CAST(n AS text)), 'user.created', repeat('x', 250), ? + n * ?, 1 "
    "FROM generate_series(CAST(? AS BIGINT), ?) n",
    "INSERT INTO hookhub_deliveries (id, endpoint_id, sequence, status, due_at, attempts, "
    "created_at, delivered_at, response_status, response_body) "
    f"SELECT n, 1 + n % 3, n, CASE WHEN n % {PENDING} = 0 THEN 0 WHEN n % {FAILED} = 1 THEN 2 "
    "ELSE 1 END, at + 30000, 1, at, CASE "
    f"WHEN n % {PENDING} = 0 OR n % {FAILED} = 1 THEN NULL ELSE at + 30000 END, 200, 'ok' "
    "FROM (SELECT n, ? + n * ? AS at FROM generate_series(CAST(? AS BIGINT), ?) n) AS numbered",
    "INSERT INTO hookhub_attempts (delivery_id, number, started_at, duration, outcome, "
    "response_status, response_body, timings) SELECT n, 1, ? + n * ?, 0.03, CASE "
    f"WHEN n % {PENDING} = 0 OR n % {FAILED} = 1 THEN 'retry' ELSE 'delivered' END, 200, 'ok', "
    '\'{"connect": 0.001, "first_byte": 0.02}\' FROM generate_series(CAST(? AS BIGINT), ?) n',
)


async def fill(store: Store, start: int) -> None:
    """As the hub would have written it, ranges included."""
    for _ in range(3):
        new = NewEndpoint(new_event_id(0), ("*",), {})
        await store.write(lambda tx, new=new: insert_endpoint(tx, "webhook", new))
    retention = Retention(store, RetentionSettings(), least=LEAST)
    for first in range(1, EVENTS + 1, CHUNK):
        last = min(first + CHUNK - 1, EVENTS)

        def chunk(tx: units.Reader, first: int = first, last: int = last) -> None:
            tx.unhurried()
            for statement in FILL:
                tx.change(statement, (start, SPACING, first, last))
            tx.change("UPDATE hookhub_state SET last_sequence = ?, last_delivery = ?", (last, last))

        await store.alter(chunk)
        for tables in (units.EVENTS, units.DELIVERIES):
            await store.alter(partial(units.make_ranges, tables=tables, least=LEAST))
    await retention.ranges.make()
    await store.alter(_count)


def _count(tx: units.Reader) -> None:
    """What the endpoints' counters would say."""
    tx.unhurried()
    tx.change(
        "UPDATE hookhub_endpoints SET deliveries_total = c.n, success_count = c.good, "
        "deliveries_failed = c.bad FROM (SELECT endpoint_id, COUNT(*) n, "
        "COUNT(*) FILTER (WHERE status = 1) good, COUNT(*) FILTER (WHERE status = 2) bad "
        "FROM hookhub_deliveries GROUP BY 1) c WHERE id = endpoint_id"
    )


class Measured:
    """Time in the database since it was made or asked last."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection
        self._connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        self.ms()

    def ms(self) -> float:
        """Planning and execution of all statements, milliseconds."""
        [(found,)] = self._connection.execute(
            "SELECT COALESCE(SUM(total_plan_time + total_exec_time), 0) FROM pg_stat_statements "
            "WHERE query NOT LIKE '%pg_stat_statements%' AND query NOT LIKE 'VACUUM%'"
        )
        self._connection.execute("SELECT pg_stat_statements_reset()")
        return float(found)

    def top(self) -> list[tuple[float, int, str]]:
        """The dearest statements: milliseconds, calls, text."""
        rows = self._connection.execute(
            "SELECT total_plan_time + total_exec_time AS t, calls, left(query, 110) "
            "FROM pg_stat_statements ORDER BY t DESC LIMIT 8"
        )
        return [(row[0], row[1], row[2]) for row in rows]


async def one_by_one(store: Store, before: int) -> int:
    """Delete an hour's rows as it is done without ranges; returns how many deliveries."""
    ages = Ages(before, before - 60 * 24 * HOUR)
    position = count = 0
    while True:
        look = partial(find_deliveries, after=position, ages=ages, limit=LOOK)
        found = await store.read(look)
        for at in range(0, len(found.ids), 100):
            remove = partial(remove_deliveries, ids=found.ids[at : at + 100], ages=ages)
            count += (await store.write(remove)).deliveries
        position = found.position
        if found.end:
            break
    while (await store.write(partial(expire_events, before=before, limit=100))).more:
        pass
    return count


async def waits(store: Store, found: list[float], stop: trio.Event) -> None:
    """How long commits take meanwhile."""
    while not stop.is_set():
        draft = Draft(new_event_id(0), "user.created", "{}", store.clock())
        began = time.perf_counter()
        await store.write(lambda tx, draft=draft: tx.append(draft))
        found.append(time.perf_counter() - began)
        await trio.sleep(0.005)


async def test_an_hour_of_retention(cluster: PostgresCluster) -> None:
    """By ranges below a second, and the audit adds up."""
    url = cluster.new_database()
    clock = Clock()
    start = clock.now - KEPT * 24 * HOUR
    clock.now = start
    settings = DatabaseSettings(url=url)
    async with open_store(settings, clock) as store:
        with psycopg.connect(url, autocommit=True) as connection:
            await measure(store, clock, connection)


async def measure(
    store: Store, clock: Clock, connection: psycopg.Connection[tuple[Any, ...]]
) -> None:
    start = clock.now
    began = time.perf_counter()
    await fill(store, start)
    connection.execute("VACUUM ANALYZE")
    [(size,)] = connection.execute("SELECT pg_database_size(current_database())")
    parts = len(await store.read(lambda reader: units.ranges(reader, units.DELIVERIES)))
    print(
        f"\n{ROWS:,} rows, {size / 2**30:.1f} GiB, {parts} ranges; made in "
        f"{time.perf_counter() - began:.0f} s"
    )
    measured = Measured(connection)
    clock.now = start + KEPT * 24 * HOUR
    rows = []
    clock.now += HOUR
    deleted = await one_by_one(store, clock.now - KEPT * 24 * HOUR)
    rows.append((f"an hour, row by row ({deleted:,} deliveries)", measured.ms()))
    retention = Retention(store, RetentionSettings(), least=LEAST)
    hours: list[float] = []
    while len(hours) < 30:
        for _ in range(SWEEPS):
            clock.now += HOUR // SWEEPS
            await retention.sweep()
        if len(hours) in (0, 27):
            print(*measured.top(), sep="\n")
        hours.append(measured.ms())
    print([round(hour) for hour in hours])
    rows.append(("an hour by ranges, mean", sum(hours) / len(hours)))
    rows.append(("the hour with the most", max(hours)))
    rows.append(("the hour with the least", min(hours)))
    began = time.perf_counter()
    found = await audit(store, sinks=())
    print(f"audit: {found.ok} in {time.perf_counter() - began:.0f} s", found.differences)
    latencies: list[float] = []
    stop = trio.Event()
    clock.now += 30 * HOUR
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits, store, latencies, stop)
        await trio.sleep(1)
        quiet = max(latencies)
        await retention.sweep()
        stop.set()
    rows.append(("longest commit without a drop", 1000 * quiet))
    rows.append(("longest commit while ranges are dropped", 1000 * max(latencies)))
    for name, value in rows:
        print(f"{name:55} {value:10.0f} ms")
    assert found.ok
