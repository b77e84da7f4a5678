"""What is too old goes, in small steps; what is still needed stays, and everything adds up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from hookhub.background.retention import Retention, Totals
from hookhub.config import DatabaseSettings, LiveSettings, RetentionSettings
from hookhub.contracts.deliveries import DeliveryStatus
from hookhub.contracts.events import Cursor, Draft
from hookhub.feed import Feed
from hookhub.store import Store, open_store
from hookhub.store.units import deliveries as units
from hookhub.store.units.audit import audit
from hookhub.store.units.endpoints import delete_endpoint, endpoint_stats
from hookhub.store.units.events import accept, history_bounds, read_events
from support.aging import DAY, START, Clock, adds_up, column, make, send, settle


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(any_database: str, clock: Clock) -> AsyncIterator[Store]:
    async with open_store(DatabaseSettings(url=any_database), clock) as opened:
        yield opened


async def sweep(store: Store, **settings: float) -> Totals:
    return await Retention(store, RetentionSettings(**settings)).sweep()


async def sequences(store: Store) -> list[int]:
    return await column(store, "SELECT sequence FROM hookhub_events ORDER BY sequence")


async def test_what_is_too_old_goes_with_everything_that_hangs_on_it(
    store: Store, clock: Clock
) -> None:
    """Events, their deliveries, their attempts; what is younger stays."""
    await make(store)
    await send(store, 3)
    await settle(store, "success", "success", "success")
    clock.now += 20 * DAY
    await send(store, 2)
    await settle(store, "success", "success")
    assert await sweep(store) == Totals()
    clock.now += 11 * DAY
    assert await sweep(store) == Totals(events=3, deliveries=3, attempts=3)
    assert await sequences(store) == [4, 5]
    assert await column(store, "SELECT id FROM hookhub_deliveries ORDER BY id") == [4, 5]
    await adds_up(store)


async def test_statistics_go_on_counting_what_is_gone(store: Store, clock: Clock) -> None:
    """Totals are since creation; the total of a list is what can be listed."""
    endpoint = await make(store)
    await send(store, 3)
    await settle(store, "success", "failed")
    clock.now += 40 * DAY
    await sweep(store)
    stats = await store.read(lambda reader: endpoint_stats(reader, "webhook"))
    assert (stats.deliveries, stats.delivered, stats.failed, stats.pending) == (3, 1, 1, 1)
    totals: dict[DeliveryStatus | None, int] = {None: 2, "success": 0, "failed": 1, "pending": 1}
    for status, total in totals.items():
        page = await store.read(
            lambda reader, status=status: units.list_deliveries(
                reader, endpoint, status=status, limit=10, offset=0
            )
        )
        assert page.total == len(page.items) == total
    await adds_up(store)


async def test_an_event_with_a_delivery_stays_but_is_history_no_longer(
    store: Store, clock: Clock
) -> None:
    """Pending or failed: the row is needed. It goes with its last delivery."""
    await make(store)
    await send(store, 3)
    await settle(store, "success", "failed", "pending")
    clock.now += 40 * DAY
    await send(store)
    assert await sweep(store) == Totals(events=1, deliveries=1, attempts=1)
    assert await sequences(store) == [2, 3, 4]
    assert await store.read(history_bounds) == (4, 4)
    events = await store.read(lambda reader: read_events(reader, 0, 10))
    assert [event.sequence for event in events] == [4]
    await adds_up(store)
    await settle(store, "success", "success")
    clock.now += 60 * DAY
    assert (await sweep(store)).events == 3
    assert await sequences(store) == []
    await adds_up(store)


async def test_a_cursor_learns_how_many_events_are_gone(store: Store, clock: Clock) -> None:
    """Also when a row of them is still there because of its delivery."""
    feed = Feed(store, LiveSettings())
    await make(store)
    await send(store, 3)
    await settle(store, "success", "pending", "success")
    clock.now += 40 * DAY
    await send(store, 2)
    await sweep(store)
    await feed.open()
    assert await sequences(store) == [2, 4, 5]
    assert await feed.resume(Cursor(feed.epoch, 0)) == (
        Cursor(feed.epoch, 3),
        (3, Cursor(feed.epoch, 3)),
    )
    assert await feed.resume(Cursor(feed.epoch, 2)) == (
        Cursor(feed.epoch, 3),
        (1, Cursor(feed.epoch, 3)),
    )
    assert await feed.resume(Cursor(feed.epoch, 3)) == (Cursor(feed.epoch, 3), None)
    part = await feed.read(Cursor(feed.epoch, 0), lambda name: True)
    assert [entry.event.sequence for entry in part.entries] == [4, 5]
    assert part.gap == (3, Cursor(feed.epoch, 3))


async def test_nothing_left_is_told_as_well(store: Store, clock: Clock) -> None:
    """With all events gone, a cursor of before learns of the gap."""
    feed = Feed(store, LiveSettings())
    await send(store, 3)
    clock.now += 40 * DAY
    assert (await sweep(store)).events == 3
    await feed.open()
    assert await feed.resume(Cursor(feed.epoch, 1)) == (
        Cursor(feed.epoch, 3),
        (2, Cursor(feed.epoch, 3)),
    )
    assert await feed.resume(Cursor(feed.epoch, 3)) == (Cursor(feed.epoch, 3), None)
    await send(store)
    assert await sequences(store) == [4]
    await adds_up(store)


async def test_an_event_of_a_wrong_clock_holds_up_nothing(store: Store, clock: Clock) -> None:
    """One of the future is as old as what follows it; one of the past waits for those before."""
    clock.now += 3650 * DAY
    await send(store)
    clock.now = START
    await send(store)
    await store.write(lambda tx: tx.append(Draft("past", "a.b", "{}", START - 400 * DAY)))
    assert await sweep(store) == Totals()
    clock.now += 29 * DAY
    await send(store)
    clock.now += 2 * DAY
    assert (await sweep(store)).events == 3
    assert await sequences(store) == [4]


async def test_zero_keeps_for_ever(store: Store, clock: Clock) -> None:
    """Each for itself."""
    await make(store)
    await send(store, 2)
    await settle(store, "success", "failed")
    await store.write(lambda tx: accept(tx, [Draft("own", "a.b", "{}", 1)], "key"))
    clock.now += 10_000 * DAY
    nothing = {"events": 0, "deliveries": 0, "failed_deliveries": 0, "idempotency_keys": 0}
    assert await sweep(store, **nothing) == Totals()
    assert await sweep(store, **{**nothing, "failed_deliveries": 1}) == Totals(
        deliveries=1, attempts=1
    )
    assert await sweep(store, **{**nothing, "deliveries": 1}) == Totals(deliveries=1, attempts=1)
    assert await sweep(store, **{**nothing, "idempotency_keys": 1}) == Totals(idempotency_keys=1)
    assert (await sweep(store, **{**nothing, "events": 1})).events == 2
    await adds_up(store)


async def test_deliveries_may_go_before_their_events(store: Store, clock: Clock) -> None:
    """The event says how many of them are gone."""
    await make(store)
    await make(store, "two")
    await send(store)
    await settle(store, "success")
    clock.now += 2 * DAY
    assert await sweep(store, deliveries=86_400) == Totals(deliveries=1, attempts=1)
    found = await audit(store)
    assert (found.matched, found.removed, found.pending) == (2, 1, 1)
    await adds_up(store)


async def test_a_failed_head_of_a_key_is_never_deleted(store: Store, clock: Clock) -> None:
    """It holds back its key until a person retries or skips it."""
    await make(store, ordered=True)
    await send(store, 2, key="a")
    await settle(store, "failed")
    clock.now += 400 * DAY
    assert await sweep(store) == Totals()
    await store.write(lambda tx: units.skip_delivery(tx, 1))
    assert (await sweep(store)).deliveries == 1
    await adds_up(store)


async def test_a_delivery_retried_meanwhile_is_not_deleted(store: Store, clock: Clock) -> None:
    """What was found too old is looked at again in the transaction that deletes."""
    from hookhub.store.units.retention import Ages, find_deliveries, remove_deliveries

    await make(store)
    await send(store)
    await settle(store, "failed")
    clock.now += 100 * DAY
    ages = Ages(clock.now - DAY, clock.now - DAY)
    found = await store.read(lambda reader: find_deliveries(reader, 0, ages, 10))
    assert found.ids == [1]
    await store.write(lambda tx: units.retry_delivery(tx, 1))
    assert (await store.write(lambda tx: remove_deliveries(tx, found.ids, ages))).deliveries == 0


async def test_a_deleted_endpoint_is_purged(store: Store, clock: Clock) -> None:
    """Its deliveries whatever their state, their attempts, then its row; nobody else's."""
    gone = await make(store)
    await make(store, "other")
    await send(store, 3)
    await settle(store, "success", "failed")
    await store.write(lambda tx: delete_endpoint(tx, "webhook", gone))
    assert await sweep(store) == Totals()
    await adds_up(store)
    clock.now += DAY
    assert await sweep(store) == Totals(deliveries=3, attempts=2)
    assert await column(store, "SELECT id FROM hookhub_endpoints") == [2]
    assert await column(store, "SELECT COUNT(*) FROM hookhub_deliveries") == [3]
    found = await audit(store)
    assert (found.matched, found.removed, found.pending) == (6, 3, 3)
    await adds_up(store)


