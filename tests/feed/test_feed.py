"""The feed: one cursor over ring and store, no gap, no repeat, an explicit verdict."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from hookhub.config import DatabaseSettings, LiveSettings
from hookhub.contracts.events import Cursor, Draft, new_event_id
from hookhub.contracts.sinks import Entry, LiveSink
from hookhub.feed import Broadcaster, Feed
from hookhub.feed.selection import everything
from hookhub.store import Store, open_store
from hookhub.store.units.events import read_events

ALL = everything


@pytest.fixture
async def store(any_database: str) -> AsyncIterator[Store]:
    async with open_store(DatabaseSettings(url=any_database)) as opened:
        yield opened


async def send(store: Store, count: int = 1, name: str = "user.created") -> None:
    drafts = [Draft(new_event_id(0), name, "{}", 1) for _ in range(count)]
    await store.write(lambda tx: [tx.append(draft) for draft in drafts])


async def connected(store: Store, ring: int = 100, *sinks: LiveSink) -> tuple[Feed, Broadcaster]:
    feed = Feed(store, LiveSettings(ring_events=ring))
    await feed.open()
    broadcaster = Broadcaster(store, feed, sinks, 0.05)
    store.on_commit(broadcaster.committed)
    return feed, broadcaster


async def read_all(feed: Feed, after: int, *patterns: str, limit: int = 7) -> list[int]:
    match = feed.select(dict.fromkeys(patterns or ["*"], None))
    found: list[int] = []
    while after < feed.last:
        part = await feed.read(Cursor(feed.epoch, after), match, limit)
        found += [entry.event.sequence for entry in part.entries]
        assert part.position.sequence > after
        after = part.position.sequence
    return found


class Recorder(LiveSink):
    """Notes what it is offered."""

    name = "recorder"

    def __init__(self) -> None:
        self.seen: list[int] = []

    def publish(self, entries: list[Entry]) -> None:  # type: ignore[override]
        self.seen += [entry.event.sequence for entry in entries]


class Broken(LiveSink):
    """Fails at every offer."""

    name = "broken"

    def publish(self, entries: object) -> None:
        raise RuntimeError("broken")


async def test_history_reads_from_store_and_ring_alike(store: Store) -> None:
    """Whatever the ring still holds, a reader gets every event once and in order."""
    await send(store, 20)
    feed, _ = await connected(store, 5)
    await send(store, 30)
    assert await read_all(feed, 0) == list(range(1, 51))
    assert await read_all(feed, 47) == [48, 49, 50]


async def test_reading_filters_and_moves_on(store: Store) -> None:
    """The position advances over events that do not match."""
    feed, _ = await connected(store)
    for name in ("user.created", "ticket.created", "user.changed", "ticket.created"):
        await send(store, 1, name)
    assert await read_all(feed, 0, "user.*") == [1, 3]
    part = await feed.read(Cursor(feed.epoch, 3), feed.select({"user.*": None}), 10)
    assert (part.entries, part.position, part.gap) == ([], Cursor(feed.epoch, 4), None)


async def test_waiting_ends_with_the_next_event(store: Store) -> None:
    """And at once if there is something newer already."""
    feed, _ = await connected(store)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.wait, Cursor(feed.epoch, 0))
        await trio.testing.wait_all_tasks_blocked()
        await send(store)
    await feed.wait(Cursor(feed.epoch, 0))


async def test_a_cursor_resumes_or_tells_of_the_gap(store: Store) -> None:
    """Explicit in every case."""
    feed, _ = await connected(store)
    await send(store, 10)
    assert await feed.resume(Cursor(feed.epoch, 4)) == (Cursor(feed.epoch, 4), None)
    assert await feed.resume(feed.cursor()) == (Cursor(feed.epoch, 10), None)
    assert await feed.resume(Cursor("other", 4)) == (
        Cursor(feed.epoch, 10),
        (None, Cursor(feed.epoch, 10)),
    )
    assert await feed.resume(Cursor(feed.epoch, 11)) == (
        Cursor(feed.epoch, 10),
        (None, Cursor(feed.epoch, 10)),
    )
    await store.write(lambda tx: tx.change("DELETE FROM hookhub_events WHERE sequence <= 6"))
    assert await feed.resume(Cursor(feed.epoch, 4)) == (
        Cursor(feed.epoch, 6),
        (2, Cursor(feed.epoch, 6)),
    )
    assert await feed.resume(Cursor(feed.epoch, 6)) == (Cursor(feed.epoch, 6), None)
    await store.write(lambda tx: tx.change("DELETE FROM hookhub_events"))
    assert await feed.resume(Cursor(feed.epoch, 7)) == (
        Cursor(feed.epoch, 10),
        (3, Cursor(feed.epoch, 10)),
    )


async def test_reading_what_retention_deleted_goes_on_with_what_is_there(store: Store) -> None:
    """A reader in the middle of deleted history does not stand still."""
    feed, _ = await connected(store, 2)
    await send(store, 10)
    await store.write(lambda tx: tx.change("DELETE FROM hookhub_events WHERE sequence <= 8"))
    assert await read_all(feed, 0) == [9, 10]
    assert (await feed.read(Cursor(feed.epoch, 3), ALL)).gap == (5, Cursor(feed.epoch, 8))
    assert (await feed.read(Cursor(feed.epoch, 8), ALL)).gap is None


async def test_the_frame_is_what_the_original_sent_and_more(store: Store) -> None:
    """Type, payload and timestamp first; id, sequence and cursor added."""
    feed, _ = await connected(store)
    payload = '{"a": "\\u00e9", "b": [1, 2.5, null]}'
    await store.write(
        lambda tx: tx.append(Draft("own-1", "user.created", payload, 0, 'k"1', "shop"))
    )
    [entry] = (await feed.read(Cursor(feed.epoch, 0), ALL)).entries
    assert entry.frame.decode() == (
        '{"type": "user.created", "payload": ' + payload + ", "
        '"timestamp": "1970-01-01T00:00:00.000000Z", "id": "own-1", "sequence": 1, '
        f'"cursor": "{feed.epoch}-1", "key": "k\\"1", "source": "shop"}}'
    )


async def test_a_broken_sink_disturbs_nobody(store: Store) -> None:
    """It is named in the log and counted; the others see everything."""
    recorder = Recorder()
    feed, broadcaster = await connected(store, 100, Broken(), recorder)
    await send(store, 3)
    assert recorder.seen == [1, 2, 3]
    assert broadcaster.statistics()["sink_errors_total"] == 1
    assert feed.last == 3


async def test_events_of_another_process_come_in_their_place(store: Store) -> None:
    """Two writers on one database: each side sees all events once, in order of sequence."""
    recorders = Recorder(), Recorder()
    async with open_store(store.settings) as other, trio.open_nursery() as nursery:
        for side, recorder in zip((store, other), recorders, strict=True):
            _, broadcaster = await connected(side, 100, recorder)
            await nursery.start(broadcaster.run)
        async with trio.open_nursery() as senders:
            for side in (store, other):
                for _ in range(10):
                    senders.start_soon(send, side, 3)
        with trio.fail_after(10):
            while any(len(recorder.seen) < 60 for recorder in recorders):
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert recorders[0].seen == recorders[1].seen == list(range(1, 61))


async def test_recent_is_what_memory_holds(store: Store) -> None:
    """Without waiting: in order, up to a number; None if it does not reach back."""
    feed, _ = await connected(store, 5)
    assert feed.recent(0, 10) is None, "nothing was published yet"
    await send(store, 8)
    found = feed.recent(4, 3)
    assert found is not None
    assert [entry.event.sequence for entry in found] == [5, 6, 7]
    assert feed.recent(3, 10) is not None
    assert feed.recent(2, 10) is None
    assert feed.recent(8, 10) == []


async def test_a_hole_in_what_was_published(store: Store) -> None:
    """Another process's events that were deleted before this one saw them are a gap, no mix-up."""
    await send(store, 9)
    feed = Feed(store, LiveSettings())
    events = await store.read(lambda reader: read_events(reader, 0, 9))
    feed.publish(feed.entries(events[:3]))
    await store.write(lambda tx: tx.change("DELETE FROM hookhub_events WHERE sequence <= 6"))
    feed.publish(feed.entries(events[6:]))
    part = await feed.read(Cursor(feed.epoch, 1), ALL)
    assert [entry.event.sequence for entry in part.entries] == [7, 8, 9]
    assert (part.position, part.gap) == (Cursor(feed.epoch, 9), (5, Cursor(feed.epoch, 6)))
    assert await read_all(feed, 7) == [8, 9]
