"""An endpoint whose wishes cannot be read here: it alone is set aside, and misses nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hookhub.contracts.deliveries import EndpointOptions, NewEndpoint
from hookhub.contracts.errors import Conflict
from hookhub.contracts.events import Draft, new_event_id
from hookhub.store import Store, Transaction
from hookhub.store.units import missed
from hookhub.store.units.deliveries import cancel_pending
from hookhub.store.units.endpoints import (
    insert_endpoint,
    list_endpoints,
    rotate_secret,
    update_endpoint,
)
from hookhub.store.units.replays import list_replays

BROKEN = {
    "filter": ("options", json.dumps({"filter": {"a": {"$newest": 1}}, "concurrency": 3})),
    "options": ("options", json.dumps({"of a later version": 1})),
    "no options": ("options", "{"),
    "event types": ("event_types", "["),
    "types of types": ("event_types", "[5]"),
}


def append(tx: Transaction, *names: str) -> list[int]:
    """Events with these types and ``{"a": 1}``; returns how many deliveries each has."""
    drafts = [Draft(new_event_id(0), name, '{"a": 1}', 1) for name in names]
    return [accepted.deliveries for accepted in tx.append_all(drafts)]


async def make(store: Store, name: str, **options: Any) -> int:
    new = NewEndpoint(name, ("user.*",), {}, secret="s", options=EndpointOptions(**options))
    return (await store.write(lambda tx: insert_endpoint(tx, "webhook", new))).id


async def spoil(store: Store, endpoint: int, kind: str) -> None:
    """As a later version of this program may leave it, or somebody with SQL."""
    column, text = BROKEN[kind]

    def unit(tx: Transaction) -> None:
        tx.endpoints_changed()
        tx.change(f"UPDATE hookhub_endpoints SET {column} = ? WHERE id = ?", (text, endpoint))

    await store.write(unit)


async def missed_after(store: Store) -> dict[int, int]:
    rows = await store.read(
        lambda reader: reader.sql(
            "SELECT id, missed_after FROM hookhub_endpoints WHERE missed_after IS NOT NULL"
        )
    )
    return {row[0]: row[1] for row in rows}


@pytest.mark.parametrize("kind", BROKEN)
async def test_it_stops_nobody_else(store: Store, kind: str) -> None:
    """Events are taken and delivered to the others; it can be seen, changed and deleted."""
    for name in ("before", "broken", "after"):
        await make(store, name)
    await spoil(store, 2, kind)
    assert (await store.write(lambda tx: append(tx, "user.created")))[0] >= 2
    page = await store.read(lambda reader: list_endpoints(reader, "webhook", event_type="user.b"))
    assert {item.name for item in page.items} >= {"before", "after"}
    page = await store.read(lambda reader: list_endpoints(reader, "webhook"))
    found = page.items[1]
    assert found.unreadable is not None
    assert found.unreadable.error == "endpoint_unreadable"
    assert [item.unreadable for item in (page.items[0], page.items[2])] == [None, None]
    if kind == "filter":
        assert "$newest" in found.unreadable.reason
        assert found.options.concurrency == 3
    await store.write(lambda tx: rotate_secret(tx, "webhook", 2, "new", 60.0))
    await store.write(lambda tx: cancel_pending(tx, 2))
    mended = {"options": EndpointOptions(), "event_types": ("user.*",)}
    changed = await store.write(lambda tx: update_endpoint(tx, "webhook", 2, mended))
    assert (changed.unreadable, changed.secrets[0].value) == (None, "new")


async def test_what_it_misses_is_replayed_when_it_is_mended(store: Store) -> None:
    """From the first event that it may have wanted, through what it wants then; once."""
    await make(store, "broken")
    await store.write(lambda tx: append(tx, "user.created"))
    await spoil(store, 1, "filter")
    assert await store.write(lambda tx: append(tx, "ticket.created")) == [0]
    assert await missed_after(store) == {}
    assert await store.write(lambda tx: append(tx, "user.created", "user.created")) == [0, 0]
    await store.write(lambda tx: append(tx, "user.created"))
    assert await missed_after(store) == {1: 2}
    assert await store.read(missed.to_catch_up) == []
    wanted = {"options": EndpointOptions(filter={"a": 1})}
    await store.write(lambda tx: update_endpoint(tx, "webhook", 1, wanted))
    assert await store.read(missed.to_catch_up) == [1]
    await store.write(lambda tx: missed.catch_up(tx, 1))
    assert await missed_after(store) == {}
    await store.write(lambda tx: missed.catch_up(tx, 1))
    [replay] = (await store.read(list_replays)).items
    assert (replay.endpoint_id, replay.only, replay.events) == (1, "never_sent", ("user.*",))
    assert (replay.after, replay.last, replay.gap) == (2, 5, False)
    assert await store.write(lambda tx: append(tx, "user.created")) == [1]


async def test_who_cannot_read_its_types_misses_all(store: Store) -> None:
    """Nobody can say what it wants."""
    await make(store, "broken")
    await spoil(store, 1, "event types")
    await store.write(lambda tx: append(tx, "ticket.created"))
    assert await missed_after(store) == {1: 0}


async def test_what_was_rolled_back_was_not_missed(store: Store) -> None:
    """Only what is committed counts."""
    await make(store, "broken")
    await spoil(store, 1, "filter")

    def refused(tx: Transaction) -> None:
        append(tx, "user.created")
        raise Conflict("No.")

    with pytest.raises(Conflict):
        await store.write(refused)
    await store.write(lambda tx: append(tx, "ticket.created"))
    assert await missed_after(store) == {}


async def test_what_another_node_leaves_out_is_missed(store: Store) -> None:
    """One of an earlier version: it leaves events out again after this one has caught up."""
    await make(store, "of a later version")
    await spoil(store, 1, "filter")
    await store.write(lambda tx: append(tx, "user.created"))
    # What this one had not read anew: the other one.
    await store.write(
        lambda tx: tx.change("UPDATE hookhub_endpoints SET options = '{}', missed_after = NULL")
    )
    await store.write(lambda tx: append(tx, "user.created"))
    assert await missed_after(store) == {1: 1}
    await store.write(lambda tx: missed.catch_up(tx, 1))
    assert await store.write(lambda tx: append(tx, "user.created")) == [1]
