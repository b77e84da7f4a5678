"""Replays at work: in small steps, no faster than the endpoint, through every interruption."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from hookhub.config import DatabaseSettings
from hookhub.contracts.deliveries import NewEndpoint, Replay
from hookhub.contracts.errors import (
    Conflict,
    InvalidCursor,
    NotFound,
    StoreUnavailable,
    ValidationFailed,
)
from hookhub.contracts.events import Cursor, Draft, format_timestamp, new_event_id
from hookhub.delivery.replays import work as replay_work
from hookhub.delivery.replays.service import Replays
from hookhub.feed.ranges import CLOCKS
from hookhub.store import Store, open_store
from hookhub.store.units import replays as units
from hookhub.store.units.audit import audit
from hookhub.store.units.endpoints import delete_endpoint, insert_endpoint

SECOND = 1_000_000


@pytest.fixture
async def store(any_database: str) -> AsyncIterator[Store]:
    async with open_store(DatabaseSettings(url=any_database)) as opened:
        yield opened


@pytest.fixture
async def endpoint(store: Store) -> int:
    """An endpoint that subscribes to everything; made before every event."""
    return await make(store, "one")


async def make(store: Store, name: str, *patterns: str) -> int:
    new = NewEndpoint(name, patterns or ("*",), {})
    return (await store.write(lambda tx: insert_endpoint(tx, "webhook", new))).id


async def send(store: Store, count: int, name: str = "a.b", at: int | None = None) -> None:
    moment = store.clock() if at is None else at
    drafts = [Draft(new_event_id(0), name, "{}", moment) for _ in range(count)]
    await store.write(lambda tx: [tx.append(draft) for draft in drafts])


async def deliver(store: Store) -> None:
    """Everything that is pending is delivered."""
    await store.write(
        lambda tx: [
            tx.change(
                "UPDATE hookhub_endpoints SET success_count = success_count + (SELECT COUNT(*) "
                "FROM hookhub_deliveries d WHERE d.endpoint_id = hookhub_endpoints.id "
                "AND d.status = 0)"
            ),
            tx.change(
                "UPDATE hookhub_deliveries SET status = 1, delivered_at = 1 WHERE status = 0"
            ),
        ]
    )


async def pending(store: Store) -> list[int]:
    """Sequences of what is pending, in the order it was made."""
    rows = await store.read(
        lambda reader: reader.sql(
            "SELECT sequence FROM hookhub_deliveries WHERE status = 0 ORDER BY id"
        )
    )
    return [row[0] for row in rows]


@asynccontextmanager
async def working(store: Store, wake: Callable[[int], None] = id) -> AsyncIterator[Replays]:
    replays = Replays(store, wake, 0.02)
    async with trio.open_nursery() as nursery:
        await nursery.start(replays.run)
        yield replays
        nursery.cancel_scope.cancel()


async def when(replays: Replays, replay_id: int, ready: Callable[[Replay], bool]) -> Replay:
    with trio.fail_after(10):
        while True:
            replay = await replays.get(replay_id)
            if ready(replay):
                return replay
            await trio.sleep(0.005)


async def ended(replays: Replays, replay_id: int) -> Replay:
    return await when(replays, replay_id, lambda replay: replay.state != "running")


async def test_events_are_sent_once_more_in_their_order(store: Store, endpoint: int) -> None:
    """Each is a new delivery; the engine is told; what came of it can be seen."""
    await send(store, 450)
    await deliver(store)
    woken: list[int] = []
    async with working(store, woken.append) as replays:
        replay = await replays.start("webhook", endpoint)
        assert (replay.state, replay.after, replay.last) == ("running", 0, 450)
        await when(replays, replay.id, lambda r: r.done >= 200 and bool(woken))
        assert woken[0] == endpoint
        assert len(await pending(store)) == 200
        await deliver(store)
        await when(replays, replay.id, lambda r: r.done >= 400)
        await deliver(store)
        done = await ended(replays, replay.id)
    assert (done.state, done.total, done.done, done.position) == ("done", 450, 450, 450)
    assert await pending(store) == list(range(401, 451))
    assert replays.statistics() == {"running": 0, "deliveries_total": 450}


async def test_an_endpoint_that_takes_nothing_gets_no_queue(store: Store, endpoint: int) -> None:
    """No step is made while it has too many pending deliveries; the position waits."""
    await send(store, 1_000)
    await deliver(store)
    async with working(store) as replays:
        replay = await replays.start("webhook", endpoint)
        await when(replays, replay.id, lambda r: r.done > 0)
        for _ in range(5):
            await trio.sleep(0.05)
            assert len(await pending(store)) <= replay_work.MAX_PENDING + replay_work.STEP
        assert (await replays.cancel(replay.id)).state == "cancelled"


async def test_what_is_interrupted_goes_on_elsewhere(store: Store, endpoint: int) -> None:
    """The next process, when the lease is over: nothing twice, nothing left out."""
    await send(store, 700)
    await deliver(store)
    async with working(store) as first:
        replay = await first.start("webhook", endpoint)
        await when(first, replay.id, lambda r: r.done > 0)
    await store.write(units.release_replays)
    async with working(store) as second, delivering(store):
        done = await ended(second, replay.id)
    assert (done.state, done.done) == ("done", 700)
    rows = await store.read(
        lambda reader: reader.sql(
            "SELECT sequence, COUNT(*) FROM hookhub_deliveries GROUP BY sequence"
        )
    )
    assert {row[1] for row in rows} == {2}


@asynccontextmanager
async def delivering(store: Store) -> AsyncIterator[None]:
    """Meanwhile, everything is delivered as soon as it is there."""

    async def deliver_all() -> None:
        while True:
            await deliver(store)
            await trio.sleep(0.005)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(deliver_all)
        yield
        nursery.cancel_scope.cancel()


async def test_several_processes_share_the_work(any_database: str, store: Store) -> None:
    """Each event is replayed once, whoever works on what."""
    endpoints = [await make(store, f"number {number}") for number in range(4)]
    await send(store, 150)
    await deliver(store)
    async with open_store(DatabaseSettings(url=any_database)) as other:
        async with working(store) as here, working(other) as there:
            replays = [
                await (here, there)[number % 2].start(None, endpoint)
                for number, endpoint in enumerate(endpoints)
            ]
            for replay in replays:
                assert (await ended(here, replay.id)).done == 150
    assert len(await pending(store)) == 600
    found = await audit(store)
    assert (found.replayed, found.pending) == (600, 600)
    assert set(found.differences) <= {"attempts"}  # They were delivered by hand.


async def test_pausing_and_resuming(store: Store, endpoint: int) -> None:
    """It goes on exactly where it stopped."""
    await send(store, 500)
    await deliver(store)
    async with working(store) as replays:
        replay = await replays.start("webhook", endpoint)
        await when(replays, replay.id, lambda r: r.done > 0)
        await replays.pause(replay.id)
        await deliver(store)
        paused = await replays.get(replay.id)
        await trio.sleep(0.1)
        assert await replays.get(replay.id) == paused
        await replays.resume(replay.id)
        async with delivering(store):
            done = await ended(replays, replay.id)
        assert (done.state, done.done) == ("done", 500)
        with pytest.raises(Conflict):
            await replays.pause(replay.id)


async def test_a_dry_run_counts_exactly_and_stores_nothing(store: Store, endpoint: int) -> None:
    """By range and by type, over as many steps as it takes."""
    await send(store, 30, "user.created")
    await send(store, 20, "ticket.created")
    replays = Replays(store, id, 1.0)
    assert await replays.count("webhook", endpoint) == 50
    assert await replays.count("webhook", endpoint, events=["ticket.*"]) == 20
    cursor = str(Cursor(store.epoch, 10))
    assert await replays.count("webhook", endpoint, since=cursor) == 40
    assert await replays.count("webhook", endpoint, until=cursor) == 10
    assert await replays.count("webhook", endpoint, only="never_sent") == 0
    assert (await replays.list()).total == 0
    assert len(await pending(store)) == 50


async def test_counting_takes_as_many_steps_as_it_needs(
    store: Store, endpoint: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them looks at more than a window."""
    monkeypatch.setattr(replay_work, "WINDOW", 7)
    monkeypatch.setattr(replay_work, "WRITE_EVERY", 2)
    await send(store, 50, "user.created")
    await send(store, 3, "ticket.created")
    await deliver(store)
    replays = Replays(store, id, 1.0)
    assert await replays.count("webhook", endpoint, events=["ticket.*"]) == 3
    async with working(store) as replays:
        replay = await replays.start("webhook", endpoint, events=["ticket.*"])
        done = await ended(replays, replay.id)
    assert (done.total, done.done, done.position) == (3, 3, 53)
    assert await pending(store) == [51, 52, 53]


