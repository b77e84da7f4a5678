"""On PostgreSQL what is old goes by ranges; what is needed survives, and everything adds up."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from functools import partial

import psycopg
import pytest
import trio

from hookhub.background.retention import Retention, Totals
from hookhub.config import DatabaseSettings, RetentionSettings
from hookhub.contracts.deliveries import DeliveryStatus
from hookhub.contracts.errors import StoreUnavailable
from hookhub.store import Reader, Store, open_store
from hookhub.store.database import connect, create_database
from hookhub.store.migrations import CORE, migrate
from hookhub.store.partitions import KEYS
from hookhub.store.schema import CORE_MIGRATIONS
from hookhub.store.units import deliveries as units
from hookhub.store.units.audit import audit
from hookhub.store.units.endpoints import endpoint_stats
from hookhub.store.units.events import history_bounds
from hookhub.store.units.ranges import (
    DELIVERIES,
    EVENTS,
    Range,
    drop_deliveries,
    look_at_deliveries,
    ranges,
)
from hookhub.store.units.retention import Ages, Removed
from support.aging import DAY, HOUR, START, Clock, adds_up, column, make, send, settle

pytestmark = pytest.mark.postgres
SIZE = 10
"""Numbers in a range."""
OK: tuple[DeliveryStatus, ...] = ("success",) * SIZE
CONVERSION = 7
"""The migration that makes ranges of tables."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(postgres_url: str, clock: Clock) -> AsyncIterator[Store]:
    async with open_store(DatabaseSettings(url=postgres_url), clock) as opened:
        yield opened


@pytest.fixture
def retention(store: Store) -> Retention:
    return Retention(store, RetentionSettings(), least=SIZE)


async def there(store: Store, tables: tuple[str, ...] = DELIVERIES) -> list[Range]:
    return await store.read(lambda reader: ranges(reader, tables))


async def in_default(store: Store, table: str = "hookhub_deliveries", key: str = "id") -> list[int]:
    return await column(store, f"SELECT {key} FROM {table}_default ORDER BY 1")


async def hours(store: Store, clock: Clock, retention: Retention, *hourly: DeliveryStatus) -> None:
    """Every hour an event, and how its delivery to the first webhook goes."""
    for status in hourly:
        clock.now += HOUR
        await send(store)
        await settle(store, status)
        await retention.ranges.make()


async def test_ranges_begin_when_a_table_has_grown(
    store: Store, clock: Clock, retention: Retention
) -> None:
    """Until then there is one partition; the rows of before are the first range of it."""
    await make(store)
    await hours(store, clock, retention, *OK[1:])
    assert await there(store) == []
    await hours(store, clock, retention, "success")
    for tables in (EVENTS, DELIVERIES):
        assert await there(store, tables) == [Range(0, 11), Range(11, 21), Range(21, 31)]
    assert await in_default(store) == []
    await adds_up(store)


async def test_ranges_are_made_ahead(store: Store, clock: Clock, retention: Retention) -> None:
    """What is committed finds its range, so the default partition stays empty."""
    await make(store)
    await hours(store, clock, retention, *OK * 4, *OK[5:])
    assert (await there(store))[-1] == Range(61, 71)
    for table in KEYS:
        assert await column(store, f"SELECT COUNT(*) FROM {table}_default") == [0]


async def test_numbers_that_leap_over_all_ranges_are_taken(
    store: Store, clock: Clock, retention: Retention
) -> None:
    """No commit fails for lack of a range; what follows has one again."""
    await make(store)
    await hours(store, clock, retention, *OK)
    far = "UPDATE hookhub_state SET last_delivery = 1000"
    await store.write(lambda tx: tx.change(far))
    await hours(store, clock, retention, "success", "success")
    assert await in_default(store) == [1001]
    assert (await there(store))[-3] == Range(1002, 1033)
    clock.now += 40 * DAY
    assert await retention.sweep() == Totals(events=12, deliveries=12, attempts=12)
    await adds_up(store)


async def test_a_range_goes_when_all_of_it_is_too_old(
    store: Store, clock: Clock, retention: Retention
) -> None:
    """With its attempts, as if it had been deleted row by row; what is younger stays."""
    await make(store)
    await hours(store, clock, retention, *OK * 4)
    clock.now += 30 * DAY - 25 * HOUR
    # Fifteen hours' worth is too old: ten of one range, of the next one only five.
    assert await retention.sweep() == Totals(events=10, deliveries=10, attempts=10)
    assert (await there(store))[0] == (await there(store, EVENTS))[0] == Range(11, 21)
    assert await column(store, "SELECT MIN(id) FROM hookhub_deliveries") == [11]
    assert (await store.read(history_bounds)) == (15, 40)
    await adds_up(store)
    clock.now += 6 * HOUR
    assert await retention.sweep() == Totals(events=10, deliveries=10, attempts=10)
    stats = await store.read(lambda reader: endpoint_stats(reader, "webhook"))
    assert stats.deliveries == stats.delivered == 40
    await adds_up(store)


