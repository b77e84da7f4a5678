"""What charts show, as it is stored: bounded, mergeable, and read without counting rows."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hookhub.config import DatabaseSettings
from hookhub.contracts.deliveries import NewEndpoint
from hookhub.contracts.events import Draft, new_event_id
from hookhub.statistics.histogram import Histogram
from hookhub.statistics.samples import RANGES, Counts, Gauges, Point
from hookhub.store import Store, open_store
from hookhub.store.database import Reader
from hookhub.store.units.endpoints import delete_endpoint, insert_endpoint
from hookhub.store.units.statistics import OLDEST, SPARE, add_sample, backlog, read_points

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 3_600 * SECOND
BEGIN = 500_000 * HOUR
"""The begin of an hour."""


class WallClock:
    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def wall() -> WallClock:
    return WallClock()


@pytest.fixture
async def store(settings: DatabaseSettings, wall: WallClock) -> AsyncIterator[Store]:
    async with open_store(settings, wall) as opened:
        yield opened


async def add(store: Store, at: int, counts: Counts, gauges: Gauges | None = None) -> None:
    await store.write(lambda tx: add_sample(tx, at, counts, gauges))


async def points(store: Store, step: int) -> list[Point]:
    found = await store.read(lambda reader: read_points(reader, step, 0, 2**62))
    return [found[at] for at in sorted(found)]


def latency(*seconds: float) -> Histogram:
    histogram = Histogram()
    for item in seconds:
        histogram.observe(item)
    return histogram


async def test_a_sample_is_part_of_one_step_of_each_range(store: Store) -> None:
    """Counts are added up, of gauges the highest is kept."""
    await add(store, BEGIN, Counts(1, 2, 3, 4, latency(0.1)), Gauges(9, 1.5, 0, 4))
    await add(store, BEGIN + 4 * MINUTE, Counts(10, delivered=1), Gauges(3, 8.5, 1, 2))
    await add(store, BEGIN + 6 * MINUTE, Counts(100, latency=latency(7, 8)), Gauges(1, 0, 0, 6))
    minutes, fives, [hour] = [await points(store, span.step) for span in RANGES.values()]
    assert [point.at - BEGIN for point in minutes] == [0, 4 * MINUTE, 6 * MINUTE]
    assert [point.at - BEGIN for point in fives] == [0, 5 * MINUTE]
    assert [point.counts.events for point in minutes] == [1, 10, 100]
    assert [point.counts.events for point in fives] == [11, 100]
    assert fives[0].gauges == Gauges(9, 8.5, 1, 4)
    assert hour.at == BEGIN
    assert hour.counts == Counts(111, 2, 4, 4, latency(0.1, 7, 8))
    assert hour.gauges == Gauges(9, 8.5, 1, 6)


async def test_samples_of_nodes_of_one_minute(store: Store) -> None:
    """Connections are summed within the minute, and of those sums longer steps have the highest."""
    for minute, connections in ((0, (10, 5)), (1, (8, 8))):
        for number in connections:
            gauges = Gauges(7, 1, 1, number)
            await add(store, BEGIN + minute * MINUTE, Counts(1), gauges)
    minutes, [five], [hour] = [await points(store, span.step) for span in RANGES.values()]
    assert [point.gauges for point in minutes] == [Gauges(7, 1, 1, 15), Gauges(7, 1, 1, 16)]
    assert [point.nodes for point in minutes] == [2, 2]
    assert five.gauges == hour.gauges == Gauges(7, 1, 1, 16)
    assert five.counts.events == 4


async def test_the_last_words_of_a_node(store: Store) -> None:
    """They count, but say nothing of how it is; of that the others' samples tell."""
    await add(store, BEGIN, Counts(1))
    [point] = await points(store, 60)
    assert (point.counts.events, point.gauges, point.nodes) == (1, None, 0)
    await add(store, BEGIN, Counts(2), Gauges(connections=3))
    await add(store, BEGIN, Counts(4))
    [point] = await points(store, 60)
    assert (point.counts.events, point.gauges, point.nodes) == (7, Gauges(connections=3), 1)


async def test_there_are_only_so_many_rows(store: Store, wall: WallClock) -> None:
    """After any time: a little more than charts show, and nothing of a future that never came."""
    await add(store, BEGIN + 1_000 * HOUR, Counts(1), Gauges())
    for step in (60, 300, 3_600):
        for _ in range(400):
            wall.now += step * SECOND
            await add(store, wall.now - 1, Counts(1), Gauges())
    for span in RANGES.values():
        kept = await points(store, span.step)
        assert len(kept) <= span.points + SPARE + 1
        assert kept[-1].at <= wall.now
    week = await points(store, 3_600)
    assert len(week) >= RANGES["week"].points


async def test_two_nodes_that_write_at_once(settings: DatabaseSettings) -> None:
    """Neither's sample is lost."""
    import trio

    async with open_store(settings) as one, open_store(settings) as two:

        async def write(store: Store) -> None:
            for _ in range(20):
                now = store.clock()
                await add(store, now, Counts(1), Gauges())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, one)
            nursery.start_soon(write, two)
        for span in RANGES.values():
            assert sum(point.counts.events for point in await points(one, span.step)) == 40


async def make(store: Store, name: str, *, active: bool = True) -> int:
    new = NewEndpoint(name, ("*",), {}, is_active=active)
    return (await store.write(lambda tx: insert_endpoint(tx, "box", new))).id


async def send(store: Store, count: int = 1) -> None:
    await store.write(
        lambda tx: tx.append_all(
            [Draft(new_event_id(number), "a.b", "{}", 1) for number in range(count)]
        )
    )


async def test_the_backlog(store: Store, wall: WallClock) -> None:
    """Of all endpoints that are not deleted; how old the oldest pending delivery is."""
    assert await store.read(backlog) == (0, 0, 0, None)
    gone = await make(store, "gone")
    await send(store)
    wall.now += SECOND
    await make(store, "one")
    await make(store, "two", active=False)
    await send(store)
    wall.now += SECOND
    await send(store)
    assert await store.read(backlog) == (3, 2, 5, BEGIN)
    await store.write(lambda tx: delete_endpoint(tx, "box", gone))
    assert await store.read(backlog) == (2, 1, 2, BEGIN + SECOND)


async def test_the_oldest_pending_delivery_is_found_by_an_index(store: Store) -> None:
    """However many deliveries there are, delivered and pending ones alike."""
    await make(store, "one")
    await send(store, 5_000)
    await make(store, "two")
    await send(store, 5_000)
    await store.write(
        lambda tx: tx.change("UPDATE hookhub_deliveries SET status = 1 WHERE id <= 4000")
    )
    await store.write(lambda tx: tx.change("ANALYZE"))
    plan = await store.read(explain)
    assert "hookhub_deliveries_pending" in plan
    assert "SCAN d" not in plan
    assert "Seq Scan on hookhub_deliveries" not in plan


def explain(reader: Reader) -> str:
    how = "EXPLAIN QUERY PLAN" if reader.is_sqlite else "EXPLAIN"
    return "\n".join(str(row) for row in reader.sql(f"{how} {OLDEST}"))
