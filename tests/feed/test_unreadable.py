"""A stored event that cannot be encoded costs itself: nobody else, and no reader's place."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest
import trio
from structlog.testing import capture_logs

from hookhub.config import DatabaseSettings, LiveSettings
from hookhub.contracts.errors import ValidationFailed
from hookhub.contracts.events import Cursor, Draft, new_event_id
from hookhub.contracts.sinks import Entry, QueuedLiveSink
from hookhub.contracts.timestamps import EARLIEST, LATEST
from hookhub.feed import Broadcaster, Feed
from hookhub.feed.selection import everything
from hookhub.filters import compile_filter
from hookhub.hub import Hub
from hookhub.store import Store, Transaction, open_store
from hookhub.testing.waiting import wait_until_async

USER = {"user_id": 1}


@pytest.fixture
def hub_database(any_database: str) -> str:
    """Everything here holds on SQLite and on PostgreSQL."""
    return any_database


@pytest.fixture
async def store(any_database: str) -> AsyncIterator[Store]:
    async with open_store(DatabaseSettings(url=any_database)) as opened:
        yield opened


async def plant(store: Store, id: str) -> None:
    """What another program, or an earlier version of this one, has stored unchecked."""

    def unit(tx: Transaction) -> None:
        tx.sql("UPDATE hookhub_state SET last_sequence = last_sequence + 1")
        tx.sql(
            "INSERT INTO hookhub_events (sequence, id, type, payload, timestamp, deliveries) "
            "SELECT last_sequence, ?, 'user.created', '{}', ?, 0 FROM hookhub_state",
            (id, time.time_ns()),
        )

    await store.write(unit)


async def send(store: Store) -> None:
    draft = Draft(new_event_id(0), "user.created", "{}", 1)
    await store.write(lambda tx: tx.append(draft))


class Keeper(QueuedLiveSink):
    """Keeps the frames."""

    name = "keeper"

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[bytes] = []

    async def deliver(self, entries: Sequence[Entry]) -> None:
        self.frames += [entry.frame for entry in entries]


async def test_a_timestamp_that_is_none_is_refused(hub: Hub) -> None:
    """Before the commit, on every way in, with what it should be."""
    good = hub.draft("user.created", USER, timestamp=LATEST)
    for moment in (EARLIEST - 1, LATEST + 1, time.time_ns(), 2**70):
        with pytest.raises(ValidationFailed, match=r"time.time_ns\(\) // 1000") as caught:
            hub.draft("user.created", USER, timestamp=moment)
        assert caught.value.errors[0]["loc"] == ["timestamp"]
        for own_id in (False, True):
            bad = good._replace(timestamp=moment, id="own", own_id=own_id)
            with pytest.raises(ValidationFailed, match="years 1 to 9999"):
                await hub.accept([good, bad])
    assert hub.feed.last == 0
    assert (await hub.accept([good]))[0].sequence == 1


async def test_readers_pass_over_it(store: Store) -> None:
    """In the history as in the ring; one line in the log names it."""
    await send(store)
    await plant(store, "evt_old")
    feed = Feed(store, LiveSettings())
    await feed.open()
    broadcaster = Broadcaster(store, feed, [keeper := Keeper()], 0.01)
    store.on_commit(broadcaster.committed)
    await send(store)
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            await nursery.start(broadcaster.run)
            await nursery.start(keeper.run)
            await plant(store, "evt_new")
            await feed.wait(Cursor(feed.epoch, 3))
            await send(store)
            await wait_until_async(lambda: has(keeper, 2))
            nursery.cancel_scope.cancel()
        for _ in range(3):
            part = await feed.read(Cursor(feed.epoch, 0), everything)
            assert [entry.event.sequence for entry in part.entries] == [1, 3, 5]
            assert part.position == Cursor(feed.epoch, 5)
            part = await feed.read(Cursor(feed.epoch, 2), everything)
            assert [entry.event.sequence for entry in part.entries] == [3, 5]
    named = [line["id"] for line in logs if line["event"] == "event.unreadable"]
    assert sorted(named) == ["evt_new", "evt_old"]


async def has(keeper: Keeper, count: int) -> bool:
    return len(keeper.frames) >= count


async def test_it_is_missing_from_pages_alone(hub: Hub, api: httpx.AsyncClient) -> None:
    """GET /events answers with the others; asked for by its id, it is told apart from none."""
    await hub.emit("user.created", USER)
    await plant(hub.store, "evt_bad")
    await hub.emit("user.created", USER)
    await hub.feed.wait(Cursor(hub.feed.epoch, 2))
    page = (await api.get("/events")).json()
    assert [item["sequence"] for item in page["items"]] == [1, 3]
    assert (page["has_more"], page["cursor"]) == (False, str(hub.feed.cursor()))
    newest = (await api.get("/events", params={"newest": "true"})).json()
    assert [item["sequence"] for item in newest["items"]] == [1, 3]
    answer = await api.get("/events/evt_bad")
    assert (answer.status_code, answer.json()["code"]) == (404, "unreadable_event")


@pytest.mark.parametrize(
    "damage",
    [
        "payload = CAST(x'7b2261223a22ff227d' AS TEXT)",
        "source = CAST(x'ff' AS TEXT)",
        "key = CAST(x'ff' AS TEXT)",
        "type = x'ff41'",
        "payload = 'not json'",
        "payload = '[1]'",
        "payload = '{\"a\":' || char(10) || '1}'",
    ],
)
async def test_a_row_that_another_program_spoilt_costs_itself(tmp_path: Path, damage: str) -> None:
    """With a condition on the payload and without; SQLite keeps whatever bytes it is given."""
    async with open_store(DatabaseSettings(url=f"sqlite:///{tmp_path}/hub.db")) as store:
        for _ in range(3):
            await send(store)
        await store.write(
            lambda tx: tx.sql(f"UPDATE hookhub_events SET {damage} WHERE sequence = 2")
        )
        feed = Feed(store, LiveSettings())
        await feed.open()
        where = compile_filter({"absent": {"$exists": False}})
        with capture_logs() as logs:
            for match in (everything, feed.select({"*": where})):
                part = await feed.read(Cursor(feed.epoch, 0), match)
                assert [entry.event.sequence for entry in part.entries] == [1, 3]
                assert all(json.loads(entry.frame) for entry in part.entries)
        assert [line["event"] for line in logs] == ["event.unreadable"]


async def test_a_condition_on_no_json_passes_it_over(store: Store) -> None:
    """On every database; what only looks like an object as well."""
    for _ in range(3):
        await send(store)
    await store.write(
        lambda tx: tx.sql("UPDATE hookhub_events SET payload = '{no}' WHERE sequence = 2")
    )
    feed = Feed(store, LiveSettings())
    await feed.open()
    match = feed.select({"*": compile_filter({"absent": {"$exists": False}})})
    part = await feed.read(Cursor(feed.epoch, 0), match)
    assert [entry.event.sequence for entry in part.entries] == [1, 3]