async def test_what_is_not_finished_survives_and_is_delivered_later(
    store: Store, clock: Clock, retention: Retention
) -> None:
    """With its event and its attempts, under its number; a failed one as long as it is kept."""
    await make(store)
    await hours(store, clock, retention, *OK[:8], "pending", "failed", *OK)
    clock.now += 31 * DAY
    assert (await retention.sweep()).deliveries == 18
    assert await in_default(store) == [9, 10]
    assert await in_default(store, "hookhub_attempts", "delivery_id") == [9, 10]
    assert await in_default(store, "hookhub_events", "sequence") == [9, 10]
    await adds_up(store)
    await settle(store, "success")
    found = await store.read(lambda reader: units.get_delivery(reader, 9))
    assert found.status == "success"
    assert [item.outcome for item in found.attempts or ()] == ["retry", "delivered"]
    await store.write(lambda tx: units.retry_delivery(tx, 10))
    await adds_up(store)
    await settle(store, "failed")
    clock.now += 31 * DAY
    retention = Retention(store, RetentionSettings(), least=SIZE)
    assert await retention.sweep() == Totals(events=1, deliveries=1, attempts=2)
    clock.now += 60 * DAY
    retention = Retention(store, RetentionSettings(), least=SIZE)
    assert await retention.sweep() == Totals(events=1, deliveries=1, attempts=2)
    await adds_up(store)


async def test_events_that_are_kept_for_longer_know_what_they_have_lost(
    store: Store, clock: Clock
) -> None:
    """What survives of an event's deliveries is still counted one by one, and missed if it goes."""
    retention = Retention(store, RetentionSettings(events=0), least=SIZE)
    await make(store)
    await make(store, "two")
    for status in (*OK[:4], "pending", *OK[:5], *OK):
        await hours(store, clock, retention, status)
        await settle(store, "success" if status == "success" else "failed", endpoint=2)
    clock.now += 31 * DAY
    assert await retention.sweep() == Totals(deliveries=38, attempts=38)
    found = await audit(store, sinks=())
    assert (found.ok, found.matched, found.removed) == (True, 40, 38)
    # One event is sent once more, and one of its deliveries goes.
    await store.write(lambda tx: tx.replay(1, [(5, None), (6, None)]))
    await adds_up(store)
    await store.write(lambda tx: tx.change("DELETE FROM hookhub_deliveries WHERE sequence = 6"))
    found = await audit(store, sinks=())
    assert found.differences["delivery_missing"].rows == [6]
    await store.write(lambda tx: tx.change("DELETE FROM hookhub_deliveries WHERE id = 9"))
    found = await audit(store, sinks=())
    assert found.differences["delivery_missing"].rows == [5, 6]


async def test_replays_of_what_has_gone_are_counted_when_they_go(
    store: Store, clock: Clock
) -> None:
    """Their numbers are later ones than those of their events."""
    retention = Retention(store, RetentionSettings(events=0), least=SIZE)
    await make(store)
    await hours(store, clock, retention, *OK * 2)
    clock.now += 31 * DAY
    assert (await retention.sweep()).deliveries == 20
    await store.write(lambda tx: tx.replay(1, [(3, None), (15, None)]))
    await settle(store, "success", "pending")
    await hours(store, clock, retention, *OK * 2)
    await adds_up(store)
    clock.now += 31 * DAY
    assert (await retention.sweep()).deliveries == 21
    assert await in_default(store) == [22]
    await adds_up(store)


async def test_what_changes_between_the_look_and_the_drop_is_seen(
    store: Store, clock: Clock
) -> None:
    """A retry makes a failed delivery one that is needed; a late success one that is not."""
    await make(store)
    retention = Retention(store, RetentionSettings(failed_deliveries=0), least=SIZE)
    await hours(store, clock, retention, *OK[:6], "failed", "failed", "pending", "pending", *OK)
    clock.now += 31 * DAY
    part = Range(0, 11)
    ages = Ages(clock.now - 30 * DAY, clock.now - 30 * DAY)
    seen = await store.read(partial(look_at_deliveries, part=part, ages=ages))
    assert seen is not None
    assert seen.survivors == [9, 10]
    await store.write(lambda tx: units.retry_delivery(tx, 7))
    await settle(store, "failed")
    await settle(store, "success")
    removed = await store.alter(partial(drop_deliveries, part=part, ages=ages, seen=seen))
    assert removed.deliveries == 7
    assert await in_default(store) == [7, 9, 10]
    await adds_up(store)
    again = partial(drop_deliveries, part=part, ages=ages, seen=seen)
    assert await store.alter(again) == Removed()


