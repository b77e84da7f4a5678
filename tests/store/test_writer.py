"""The writer: units of work, group commit, cancellation, failures."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable

import peewee
import pytest
import structlog
import trio
import trio.testing

from hookhub.config import DatabaseSettings
from hookhub.contracts.deliveries import NewEndpoint
from hookhub.contracts.errors import Conflict, StatementRefused, StoreUnavailable
from hookhub.contracts.events import Accepted, Draft, Event, new_event_id
from hookhub.store import NewDelivery, Store, Transaction, open_store
from hookhub.store.units.endpoints import insert_endpoint
from support.grouped import hold_writer, together


def draft(name: str = "user.created", event_id: str | None = None) -> Draft:
    own = event_id is not None
    return Draft(event_id or new_event_id(0), name, '{"a": 1}', 1_000_000, None, None, own)


def append(tx: Transaction) -> Accepted:
    return tx.append(draft())


def refuse(tx: Transaction) -> None:
    tx.append(draft())
    raise Conflict("No.")


async def count(store: Store) -> int:
    rows = await store.read(lambda reader: reader.sql("SELECT COUNT(*) FROM hookhub_events"))
    found: int = rows[0][0]
    return found


async def test_sequences_follow_commit_order_without_gaps(store: Store) -> None:
    """Sequences are 1, 2, 3 … in the order in which commits are announced."""
    seen: list[Event] = []
    store.on_commit(lambda events, deliveries: seen.extend(events))
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(store.write, append)
    assert [event.sequence for event in seen] == list(range(1, 51))
    assert await count(store) == 50


async def test_units_that_wait_share_a_commit(store: Store) -> None:
    """Units that queue up while the writer is busy are committed together."""
    before = store.statistics()["commits_total"]
    outcomes = await together(store, *[append] * 20)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert store.statistics()["commits_total"] - before == 2


async def test_a_unit_that_raises_is_rolled_back_alone(store: Store) -> None:
    """In a group, the failed unit leaves nothing behind and takes nobody along."""
    seen: list[Event] = []
    store.on_commit(lambda events, deliveries: seen.extend(events))
    first, failed, last = await together(store, append, refuse, append)
    assert isinstance(first, Accepted)
    assert isinstance(failed, Conflict)
    assert isinstance(last, Accepted)
    assert (first.sequence, last.sequence) == (1, 2)
    assert [event.id for event in seen] == [first.id, last.id]
    assert await count(store) == 2


async def test_only_a_group_in_which_a_unit_raises_runs_twice(store: Store) -> None:
    """The usual group runs once and without savepoints; what it appends goes in together."""
    runs: list[str] = []

    def unit(name: str) -> Callable[[Transaction], Accepted]:
        def run(tx: Transaction) -> Accepted:
            runs.append(name)
            return tx.append(draft())

        return run

    await together(store, unit("a"), unit("b"))
    assert runs == ["a", "b"]
    await together(store, unit("c"), refuse, unit("d"))
    assert runs == ["a", "b", "c", "c", "d"]
    assert await count(store) == 4


async def test_an_id_taken_twice_in_a_group_fails_alone(store: Store) -> None:
    """What the database refuses is refused to its own unit, though rows go in together."""
    twin = draft(event_id="twin")
    first, second, last = await together(
        store, lambda tx: tx.append(twin), lambda tx: tx.append(twin), append
    )
    assert isinstance(first, Accepted)
    assert isinstance(second, peewee.IntegrityError)
    assert isinstance(last, Accepted)
    assert (first.sequence, last.sequence) == (1, 2)
    assert await count(store) == 2


async def test_who_looks_finds_what_was_appended_before(store: Store) -> None:
    """A unit's queries see its own events and those of the units before it in its group."""

    def look(tx: Transaction) -> int:
        found: int = tx.sql("SELECT COUNT(*) FROM hookhub_events")[0][0]
        return found

    def append_and_look(tx: Transaction) -> int:
        tx.append(draft())
        return look(tx)

    assert (await together(store, append, look, append_and_look, look))[1:] == [1, 2, 2]
    assert await store.write(append_and_look) == 3