async def test_times_are_exact_even_where_clocks_disagree(store: Store, endpoint: int) -> None:
    """Events a little out of order are found where they are."""
    moments = [100, 300, 200, 500, 400, 600]
    for moment in moments:
        await send(store, 1, at=moment * SECOND)
    replays = Replays(store, id, 1.0)

    async def counted(since: int, until: int) -> int:
        return await replays.count(
            "webhook",
            endpoint,
            since=format_timestamp(since * SECOND),
            until=format_timestamp(until * SECOND),
        )

    assert await counted(100, 601) == 6
    assert await counted(200, 500) == 3
    assert await counted(201, 300) == 0
    assert await counted(700, 800) == 0
    assert CLOCKS == 60 * SECOND


async def test_a_range_that_begins_before_the_history_says_so(store: Store, endpoint: int) -> None:
    """``gap``: what was asked for is no longer there."""
    await send(store, 4, at=100 * SECOND)
    await send(store, 4, at=900 * SECOND)
    await store.write(
        lambda tx: [
            tx.change("DELETE FROM hookhub_events WHERE sequence <= 2"),
            tx.change("UPDATE hookhub_state SET events_from = 3"),
        ]
    )
    replays = Replays(store, id, 1.0)
    for since, gap, after in (
        (None, False, 2),
        (str(Cursor(store.epoch, 1)), True, 2),
        (str(Cursor(store.epoch, 2)), False, 2),
        (str(Cursor(store.epoch, 5)), False, 5),
        (format_timestamp(50 * SECOND), True, 2),
        (format_timestamp(900 * SECOND), False, 4),
    ):
        replay = await replays.start("webhook", endpoint, since=since)
        assert (replay.gap, replay.after, replay.last) == (gap, after, 8)


