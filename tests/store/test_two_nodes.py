"""Two nodes on one PostgreSQL change the same deliveries at the same moment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from threading import Event
from typing import Any

import pytest
import trio

from hookhub.config import DatabaseSettings
from hookhub.contracts.deliveries import EndpointOptions, NewEndpoint
from hookhub.contracts.events import Draft, new_event_id
from hookhub.store import Store, Transaction, open_store
from hookhub.store.units import deliveries as units
from hookhub.store.units.claims import claim_due
from hookhub.store.units.deliveries import AttemptReport
from hookhub.store.units.endpoints import endpoint_stats, insert_endpoint

WAITING = (
    "SELECT COUNT(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def settings(postgres_url: str) -> DatabaseSettings:
    """These are about what SQLite, with one writer in all, does by itself."""
    return DatabaseSettings(url=postgres_url)


@pytest.fixture
async def other(settings: DatabaseSettings, store: Store) -> AsyncIterator[Store]:
    async with open_store(settings) as opened:
        yield opened


def keyed(tx: Transaction) -> None:
    tx.append(Draft(new_event_id(0), "a.b", "{}", 1, "k"))


async def make_ordered(store: Store) -> None:
    new = NewEndpoint("one", ("*",), {}, options=EndpointOptions(ordered=True))
    await store.write(lambda tx: insert_endpoint(tx, "webhook", new))


async def meanwhile(
    first: Store,
    unit: Callable[[Transaction], Any],
    second: Store,
    other: Callable[[Transaction], Any],
) -> None:
    """Let ``other`` begin when ``unit`` is done but not committed; commit that as soon as the other
    one waits for it, or is done as well."""
    done, begun, go_on = trio.Event(), trio.Event(), Event()
    token = trio.lowlevel.current_trio_token()

    def slowly(tx: Transaction) -> None:
        unit(tx)
        token.run_sync_soon(begun.set)
        assert go_on.wait(10)

    async def write_other() -> None:
        await second.write(other)
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first.write, slowly)
        await begun.wait()
        nursery.start_soon(write_other)
        with trio.fail_after(10):
            while not (done.is_set() or await first.read(lambda r: r.sql(WAITING)[0][0])):
                await trio.sleep(0.005)
        go_on.set()


async def test_a_delivery_is_retried_by_hand_on_both(store: Store, other: Store) -> None:
    """It is no longer failed once, not twice."""
    await make_ordered(store)
    await store.write(keyed)
    await store.write(lambda tx: units.cancel_pending(tx, 1))
    await meanwhile(
        store,
        lambda tx: units.retry_delivery(tx, 1),
        other,
        lambda tx: units.retry_delivery(tx, 1),
    )
    found = await store.read(lambda reader: endpoint_stats(reader, "webhook"))
    assert (found.deliveries, found.failed, found.pending) == (1, 0, 1)


async def test_a_head_is_cancelled_while_one_behind_it_is_committed(
    store: Store, other: Store
) -> None:
    """No delivery waits for one that is over."""
    await make_ordered(store)
    await store.write(keyed)
    await meanwhile(store, keyed, other, lambda tx: units.cancel_pending(tx, 1))
    head, behind = [
        await store.read(lambda reader, number=number: units.get_delivery(reader, number))
        for number in (1, 2)
    ]
    assert (head.status, behind.held) == ("failed", False)


async def test_a_head_is_delivered_by_a_node_that_knows_of_no_order_yet(
    store: Store, other: Store
) -> None:
    """It lets the next of its key go, also one that is being committed."""
    await make_ordered(store)
    await store.write(keyed)
    [head] = (
        await other.write(lambda tx: claim_due(tx, [(1, 1)], lease=1, until=tx.now + 60_000_000))
    ).claims
    done = AttemptReport(head, 1, 0.5, "delivered", "success", None, 200, None, None, None)
    await meanwhile(store, keyed, other, lambda tx: units.record_all(tx, [done]))
    [after] = (
        await store.write(lambda tx: claim_due(tx, [(1, 1)], lease=2, until=tx.now + 60_000_000))
    ).claims
    assert after.id == 2


async def test_ended_leases_are_taken_by_one_of_them(store: Store, other: Store) -> None:
    """Who comes second does not take the same, and gets the rest."""
    await store.write(lambda tx: insert_endpoint(tx, "webhook", NewEndpoint("one", ("*",), {})))
    await store.write(
        lambda tx: [tx.append(Draft(new_event_id(0), "a.b", "{}", 1)) for _ in range(4)]
    )
    taken: list[list[int]] = []

    def claim(lease: int, limit: int, until: int) -> Callable[[Transaction], None]:
        def unit(tx: Transaction) -> None:
            found = claim_due(tx, [(1, limit)], lease=lease, until=tx.now + until)
            taken.append([item.id for item in found.claims])

        return unit

    await store.write(claim(1, 4, 0))
    await meanwhile(store, claim(2, 3, 60_000_000), other, claim(3, 4, 60_000_000))
    await other.write(claim(4, 4, 60_000_000))
    assert len(taken[1]) == 3
    assert sorted(taken[1] + taken[2] + taken[3]) == [1, 2, 3, 4]