async def test_who_has_no_lock_gets_none_later(store: Store) -> None:
    """The state row is taken first or not at all, so that two nodes never wait for each other."""
    for unit in (
        append,
        Transaction.lock,
        Transaction.endpoints_changed,
        Transaction.tokens_changed,
    ):
        with pytest.raises(RuntimeError, match="locks=False"):
            await store.write(unit, locks=False)
    assert await count(store) == 0


async def test_a_unit_alone_that_raises_leaves_nothing(store: Store) -> None:
    """The same without a group around it."""
    with pytest.raises(Conflict):
        await store.write(refuse)
    assert await count(store) == 0
    assert (await store.write(append)).sequence == 1


async def test_listeners_hear_of_a_commit_before_its_producer(store: Store) -> None:
    """What the producer does after its answer comes after the feed has seen the event."""
    order: list[str] = []
    store.on_commit(lambda events, deliveries: order.append("published"))
    await store.write(append)
    order.append("answered")
    assert order == ["published", "answered"]


async def test_a_listener_that_raises_keeps_nothing_from_the_others(store: Store) -> None:
    """Each is told, before and after it, and the log says which one failed."""
    told: list[int] = []

    def broken(events: list[Event], deliveries: list[NewDelivery]) -> None:
        raise ValueError("a bug")

    for listener in (lambda e, d: told.append(1), broken, lambda e, d: told.append(2)):
        store.on_commit(listener)
    with structlog.testing.capture_logs() as said:
        await store.write(append)
    assert told == [1, 2]
    [line] = [line for line in said if line["log_level"] == "error"]
    assert "broken" in line["listener"]


async def test_a_cancelled_unit_that_has_not_run_never_runs(store: Store) -> None:
    """Cancelled means that it did not happen."""
    release = threading.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(hold_writer, store, release)
        with trio.CancelScope() as scope:
            scope.cancel()
            await store.write(append)
        assert scope.cancelled_caught
        release.set()
    assert await count(store) == 0


async def test_a_unit_that_runs_already_is_waited_for(store: Store) -> None:
    """Too late to cancel: the unit is committed, and the caller gets its result."""
    running, release = threading.Event(), threading.Event()

    def slow(tx: Transaction) -> Accepted:
        running.set()
        release.wait(10)
        return append(tx)

    results: list[Accepted] = []
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def write() -> None:
            with scope:
                results.append(await store.write(slow))

        nursery.start_soon(write)
        await trio.to_thread.run_sync(running.wait)
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        release.set()
    assert len(results) == 1
    assert await count(store) == 1


async def test_when_the_database_fails_the_whole_group_is_told(store: Store) -> None:
    """A database error rolls all back; every unit hears that nothing was stored; then it works."""

    def broken(tx: Transaction) -> None:
        tx.append(draft())
        raise_operational_error(tx)

    first, second, third = await together(store, append, broken, append)
    for outcome in (first, second, third):
        assert isinstance(outcome, StoreUnavailable)
        assert "othing was stored" in outcome.detail
    assert first is not third
    assert await count(store) == 0
    assert (await store.write(append)).sequence == 1
    assert await store.check() is None


def raise_operational_error(tx: Transaction) -> None:
    """An error that the driver itself reports as the database's fault: a full disk, a lost
    connection."""
    if not tx.is_sqlite:
        tx.sql("SELECT pg_terminate_backend(pg_backend_pid())")
    tx.sql("PRAGMA max_page_count = 1")
    try:
        tx.sql("CREATE TABLE large AS SELECT zeroblob(1000000) AS content")
    finally:
        tx.sql("PRAGMA max_page_count = 1000000")


@pytest.mark.parametrize("statement", ["SELECT * FROM nowhere", "SELECT nothing", "SELEKT 1"])
async def test_a_wrong_statement_fails_its_unit_alone(store: Store, statement: str) -> None:
    """The database works: the others of the group are stored, and the unit's own is told why."""
    first, failed, last = await together(store, append, lambda tx: tx.sql(statement), append)
    assert isinstance(first, Accepted)
    assert isinstance(failed, StatementRefused)
    assert re.search("no such|does not exist|syntax error", failed.detail)
    assert isinstance(last, Accepted)
    with pytest.raises(StatementRefused, match="not the database that is at fault"):
        await store.write(lambda tx: tx.sql(statement))
    with pytest.raises(StatementRefused):
        await store.read(lambda reader: reader.sql(statement))
    assert await store.check() is None