async def test_a_range_with_many_survivors_is_worked_off_row_by_row(
    store: Store, clock: Clock, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To move them would hold up everybody; everything else that is too old goes nevertheless."""
    monkeypatch.setattr("hookhub.store.units.ranges.SURVIVORS", 2)
    await make(store)
    await hours(store, clock, retention, *OK[:7], "failed", "failed", "failed", *OK * 2)
    clock.now += 31 * DAY
    assert (await retention.sweep()).deliveries == 27
    assert (await there(store))[0] == Range(0, 11)
    await adds_up(store)
    clock.now += 60 * DAY
    retention = Retention(store, RetentionSettings(), least=SIZE)
    assert (await retention.sweep()).deliveries == 3
    assert await column(store, "SELECT COUNT(*) FROM hookhub_events") == [0]
    await adds_up(store)


async def test_a_range_that_took_long_is_worked_off_row_by_row(
    store: Store, clock: Clock, retention: Retention
) -> None:
    """On a small hub nothing stays longer than it may only because of what is in its range."""
    await make(store)
    for _ in range(3 * SIZE):
        clock.now += DAY
        await hours(store, clock, retention, "success")
    clock.now += 15 * DAY
    assert await retention.sweep() == Totals(events=15, deliveries=15, attempts=15)
    await adds_up(store)


async def test_whoever_reads_for_long_is_left_alone(
    store: Store, clock: Clock, retention: Retention
) -> None:
    """The drop waits for a moment only, and is done the next time; nobody queues behind it."""
    await make(store)
    await hours(store, clock, retention, *OK * 3)
    clock.now += 31 * DAY
    reading, done = trio.Event(), threading.Event()
    token = trio.lowlevel.current_trio_token()

    def read(reader: Reader) -> None:
        reader.sql("SELECT COUNT(*) FROM hookhub_deliveries")
        token.run_sync_soon(reading.set)
        done.wait(30)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.read, read)
        await reading.wait()
        assert (await retention.sweep()).deliveries == 0
        await send(store)
        done.set()
    assert (await retention.sweep()).deliveries == 30
    await adds_up(store)


async def test_a_drop_that_breaks_off_has_not_happened(
    store: Store, clock: Clock, retention: Retention
) -> None:
    """Whatever was done before the commit: the range is there, and nothing is counted."""
    await make(store)
    await hours(store, clock, retention, *OK[1:], "pending", *OK)
    clock.now += 31 * DAY
    part, ages = Range(0, 11), Ages(clock.now - 30 * DAY, None)
    seen = await store.read(partial(look_at_deliveries, part=part, ages=ages))
    assert seen is not None

    def drop(reader: Reader) -> None:
        assert drop_deliveries(reader, part, ages, seen).deliveries == 9
        reader.sql("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(StoreUnavailable):
        await store.alter(drop)
    assert (await there(store))[0] == part
    await adds_up(store)
    assert (await retention.sweep()).deliveries == 19
    await adds_up(store)


async def test_two_hubs_may_drop_at_once(store: Store, clock: Clock, retention: Retention) -> None:
    """One of them does it."""
    await make(store)
    await hours(store, clock, retention, *OK * 4)
    clock.now += 31 * DAY
    other = Retention(store, RetentionSettings(), least=SIZE)
    done: list[Totals] = []

    async def sweep(retention: Retention) -> None:
        done.append(await retention.sweep())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sweep, retention)
        nursery.start_soon(sweep, other)
    await retention.sweep()
    assert sum(item.deliveries for item in done) == 40
    await adds_up(store)


async def test_a_database_of_before_is_converted(postgres_url: str, clock: Clock) -> None:
    """Its rows are where they were, and new ones get the numbers that follow."""
    settings = DatabaseSettings(url=postgres_url)
    database = create_database(settings)
    connect(database, settings)
    migrate(database, 1, CORE, CORE_MIGRATIONS[: CONVERSION - 1])
    database.close()
    with psycopg.connect(postgres_url) as connection:
        connection.execute(OLD)
    async with open_store(settings, clock) as store:
        assert (await store.versions())[CORE].version == len(CORE_MIGRATIONS)
        await adds_up(store)
        await send(store)
        await settle(store, "success")
        assert await column(store, "SELECT MAX(id) FROM hookhub_attempts") == [51]
        retention = Retention(store, RetentionSettings(), least=SIZE)
        await retention.ranges.make()
        assert (await there(store))[0] == Range(0, 52)
        clock.now += 31 * DAY
        assert (await retention.sweep()).deliveries == 51
        await adds_up(store)


OLD = f"""
INSERT INTO hookhub_state (id, epoch, last_sequence, last_delivery, endpoints_generation,
    tokens_generation) VALUES (1, 'e', 50, 50, 1, 0);
INSERT INTO hookhub_endpoints (sink, name, event_types, config, options, secrets, is_active,
    created_at, updated_at, deliveries_total, success_count)
    VALUES ('webhook', 'one', '["*"]', '{{}}', '{{}}', '[]', true, 1, 1, 50, 50);
INSERT INTO hookhub_events (sequence, id, type, payload, timestamp, deliveries)
    SELECT n, 'e' || n, 'a.b', '{{}}', {START} - n, 1 FROM generate_series(1, 50) n;
INSERT INTO hookhub_deliveries (id, endpoint_id, sequence, status, due_at, created_at,
    delivered_at, attempts) SELECT n, 1, n, 1, 1, {START} - n, {START} - n, 1
    FROM generate_series(1, 50) n;
INSERT INTO hookhub_attempts (delivery_id, number, started_at, duration, outcome)
    SELECT n, 1, 1, 0.1, 'delivered' FROM generate_series(1, 50) n
"""
"""A database with fifty delivered events."""
