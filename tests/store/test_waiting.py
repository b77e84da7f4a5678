"""What waits for a writer that does not get on: it lets go of what nobody waits for, and ends."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from hookhub.config import DatabaseSettings
from hookhub.contracts.errors import StoreUnavailable
from hookhub.store import Store, Transaction, open_store
from hookhub.testing.serving import sqlite_url

MOST = 1000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store for which a thousand bytes may wait; which database it is does not matter."""
    settings = DatabaseSettings(url=sqlite_url(tmp_path), max_waiting=MOST)
    async with open_store(settings) as opened:
        yield opened


@asynccontextmanager
async def blocked(store: Store, size: int = 0) -> AsyncIterator[None]:
    """Within it the writer is busy with a unit of this size."""
    running, release = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        running.set()
        release.wait(30)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: store.write(hold, size=size))
        await trio.to_thread.run_sync(running.wait)
        try:
            yield
        finally:
            release.set()


class Body:
    """Something large."""


def write(store: Store, nursery: trio.Nursery, size: int) -> trio.CancelScope:
    """Start a write of this size; returns what gives it up."""
    scope = trio.CancelScope()

    async def run() -> None:
        with scope:
            await store.write(lambda tx: None, size=size)

    nursery.start_soon(run)
    return scope


async def test_a_write_that_is_given_up_lets_go_at_once(store: Store) -> None:
    """Its body is not kept until the writer comes to it; and nothing stays of it in the queue."""
    bodies: weakref.WeakSet[Body] = weakref.WeakSet()

    async def give_up() -> None:
        body = Body()
        bodies.add(body)
        await store.write(lambda tx: body)

    async with blocked(store):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(give_up)
            await trio.testing.wait_all_tasks_blocked()
            assert (len(bodies), store.statistics()["queued"]) == (3, 3)
            nursery.cancel_scope.cancel()
        gc.collect()
        assert (len(bodies), store.statistics()["queued"]) == (0, 0)


async def test_what_was_written_is_let_go_at_once(store: Store) -> None:
    """The writer keeps nothing of it while it waits for more."""
    bodies: weakref.WeakSet[Body] = weakref.WeakSet()

    async def keep() -> None:
        body = Body()
        bodies.add(body)
        await store.write(lambda tx: body)

    await keep()
    with trio.fail_after(10):
        while gc.collect() or bodies:
            await trio.sleep(0.01)


async def test_only_so_many_bytes_wait(store: Store) -> None:
    """What is written now counts as well; whoever comes then is told to come again."""
    async with blocked(store, 400), trio.open_nursery() as nursery:
        given_up = write(store, nursery, 500)
        await trio.testing.wait_all_tasks_blocked()
        assert store.statistics()["queued_bytes"] == 900
        with pytest.raises(StoreUnavailable, match="max_waiting") as refused:
            await store.write(lambda tx: None, size=101)
        assert refused.value.headers["Retry-After"] == "1"
        # The hub's own work has no size, and is never refused.
        write(store, nursery, 0)
        given_up.cancel()
        await trio.testing.wait_all_tasks_blocked()
        write(store, nursery, 600)
        await trio.testing.wait_all_tasks_blocked()
        assert store.statistics()["queued_bytes"] == MOST
        assert store.statistics()["refused_total"] == 1
    with trio.fail_after(10):
        while store.statistics()["queued_bytes"]:
            await trio.sleep(0.01)


async def test_one_alone_may_be_larger(store: Store) -> None:
    """Else it could never be written."""
    assert await store.write(lambda tx: "done", size=10 * MOST) == "done"


async def test_the_age_of_the_oldest(store: Store) -> None:
    """Of what runs or waits, seconds; 0 if nothing does."""
    with trio.fail_after(10):
        while store.oldest_unit():  # The one that opened the store may just be ending.
            await trio.sleep(0.01)
    async with blocked(store), trio.open_nursery() as nursery:
        await trio.sleep(0.05)
        running = store.oldest_unit()
        write(store, nursery, 0)
        await trio.testing.wait_all_tasks_blocked()
        assert store.oldest_unit() >= running >= 0.05
    with trio.fail_after(10):
        while store.oldest_unit():
            await trio.sleep(0.01)


async def test_the_room_is_free_with_the_answer(store: Store) -> None:
    """Whoever sends the next when the last was answered is never told that too much waits."""
    for _ in range(500):
        await store.write(lambda tx: None, size=MOST)
    assert store.statistics()["refused_total"] == 0
