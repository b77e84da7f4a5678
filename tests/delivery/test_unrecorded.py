"""A database that takes nothing for a while: what came of attempts is kept until it does."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
import trio.testing
from trio.testing import MockClock

from hookhub.config import DatabaseSettings
from hookhub.contracts.deliveries import Claim
from hookhub.contracts.errors import StoreUnavailable
from hookhub.contracts.events import Event
from hookhub.delivery.leases import Leases
from hookhub.delivery.nodes import Nodes
from hookhub.delivery.recording import KEPT_BYTES, LAST_WORDS, SUSPICIOUS, Recorder
from hookhub.store import Store, Transaction, open_store
from hookhub.store.units.claims import claim_due
from hookhub.store.units.deliveries import AttemptReport, Recorded, record_all
from hookhub.testing.serving import sqlite_url
from support.scripted import (
    Scripted,
    all_delivered,
    counts,
    make_endpoint,
    nothing_owned,
    running,
    send,
    send_more,
    until,
)

FAST = 50.0
"""Seconds of Trio's clock in one real second."""
LONG = 60.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store that soon gives up waiting for a lock."""
    settings = DatabaseSettings(url=sqlite_url(tmp_path), timeout=0.01)
    async with open_store(settings) as opened:
        yield opened


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Another program is writing and does not come to an end."""
    with contextlib.closing(sqlite3.connect(directory / "hookhub.db", timeout=10)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.rollback()


async def test_a_record_outlives_a_long_failure(
    store: Store, tmp_path: Path, mock_clock: MockClock
) -> None:
    """However long: it is written when the database takes it, and the attempt is not repeated."""
    mock_clock.rate = FAST
    sink = Scripted()
    sink.gate = trio.Event()
    async with running(store, sink) as engine:
        await send(store)
        await sink.entered.wait()
        with locked(tmp_path):
            sink.gate.set()
            await until(lambda: engine.statistics()["unrecorded"] == 1, 1000)
            await trio.sleep(LONG)
            assert engine.statistics()["unrecorded"] == 1
            assert engine.check() is not None
        with trio.fail_after(1000):
            while await counts(store) != {1: 1}:
                await trio.sleep(0.1)
        assert engine.statistics()["unrecorded_total"] == 0
    assert len(sink.attempts) == 1


async def test_nothing_is_begun_that_cannot_be_written_down(
    store: Store, tmp_path: Path, mock_clock: MockClock
) -> None:
    """What is claimed waits, so that a kill meanwhile makes no more duplicates than it must."""
    mock_clock.rate = FAST
    sink = Scripted()
    sink.gate = trio.Event()
    async with running(store, sink, concurrency=1) as engine:
        await send(store)
        await sink.entered.wait()
        await send_more(store, 2)
        with locked(tmp_path):
            sink.gate.set()
            await until(lambda: engine.statistics()["unrecorded"] == 1, 1000)
            await trio.sleep(LONG)
            assert len(sink.attempts) == 1
        with trio.fail_after(1000):
            while await counts(store) != {1: 3}:
                await trio.sleep(0.1)
    assert len(sink.attempts) == 3


async def test_a_stop_waits_for_records_and_not_for_ever(store: Store, tmp_path: Path) -> None:
    """Within the time that the caller gives; then a last moment, and the lease does the rest."""
    sink = Scripted()
    sink.gate = trio.Event()
    with locked_later(tmp_path) as lock:
        async with running(store, sink) as engine:
            await send(store)
            await sink.entered.wait()
            lock()
            sink.gate.set()
            await until(lambda: engine.statistics()["unrecorded"] == 1)
            with trio.move_on_after(0.3) as grace:
                await engine.stop()
            assert grace.cancelled_caught
            began = trio.current_time()
        assert LAST_WORDS - 0.1 < trio.current_time() - began < 4 * LAST_WORDS
    # Written by nobody: the delivery is as it was.
    assert await counts(store) == {0: 1}


async def test_a_record_is_written_when_the_stop_is_cut_short(store: Store) -> None:
    """Cancelled while it is written: the attempt was made, so it is written all the same."""
    sink = Scripted()
    sink.gate = trio.Event()
    async with running(store, sink):
        await send(store)
        await sink.entered.wait()
        sink.gate.set()
        await trio.testing.wait_all_tasks_blocked()
    await all_delivered(store, 1)


@contextlib.contextmanager
def locked_later(directory: Path) -> Iterator[object]:
    """As :func:`locked`, from the call of what it gives on."""
    with contextlib.closing(sqlite3.connect(directory / "hookhub.db", timeout=10)) as connection:
        yield lambda: connection.execute("BEGIN IMMEDIATE")
        connection.rollback()


@contextlib.asynccontextmanager
async def recording(recorder: Recorder) -> AsyncIterator[Recorder]:
    """It runs, and is closed when nobody records any more."""
    async with trio.open_nursery() as around:
        await around.start(recorder.run)
        try:
            yield recorder
        finally:
            recorder.close()


def record(number: int, body: str | None = None) -> AttemptReport:
    claim = Claim(number, 1, 0, 0, 1, 10**18, Event(number, f"e{number}", "a.b", "{}", 0))
    return AttemptReport(claim, 1, 0.5, "delivered", "success", None, 200, body, None, None)


async def test_one_that_the_database_never_takes_does_not_hold_up_the_rest(
    store: Store, mock_clock: MockClock
) -> None:
    """If it takes everything else, the record is at fault: that one alone is given up."""
    mock_clock.rate = FAST
    written: list[int] = []

    def write(tx: Transaction, items: Sequence[AttemptReport]) -> list[Recorded]:
        if any(item.claim.id == 2 for item in items):
            tx.sql("SELECT nothing FROM nowhere")
        written.extend(item.claim.id for item in items)
        return [Recorded(True, False) for _ in items]

    recorder = Recorder(store, write)
    results: dict[int, Recorded | None] = {}

    async def one(number: int) -> None:
        results[number] = await recorder.record(record(number))

    with trio.fail_after(100 * SUSPICIOUS), structlog.testing.capture_logs() as said:
        async with recording(recorder), trio.open_nursery() as nursery:
            for number in (1, 2, 3):
                nursery.start_soon(one, number)
    assert sorted(written) == [1, 3]
    assert results == {1: Recorded(True, False), 2: None, 3: Recorded(True, False)}
    assert recorder.failing is None
    assert [line["delivery_id"] for line in said if line["event"] == "delivery.unrecorded"] == [2]


async def test_what_was_written_without_being_told_is_not_written_twice(store: Store) -> None:
    """A connection may break between the commit and the news of it."""
    told = iter([False])

    class Breaking(Store):
        async def write(self, unit: Any, *, locks: bool = True) -> Any:
            done = await store.write(unit, locks=locks)
            if not next(told, True):
                raise StoreUnavailable("The connection broke.")
            return done

    async with recording(Recorder(Breaking(store.settings), record_all)) as recorder:
        assert await recorder.record(record(1)) == Recorded(True, False)
    rows = await store.read(lambda reader: reader.sql("SELECT number FROM hookhub_attempts"))
    assert rows == [(1,)]


async def test_what_could_not_be_given_back_is_given_back_later(
    store: Store, tmp_path: Path
) -> None:
    """As soon as the database takes it, and not at the end of its lease; also when it is asked for
    twice at once."""
    leases = Leases(store, Nodes(store, nothing_owned(), lambda: None, lambda: None), 65.0)
    await make_endpoint(store)
    await send_more(store, 2)
    number, end = leases.new(store.clock())
    found = await store.write(lambda tx: claim_due(tx, [(1, 2)], lease=number, until=end))
    with locked(tmp_path):
        await leases.give_back(found.claims)
        with pytest.raises(StoreUnavailable):
            await leases.settle()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leases.settle)
        nursery.start_soon(leases.settle)
    free = "SELECT COUNT(*) FROM hookhub_deliveries WHERE lease IS NULL"
    assert await store.read(lambda reader: reader.sql(free)) == [(2,)]
    assert not await leases.settle()


async def test_kept_answers_are_bounded(store: Store) -> None:
    """Beyond that, what came of an attempt is kept without what was answered."""
    bodies: dict[int, str | None] = {}
    begun, go_on = trio.Event(), trio.Event()

    def write(tx: Transaction, items: Sequence[AttemptReport]) -> list[Recorded]:
        trio.from_thread.run_sync(begun.set, trio_token=token)
        trio.from_thread.run(go_on.wait, trio_token=token)
        bodies.update({item.claim.id: item.response_body for item in items})
        return [Recorded(True, False) for _ in items]

    token = trio.lowlevel.current_trio_token()
    recorder = Recorder(store, write)
    body = "x" * (KEPT_BYTES // 2)
    async with recording(recorder):
        async with trio.open_nursery() as nursery:
            for number in (1, 2, 3):
                nursery.start_soon(recorder.record, record(number, body))
            await begun.wait()
            assert recorder.waiting == 3
            go_on.set()
        assert recorder.waiting == 0
    assert sorted(len(body or "") for body in bodies.values()) == [0, *[KEPT_BYTES // 2] * 2]
