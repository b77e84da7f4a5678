"""Who wants what is read anew as far as it has changed, and never believed for longer than that."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hookhub.config import DatabaseSettings
from hookhub.contracts.deliveries import EndpointOptions, NewEndpoint
from hookhub.contracts.events import Draft, new_event_id
from hookhub.store import Store, Transaction, open_store
from hookhub.store.subscriptions import TRUSTED
from hookhub.store.units.claims import next_due
from hookhub.store.units.endpoints import (
    NO_ENDPOINTS,
    changed_endpoints,
    delete_endpoint,
    endpoints_as_of,
    insert_endpoint,
    update_endpoint,
)


@pytest.fixture
async def other(settings: DatabaseSettings, store: Store) -> AsyncIterator[Store]:
    """Another process on the database."""
    async with open_store(settings) as opened:
        yield opened


async def make(store: Store, *patterns: str) -> int:
    new = NewEndpoint("one", patterns or ("*",), {})
    return (await store.write(lambda tx: insert_endpoint(tx, "webhook", new))).id


async def sent(store: Store, name: str = "a.b") -> list[int]:
    """The endpoints that an event goes to."""

    def unit(tx: Transaction) -> list[int]:
        accepted = tx.append(Draft(new_event_id(0), name, "{}", 1))
        rows = tx.sql(
            "SELECT endpoint_id FROM hookhub_deliveries WHERE sequence = ? ORDER BY endpoint_id",
            (accepted.sequence,),
        )
        return [row[0] for row in rows]

    return await store.write(unit)


def spoil(tx: Transaction, endpoint: int) -> None:
    """Change a row behind everybody's back: who reads it finds that it wants something else."""
    tx.change("UPDATE hookhub_endpoints SET event_types = '[\"c.d\"]' WHERE id = ?", (endpoint,))


async def test_what_has_not_changed_is_not_read(store: Store, other: Store) -> None:
    """Neither where the change was made nor on another node."""
    one, two = await make(store), await make(store)
    assert await sent(store) == await sent(other) == [one, two]
    await store.write(lambda tx: spoil(tx, one))
    three = await make(store)
    await store.write(lambda tx: update_endpoint(tx, "webhook", two, {"event_types": ["c.d"]}))
    assert await sent(store) == await sent(other) == [one, three]
    assert await sent(store, "c.d") == await sent(other, "c.d") == [one, two, three]


async def test_who_is_deleted_or_off_gets_nothing(store: Store, other: Store) -> None:
    """Of a type that was asked about before as of one that was not."""
    one, two, three = [await make(store) for _ in range(3)]
    await sent(other)
    await store.write(lambda tx: delete_endpoint(tx, "webhook", one))
    await store.write(lambda tx: update_endpoint(tx, "webhook", two, {"is_active": False}))
    assert await sent(other) == await sent(other, "c.d") == [three]
    await store.write(lambda tx: update_endpoint(tx, "webhook", two, {"is_active": True}))
    assert await sent(other) == [two, three]


async def test_what_was_rolled_back_has_not_changed(store: Store) -> None:
    """What another unit of the group has read of it is forgotten."""
    one = await make(store)
    await sent(store)

    def refused(tx: Transaction) -> None:
        update_endpoint(tx, "webhook", one, {"event_types": ["c.d"]})
        tx.append(Draft(new_event_id(0), "a.b", "{}", 1))
        raise KeyError("no")

    with pytest.raises(KeyError):
        await store.write(refused)
    assert await sent(store) == [one]


async def test_what_is_known_for_long_is_read_as_a_whole(settings: DatabaseSettings) -> None:
    """The row of an endpoint that was deleted meanwhile may be gone by then."""
    now = [1_000_000]
    async with open_store(settings, clock=lambda: now[0]) as store:
        one, two = await make(store), await make(store)
        assert await sent(store) == [one, two]
        await store.write(lambda tx: spoil(tx, one))
        await store.write(lambda tx: tx.endpoints_changed(two))
        assert await sent(store) == [one, two]
        now[0] += TRUSTED
        await store.write(lambda tx: tx.endpoints_changed(two))
        assert await sent(store) == [two]


async def test_the_engine_reads_what_changed(store: Store) -> None:
    """Deleted ones included."""
    one, two, three = [await make(store) for _ in range(3)]
    before = await store.read(endpoints_as_of)
    found = await store.read(lambda reader: changed_endpoints(reader, NO_ENDPOINTS))
    assert found.keys() == {one, two, three}
    options = {"options": EndpointOptions(rate_limit=5)}
    await store.write(lambda tx: update_endpoint(tx, "webhook", two, options))
    await store.write(lambda tx: delete_endpoint(tx, "webhook", three))
    found = await store.read(lambda reader: changed_endpoints(reader, before))
    assert found.keys() == {two, three}
    assert found[two] is not None
    assert found[three] is None
    assert await store.read(endpoints_as_of) != before


async def test_what_is_due_is_told_for_all_at_once(store: Store) -> None:
    """Of those for which something waits; the others are not named."""
    one = await make(store, "a.*")
    await make(store, "c.*")
    three = await make(store, "a.*")
    assert await store.read(next_due) == {}
    await sent(store)
    await store.write(
        lambda tx: tx.change("UPDATE hookhub_deliveries SET due_at = endpoint_id * 10")
    )
    await sent(store)
    assert await store.read(next_due) == {one: 10 * one, three: 10 * three}
    await store.write(
        lambda tx: tx.change(
            "UPDATE hookhub_deliveries SET due_at = 7, lease = 1 WHERE endpoint_id = ?", (three,)
        )
    )
    assert (await store.read(next_due))[three] == 7