async def test_many_go_in_small_steps(store: Store, clock: Clock) -> None:
    """However much it is, and each transaction is short."""
    sizes: list[int] = []

    class Counting(Retention):
        async def _step(self, unit: Callable[..., Any]) -> Any:
            sizes.append(self._size)
            return await super()._step(unit)

    await make(store)
    await send(store, 1_200)
    await store.write(
        lambda tx: tx.change("UPDATE hookhub_deliveries SET status = 1, delivered_at = created_at")
    )
    clock.now += 40 * DAY
    done = await Counting(store, RetentionSettings()).sweep()
    assert (done.events, done.deliveries) == (1_200, 1_200)
    assert len(sizes) > 5
    assert max(sizes) <= 500


async def test_a_delivery_that_ends_after_it_was_passed_goes_later(
    store: Store, clock: Clock
) -> None:
    """Once a day everything is looked at again."""
    await make(store)
    await send(store, 2)
    await settle(store, "pending", "success")
    retention = Retention(store, RetentionSettings())
    clock.now += 40 * DAY
    assert (await retention.sweep()).deliveries == 1
    await settle(store, "success")
    clock.now += 40 * DAY
    assert (await retention.sweep()).deliveries == 0
    retention._looked_at_all = -1e9
    assert (await retention.sweep()).deliveries == 1
