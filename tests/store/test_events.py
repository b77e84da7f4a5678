"""Accepting events: idempotency, the outbox table, history."""

from __future__ import annotations

import pytest

from hookhub.config import DatabaseSettings
from hookhub.contracts.errors import IdempotencyMismatch, NotFound, UnknownEventType
from hookhub.contracts.events import Accepted, Draft, new_event_id
from hookhub.store import Store, open_store
from hookhub.store.units.events import (
    OutboxItem,
    accept,
    get_event,
    history_bounds,
    outbox_waiting,
    read_events,
    relay_outbox,
)


def draft(payload: str = '{"a": 1}', event_id: str | None = None) -> Draft:
    own = event_id is not None
    return Draft(event_id or new_event_id(0), "user.created", payload, 1, "k", "s", own)


async def accepted(store: Store, *drafts: Draft, key: str | None = None) -> list[Accepted]:
    return await store.write(lambda tx: accept(tx, drafts, key))


async def test_an_event_reads_back_as_it_was(store: Store) -> None:
    """Every column comes back; the payload to the letter."""
    payload = '{"\\u00e9": "\\ud83d\\ude00", "n": 12345678901234567890, "z": "\\u0000"}'
    [first] = await accepted(store, draft(payload))
    event = await store.read(lambda reader: get_event(reader, first.id))
    assert event[2:] == ("user.created", payload, 1, "k", "s")
    with pytest.raises(NotFound):
        await store.read(lambda reader: get_event(reader, "evt_nothing"))


async def test_a_repeat_with_a_key_gets_the_first_answer(store: Store) -> None:
    """The same key and body: the same answer, no second event."""
    first = await accepted(store, draft(), draft(), key="k1")
    again = await accepted(store, draft(), draft(), key="k1")
    assert [item.id for item in again] == [item.id for item in first]
    assert all(item.repeated for item in again)
    assert await store.read(history_bounds) == (1, 2)


@pytest.mark.parametrize("other", [[draft('{"a": 2}')], [draft(), draft()], [draft(event_id="x")]])
async def test_a_key_with_another_body_is_refused(store: Store, other: list[Draft]) -> None:
    """And nothing is stored."""
    await accepted(store, draft(), key="k1")
    with pytest.raises(IdempotencyMismatch):
        await accepted(store, *other, key="k1")
    assert await store.read(history_bounds) == (1, 1)


async def test_a_repeat_with_an_own_id_gets_the_first_answer(store: Store) -> None:
    """Within one batch, and later."""
    first, same = await accepted(store, draft(event_id="order-1"), draft(event_id="order-1"))
    [later] = await accepted(store, draft(event_id="order-1"))
    assert first.sequence == same.sequence == later.sequence == 1
    assert (first.repeated, same.repeated, later.repeated) == (False, True, True)
    with pytest.raises(IdempotencyMismatch, match="order-1"):
        await accepted(store, draft('{"a": 2}', event_id="order-1"))


async def test_history_pages(store: Store) -> None:
    """Events after a sequence, in order, as many as asked for."""
    await accepted(store, *[draft() for _ in range(5)])
    page = await store.read(lambda reader: read_events(reader, 1, 3))
    assert [event.sequence for event in page] == [2, 3, 4]


async def test_the_outbox_becomes_events_and_bad_rows_stay(store: Store) -> None:
    """Good rows become events in order; a bad one keeps its reason and holds back nobody."""

    def insert(payload: str, event_id: str | None = None) -> None:
        rows.append({"type": "user.created", "payload": payload, "event_id": event_id})

    rows: list[dict[str, object]] = []
    insert("1")
    insert("bad")
    insert("2", "own")
    insert("2", "own")
    await store.write(lambda tx: [tx.insert("hookhub_outbox", row) for row in rows])

    def make(row: OutboxItem) -> Draft:
        if row.payload == "bad":
            raise UnknownEventType("No such type.", errors=[{"loc": ["type"], "msg": "unknown"}])
        return draft(row.payload, row.event_id)

    assert await store.read(outbox_waiting)
    taken, rejected = await store.write(lambda tx: relay_outbox(tx, make))
    assert (taken, rejected) == (3, [(2, "No such type. (type: unknown)")])
    assert not await store.read(outbox_waiting)
    left = await store.read(lambda reader: reader.sql("SELECT id, error FROM hookhub_outbox"))
    assert left == [(2, "No such type. (type: unknown)")]
    events = await store.read(lambda reader: read_events(reader, 0, 9))
    assert [event.payload for event in events] == ["1", "2"]


async def test_outbox_rows_that_are_no_text_hold_back_nobody(any_database: str) -> None:
    """SQLite takes any bytes: such a row is rejected with its reason, the others go on."""
    async with open_store(DatabaseSettings(url=any_database)) as store:
        if not await store.read(lambda reader: reader.is_sqlite):
            pytest.skip("PostgreSQL itself refuses such rows")
        bad = ("x'ff'", "CAST(x'7b22ff7d' AS TEXT)")
        for payload in (*bad, "'{}'"):
            await store.write(
                lambda tx, payload=payload: tx.sql(
                    f"INSERT INTO hookhub_outbox (type, payload) VALUES ('user.created', {payload})"
                )
            )
        taken, rejected = await store.write(
            lambda tx: relay_outbox(tx, lambda item: draft(item.payload))
        )
        assert taken == 1
        assert [row_id for row_id, _ in rejected] == [1, 2]
        assert all("cannot be read" in reason for _, reason in rejected)
