"""Two nodes on one PostgreSQL take their locks in one order: neither ever waits for the other in a
circle, which costs a second each time."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from hookhub.config import DatabaseSettings, DeliverySettings
from hookhub.contracts.deliveries import Claim, NewEndpoint
from hookhub.contracts.events import Draft, new_event_id
from hookhub.delivery.deliveries import Deliveries
from hookhub.delivery.recording import Recorder
from hookhub.delivery.verdicts import Verdicts
from hookhub.store import Store, Transaction, open_store
from hookhub.store.units.claims import claim_due
from hookhub.store.units.deliveries import AttemptReport
from hookhub.store.units.endpoints import insert_endpoint

WAITING = (
    "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND wait_event IN ('transactionid', 'tuple')"
)
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@pytest.fixture
async def nodes(postgres_url: str) -> AsyncIterator[tuple[Store, Store]]:
    """Two, on a database that looks for deadlocks at once; at the end there was none."""
    settings = DatabaseSettings(url=postgres_url)
    name = postgres_url.rpartition("/")[2]
    async with open_store(settings) as store:
        await store.write(lambda tx: tx.change(f"ALTER DATABASE {name} SET deadlock_timeout = 5"))
    async with open_store(settings) as one, open_store(settings) as two:
        yield one, two
    # Sessions tell of them at their end at the latest.
    async with open_store(settings) as store:
        assert await store.read(lambda reader: reader.sql(DEADLOCKS)) == [(0,)]


def make_endpoints(tx: Transaction) -> None:
    for name in ("one", "two"):
        insert_endpoint(tx, "webhook", NewEndpoint(name, ("*",), {}, secret="s"))


def append(tx: Transaction) -> None:
    tx.append(Draft(new_event_id(0), "user.created", "{}", 1))


def failed(claim: Claim) -> AttemptReport:
    return AttemptReport(claim, 1, 0.1, "retry", "pending", 0, 500, None, "status", "It failed.")


async def claims(store: Store, lease: int, wanted: list[tuple[int, int]]) -> list[Claim]:
    found = await store.write(
        lambda tx: claim_due(tx, wanted, lease=lease, until=tx.now + 10**9), locks=False
    )
    return found.claims


@asynccontextmanager
async def recording(store: Store, verdicts: Verdicts) -> AsyncIterator[Recorder]:
    recorder = Recorder(store, verdicts.record)
    async with trio.open_nursery() as around:
        await around.start(recorder.run)
        try:
            yield recorder
        finally:
            recorder.close()


def quiet() -> Verdicts:
    """Verdicts that announce nothing."""
    return Verdicts(DeliverySettings())


class Pause:
    """Where a unit stops, in the writer's thread, until the other node waits for it or is done."""

    def __init__(self) -> None:
        self._reached, self._go_on = trio.Event(), threading.Event()
        self._token = trio.lowlevel.current_trio_token()

    def __call__(self) -> None:
        self._token.run_sync_soon(self._reached.set)
        assert self._go_on.wait(20)

    async def meanwhile(self, store: Store, other: Callable[[], Awaitable[object]]) -> None:
        """Run the other one when the pause is reached."""
        done = trio.Event()

        async def run() -> None:
            await other()
            done.set()

        await self._reached.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            with trio.fail_after(20):
                while not (done.is_set() or await store.read(lambda r: r.sql(WAITING)[0][0])):
                    await trio.sleep(0.005)
            self._go_on.set()


async def test_a_record_together_with_an_event(nodes: tuple[Store, Store]) -> None:
    """One node records the second endpoint's attempt and then commits an event for both; the other
    one records both."""
    one, two = nodes
    await one.write(make_endpoints)
    await one.write(append)
    await one.write(append)
    [second] = await claims(one, 1, [(2, 1)])
    first, later = await claims(two, 2, [(1, 1), (2, 1)])
    pause = Pause()

    def unit(tx: Transaction) -> None:
        quiet().record(tx, [failed(second)])
        pause()
        append(tx)

    async with recording(two, quiet()) as recorder, trio.open_nursery() as nursery:

        async def record_both() -> None:
            async with trio.open_nursery() as both:
                both.start_soon(recorder.record, failed(first))
                both.start_soon(recorder.record, failed(later))

        nursery.start_soon(one.write, unit)
        await pause.meanwhile(one, record_both)


async def test_a_verdict_that_makes_an_event(nodes: tuple[Store, Store]) -> None:
    """An endpoint is warned of, by an event, while the other node commits an event for it."""
    one, two = nodes
    await one.write(make_endpoints)
    await one.write(append)
    [claim] = await claims(one, 1, [(1, 1)])
    pause = Pause()

    def draft(kind: str, _: object) -> Draft:
        pause()
        return Draft(new_event_id(0), kind, "{}", 1)

    verdicts = Verdicts(DeliverySettings(warn_after=0.0), draft)
    async with recording(one, verdicts) as recorder, trio.open_nursery() as nursery:
        nursery.start_soon(recorder.record, failed(claim))
        await pause.meanwhile(one, lambda: two.write(append))


async def test_a_retry_by_hand(nodes: tuple[Store, Store]) -> None:
    """One node records and gives back in one transaction; somebody retries what it gives back."""
    one, two = nodes
    await one.write(make_endpoints)
    await one.write(append)
    await one.write(append)
    first, second = await claims(one, 1, [(1, 2)])
    await one.write(
        lambda tx: tx.change("UPDATE hookhub_deliveries SET status = 2 WHERE id = ?", (second.id,))
    )
    pause = Pause()

    def unit(tx: Transaction) -> None:
        quiet().record(tx, [failed(first)])
        pause()
        tx.change("UPDATE hookhub_deliveries SET due_at = 0 WHERE id = ?", (second.id,))

    async def nothing() -> None:
        pass

    deliveries = Deliveries(two, nothing)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.write, unit)
        await pause.meanwhile(one, lambda: deliveries.retry(second.id))
