"""Samples: written once a minute, summed over nodes, there after a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import structlog.testing
import trio
import trio.testing
from trio.testing import MockClock

from hookhub.background.charts import LATE, Stats
from hookhub.config import DatabaseSettings
from hookhub.contracts.events import Draft, new_event_id
from hookhub.statistics.samples import Counts, Gauges, Point, Tally
from hookhub.store import Store, Transaction, open_store
from hookhub.testing.serving import sqlite_url

SECOND = 1_000_000
MINUTE = 60 * SECOND
WEEK = 7 * 86_400 * SECOND
NOON = 1_800_000_000 * SECOND // WEEK * WEEK
"""The begin of a step of any length."""


class WallClock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


@pytest.fixture
def wall() -> WallClock:
    return WallClock()


@pytest.fixture
def settings(any_database: str) -> DatabaseSettings:
    return DatabaseSettings(url=any_database)


@pytest.fixture
async def store(settings: DatabaseSettings, wall: WallClock) -> AsyncIterator[Store]:
    async with open_store(settings, wall) as opened:
        yield opened


class Node:
    """One process: its counters, and what it makes of them."""

    def __init__(self, store: Store, nodes: int = 1) -> None:
        self.store = store
        self.tally = Tally()
        self.numbers = {"breakers_open": 0.0, "nodes": float(nodes)}
        self.connections = 0
        self.stats = Stats(
            store,
            self.tally,
            delivery=lambda: self.numbers,
            connections=lambda: self.connections,
        )

    def deliver(self, count: int = 1, seconds: float = 0.1) -> None:
        for _ in range(count):
            self.tally.attempted()
            self.tally.delivered(0, round(seconds * SECOND))

    async def known(self) -> list[Point]:
        return [point for point in await self.stats.series("hour") if point.nodes]


async def emit(store: Store) -> None:
    await store.write(lambda tx: tx.append(Draft(new_event_id(0), "user.created", "{}", 1)))


async def test_a_minute_is_written_when_it_is_over(store: Store, wall: WallClock) -> None:
    """Not before; with all that happened in it, and how it is at its end."""
    node = Node(store)
    await emit(store)
    node.deliver(2)
    node.tally.failed()
    wall.move(59)
    await node.stats.tick()
    node.connections, node.numbers["breakers_open"] = 7, 1
    assert await node.known() == []
    wall.move(1)
    await node.stats.tick()
    wall.move(LATE)
    [point] = await node.known()
    assert point.at == NOON
    assert point.gauges == Gauges(0, 0.0, 1, 7)
    counts = point.counts
    assert (counts.events, counts.attempts, counts.delivered, counts.failed) == (1, 2, 2, 1)
    assert counts.latency.quantile(0.5) == pytest.approx(0.1, rel=0.5)

    wall.move(60)
    await node.stats.tick()
    following = (await node.known())[1]
    assert (following.at, following.counts) == (NOON + MINUTE, Counts())


async def test_a_restart_loses_nothing(settings: DatabaseSettings, wall: WallClock) -> None:
    """What happened until the stop is written then; the next process goes on in the same minute."""
    async with open_store(settings, wall) as store:
        before = Node(store)
        before.connections = 100
        before.deliver(2)
        wall.move(20)
        await before.stats.flush()
        await before.stats.flush()
    async with open_store(settings, wall) as store:
        after = Node(store)
        after.deliver(3)
        after.connections = 1
        wall.move(40)
        await after.stats.tick()
        wall.move(LATE)
        [point] = await after.known()
    assert point.counts.delivered == 5
    assert point.gauges == Gauges(connections=1)


async def test_several_nodes_add_up(settings: DatabaseSettings, wall: WallClock) -> None:
    """Whichever is asked; of one endpoint that each leaves alone, there is one breaker."""
    async with open_store(settings, wall) as first, open_store(settings, wall) as second:
        one, two = Node(first, nodes=2), Node(second, nodes=2)
        one.deliver(1)
        two.deliver(2)
        one.connections, two.connections = 10, 5
        one.numbers["breakers_open"] = two.numbers["breakers_open"] = 1
        wall.move(60)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.stats.tick)
            nursery.start_soon(two.stats.tick)
        wall.move(LATE)
        for node in (one, two):
            [point] = await node.known()
            assert (point.counts.delivered, point.nodes) == (3, 2)
            assert point.gauges == Gauges(0, 0.0, 1, 15)


async def pass_by(clock: MockClock, seconds: int) -> None:
    for _ in range(seconds // 2):
        clock.jump(2)
        await trio.testing.wait_all_tasks_blocked()


async def test_now_is_the_last_minute(store: Store, wall: WallClock, mock_clock: MockClock) -> None:
    """What is older is left out, whether it was written or not."""
    node = Node(store)
    async with trio.open_nursery() as nursery:
        await nursery.start(node.stats.run)
        node.deliver(4)
        await emit(store)
        await pass_by(mock_clock, 30)
        now = await node.stats.now()
        assert (now.counts.delivered, now.counts.events, now.seconds) == (4, 1, 30)
        node.deliver(1)
        await pass_by(mock_clock, 40)
        now = await node.stats.now()
        assert (now.counts.delivered, now.counts.events) == (1, 0)
        assert 57 <= now.seconds <= 60
        nursery.cancel_scope.cancel()


async def test_now_of_several_nodes(settings: DatabaseSettings, wall: WallClock) -> None:
    """One's own share is of now, that of the others is what they wrote last."""
    async with open_store(settings, wall) as first, open_store(settings, wall) as second:
        one, two = Node(first, nodes=2), Node(second, nodes=2)
        for node in (one, two):
            await node.stats.tick()
        one.deliver(1)
        two.deliver(2)
        one.connections, two.connections = 10, 5
        one.numbers["breakers_open"] = 1
        wall.move(60)
        await one.stats.tick()
        await two.stats.tick()
        wall.move(LATE)
        one.connections, one.numbers["breakers_open"] = 11, 0
        one.deliver(4)
        seen = await one.stats.now()
        # On SQLite there are no other nodes: one process has the database.
        others = not first.is_sqlite
        assert seen.counts.delivered == (5 + 2 if others else 5)
        assert seen.gauges.connections == (11 + 5 if others else 11)
        one.numbers["nodes"] = 1
        seen = await one.stats.now()
        assert (seen.counts.delivered, seen.gauges) == (5, Gauges(connections=11))