@pytest.mark.parametrize("after", ["ends", "asks more"])
async def test_who_goes_on_after_a_refused_statement_fails_alone(store: Store, after: str) -> None:
    """SQLite lets a unit do that; PostgreSQL takes nothing more, and its COMMIT would say nothing
    of having stored nothing. The others of the group do not notice."""

    def stubborn(tx: Transaction) -> None:
        with contextlib.suppress(peewee.PeeweeException):
            tx.sql("SELECT * FROM nowhere")
        if after != "ends":
            tx.sql("SELECT 1")

    first, failed, last = await together(store, append, stubborn, append)
    assert isinstance(first, Accepted)
    assert isinstance(failed, type(None) if store.is_sqlite else StatementRefused)
    assert isinstance(last, Accepted)
    if not store.is_sqlite:
        with pytest.raises(StatementRefused):
            await store.write(stubborn, locks=False)


async def test_writing_after_the_close_is_refused(settings: DatabaseSettings) -> None:
    """A closed store says so instead of waiting for ever."""
    async with open_store(settings) as store:
        pass
    with pytest.raises(StoreUnavailable, match="stopping"):
        await store.write(append)


async def test_closing_runs_what_is_queued(settings: DatabaseSettings) -> None:
    """What was handed over before the close is committed."""
    release = threading.Event()
    async with open_store(settings) as store:
        async with trio.open_nursery() as nursery:
            await nursery.start(hold_writer, store, release)
            nursery.start_soon(store.write, append)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(store.close)
            release.set()
    async with open_store(settings) as store:
        assert await count(store) == 1


async def test_deliveries_are_committed_with_their_event(store: Store) -> None:
    """The listener gets the new deliveries with their endpoints; the answer counts them."""
    heard: list[NewDelivery] = []
    store.on_commit(lambda events, deliveries: heard.extend(deliveries))
    ids = [await add_endpoint(store, name) for name in ("user.*", "user.created", "ticket.*")]
    accepted = await store.write(append)
    assert accepted.deliveries == 2
    assert [item.endpoint_id for item in heard] == ids[:2]
    assert {item.sequence for item in heard} == {accepted.sequence}


async def add_endpoint(store: Store, pattern: str) -> int:
    new = NewEndpoint(f"for {pattern}", (pattern,), {})
    return (await store.write(lambda tx: insert_endpoint(tx, "webhook", new))).id


async def test_an_endpoint_made_in_a_group_gets_the_events_after_it(store: Store) -> None:
    """Within one group, too, the order of units decides who gets what."""

    def make(tx: Transaction) -> None:
        insert_endpoint(tx, "webhook", NewEndpoint("late", ("*",), {}))

    before, _, after = await together(store, append, make, append)
    assert isinstance(before, Accepted)
    assert isinstance(after, Accepted)
    assert (before.deliveries, after.deliveries) == (0, 1)


async def test_an_endpoint_whose_unit_failed_gets_nothing(store: Store) -> None:
    """Rolled back together with its effect on the events that follow in the group."""

    def make_and_fail(tx: Transaction) -> None:
        insert_endpoint(tx, "webhook", NewEndpoint("never", ("*",), {}))
        assert tx.append(draft()).deliveries == 1
        raise Conflict("No.")

    _, after = await together(store, make_and_fail, append)
    assert isinstance(after, Accepted)
    assert after.deliveries == 0


async def test_two_stores_on_one_database_share_the_sequence(settings: DatabaseSettings) -> None:
    """Two processes (here: two writers) append without gaps and without the same number twice."""
    async with open_store(settings) as one, open_store(settings) as two:
        sequences: list[int] = []

        async def write(store: Store) -> None:
            sequences.append((await store.write(append)).sequence)

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(write, one)
                nursery.start_soon(write, two)
        assert sorted(sequences) == list(range(1, 41))
        assert one.epoch == two.epoch