async def test_what_makes_no_sense_is_refused(store: Store, endpoint: int) -> None:
    """With the field that is wrong."""
    replays = Replays(store, id, 1.0)
    narrow = await make(store, "narrow", "user.*", "ticket.created")
    cursor = str(Cursor(store.epoch, 1))
    wrong: list[tuple[dict[str, Any], type[Exception], list[str | int]]] = [
        ({"since": "yesterday"}, ValidationFailed, ["since"]),
        ({"until": ""}, ValidationFailed, ["until"]),
        ({"since": "0123456789ab-5"}, InvalidCursor, ["since"]),
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01"}, ValidationFailed, ["until"]),
        ({"since": cursor, "until": str(Cursor(store.epoch, 0))}, ValidationFailed, ["until"]),
        ({"events": ["a.b", "*.x"]}, ValidationFailed, ["events", 1]),
        ({"events": ["payment.*"]}, ValidationFailed, ["events"]),
    ]
    for asked, kind, loc in wrong:
        with pytest.raises(kind) as caught:
            await replays.start("webhook", narrow, **asked)
        assert caught.value.errors[0]["loc"] == loc  # type: ignore[attr-defined]
    for asked in ({"events": ["user.created"]}, {"events": ["*"]}, {"events": ["ticket.*"]}):
        await replays.count("webhook", narrow, **asked)
    for sink, number in (("webhook", 99), ("other", endpoint)):
        with pytest.raises(NotFound):
            await replays.start(sink, number)


async def test_a_deleted_endpoint_ends_it(store: Store, endpoint: int) -> None:
    """As failed, with the reason."""
    await send(store, 10)
    await store.write(lambda tx: delete_endpoint(tx, "webhook", endpoint))
    other = await make(store, "other")
    async with working(store) as replays:
        replay = await replays.start("webhook", other)
        await ended(replays, replay.id)
        await store.write(
            lambda tx: tx.change(
                "UPDATE hookhub_jobs SET state = 'running', lease = 0, position = 0, "
                f"endpoint_id = {endpoint}"
            )
        )
        replays._bell.set()
        failed = await ended(replays, replay.id)
    assert (failed.state, failed.error) == ("failed", "The endpoint was deleted.")


async def test_an_endpoint_deleted_while_it_is_waited_for_ends_it(
    store: Store, endpoint: int
) -> None:
    """Nobody will ever take what is pending for it."""
    await send(store, 1_000)
    async with working(store) as replays:
        replay = await replays.start("webhook", endpoint)
        await when(replays, replay.id, lambda r: r.total is not None)
        await store.write(lambda tx: delete_endpoint(tx, "webhook", endpoint))
        failed = await ended(replays, replay.id)
    assert (failed.state, failed.error) == ("failed", "The endpoint was deleted.")


async def test_a_database_that_fails_for_a_while_is_waited_for(
    store: Store, endpoint: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step is looked up, not made twice."""
    monkeypatch.setattr(replay_work, "PAUSE_MAX", 0.02)
    await send(store, 10)
    await deliver(store)
    write, failures = store.write, iter((True, False))

    async def failing(unit: Any, *, locks: bool = True) -> Any:
        result = await write(unit, locks=locks)
        if getattr(unit, "func", None) is units.step and next(failures, False):
            raise StoreUnavailable("The connection was lost.")
        return result

    monkeypatch.setattr(store, "write", failing)
    async with working(store) as replays:
        replay = await replays.start("webhook", endpoint)
        done = await ended(replays, replay.id)
    assert (done.state, done.done) == ("done", 10)
    assert len(await pending(store)) == 10


async def test_a_bug_ends_the_replay_and_not_the_hub(
    store: Store, endpoint: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown as failed, and can be resumed."""
    await send(store, 10)
    await deliver(store)

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    async with working(store) as replays:
        with monkeypatch.context() as patch:
            patch.setattr(units, "find", broken)
            replay = await replays.start("webhook", endpoint)
            failed = await ended(replays, replay.id)
        assert failed.state == "failed"
        assert failed.error is not None
        assert "RuntimeError" in failed.error
        await replays.resume(replay.id)
        assert (await ended(replays, replay.id)).state == "done"