async def test_what_could_not_be_written_is_part_of_the_next_sample(
    tmp_path: Path, wall: WallClock
) -> None:
    """A database that fails is named in the log, and nothing is counted twice or forgotten."""
    settings = DatabaseSettings(url=sqlite_url(tmp_path))
    async with open_store(settings, wall) as store:
        node = Node(store)
        node.deliver(2)
        wall.move(60)
        await store.write(rename("hookhub_stats", "away"))
        with structlog.testing.capture_logs() as said:
            await node.stats.tick()
        assert "stats.failed" in [line["event"] for line in said]
        await store.write(rename("away", "hookhub_stats"))
        node.deliver(1)
        wall.move(60)
        await node.stats.tick()
        wall.move(LATE)
        [point] = await node.known()
        assert (point.at, point.counts.delivered) == (NOON + MINUTE, 3)
        assert node.stats.statistics() == {"samples_total": 1, "failed_total": 1}


def rename(table: str, to: str) -> Callable[[Transaction], None]:
    def unit(tx: Transaction) -> None:
        tx.sql(f"ALTER TABLE {table} RENAME TO {to}")

    return unit


async def test_a_clock_that_is_set_back(store: Store, wall: WallClock) -> None:
    """The sample belongs to the minute that was under way; counting goes on."""
    node = Node(store)
    node.deliver(1)
    wall.move(-600)
    await node.stats.tick()
    node.deliver(1)
    wall.move(60)
    await node.stats.tick()
    wall.move(LATE)
    assert [point.counts.delivered for point in await node.known()] == [1]
    wall.move(600)
    assert sum(point.counts.delivered for point in await node.known()) == 2
