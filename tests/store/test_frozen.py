"""Somebody who holds a lock and goes no further holds up the others for a bounded time only."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import struct
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from hookhub.config import DatabaseSettings
from hookhub.contracts.components import Migration
from hookhub.contracts.errors import StoreUnavailable
from hookhub.contracts.events import Draft, new_event_id
from hookhub.store import Reader, Store, Transaction, nodes, open_store
from hookhub.store.nodes import NodeLock
from hookhub.testing.serving import sqlite_url
from support.frozen import FreezingProxy
from support.pgbouncer import running_pgbouncer

psycopg = pytest.importorskip("psycopg")

TIMEOUT = 2.0
"""``[database] timeout`` of the stores under test."""


@pytest.fixture
def settings(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[DatabaseSettings]:
    """A database, for tests that ask for it also through a pooler."""
    if getattr(request, "param", "direct") == "direct":
        yield DatabaseSettings(url=postgres_url, timeout=TIMEOUT)
        return
    with running_pgbouncer(postgres_url) as url:
        yield DatabaseSettings(url=url, timeout=TIMEOUT)


both_ways = pytest.mark.parametrize("settings", ["direct", "pooled"], indirect=True)


@pytest.fixture
async def other(settings: DatabaseSettings, store: Store) -> AsyncIterator[Store]:
    """Of a second hub on the same database."""
    async with open_store(settings) as opened:
        yield opened


def post(tx: Transaction) -> None:
    tx.append(Draft(new_event_id(0), "a.b", "{}", 1))


async def events(store: Store) -> int:
    rows = await store.read(lambda reader: reader.sql("SELECT COUNT(*) FROM hookhub_events"))
    return int(rows[0][0])


async def ready(store: Store) -> None:
    """Return when it says so, without being told anything."""
    with trio.fail_after(2 * TIMEOUT):
        while await store.check() is not None:
            await trio.sleep(0.01)


class Stop:
    """A unit that stops in the middle, having appended: as a process that was sent SIGSTOP does."""

    def __init__(self) -> None:
        self.reached = trio.Event()
        self.go_on = threading.Event()
        self.failed: StoreUnavailable | None = None
        self._token = trio.lowlevel.current_trio_token()

    def __call__(self, tx: Transaction) -> None:
        post(tx)
        self._token.run_sync_soon(self.reached.set)
        assert self.go_on.wait(10 * TIMEOUT)

    async def write(self, store: Store) -> None:
        try:
            await store.write(self)
        except StoreUnavailable as error:
            self.failed = error


@both_ways
async def test_a_node_that_stops_is_left_behind(store: Store, other: Store) -> None:
    """The healthy node accepts within the timeout and is not ready until then; the other one, when
    it goes on, is told that nothing was stored, and works again by itself."""
    stop = Stop()
    seen: set[bool] = set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop.write, store)
        await stop.reached.wait()
        with trio.fail_after(TIMEOUT):
            async with trio.open_nursery() as watching:
                watching.start_soon(watch, other, seen)
                await other.write(post)
                watching.cancel_scope.cancel()
        await ready(other)
        stop.go_on.set()
    assert seen == {True, False}
    assert stop.failed is not None
    assert stop.failed.headers == {"Retry-After": "1"}
    assert await events(other) == 1
    await store.write(post)
    await ready(store)
    assert await events(other) == 2


async def watch(store: Store, seen: set[bool]) -> None:
    while True:
        seen.add(await store.check() is None)
        await trio.sleep(0.02)


@contextlib.contextmanager
def half_a_statement(url: str) -> Iterator[None]:
    """A hub that holds the state row and froze while it sent a large statement: its text is there,
    its parameters are not, and so none of the server's own time limits applies."""
    target = urlsplit(url)
    start = b"".join(
        part + b"\0"
        for part in (
            *(b"user", (target.username or "").encode(), b"database", target.path[1:].encode()),
            *(b"application_name", b"hookhub", b""),
        )
    )
    with socket.create_connection((target.hostname, target.port)) as connection:
        connection.sendall(struct.pack("!II", len(start) + 8, 196608) + start)
        until(connection, b"Z")
        for text in (b"BEGIN; SET LOCAL idle_in_transaction_session_timeout = 100", LOCK):
            connection.sendall(b"Q" + struct.pack("!I", len(text) + 5) + text + b"\0")
            until(connection, b"Z")
        text = b"\0SELECT $1::text\0\0\0"
        connection.sendall(b"P" + struct.pack("!I", len(text) + 4) + text)
        connection.sendall(b"B" + struct.pack("!I", 2_000_000) + b"\0\0\0\0\0\1")
        yield


LOCK = b"SELECT 1 FROM hookhub_state FOR UPDATE"


def until(connection: socket.socket, kind: bytes) -> None:
    """Read the server's messages up to one of this kind."""
    with connection.makefile("rb") as stream:
        while True:
            found = stream.read(1)
            stream.read(struct.unpack("!I", stream.read(4))[0] - 4)
            if found == kind:
                return


@both_ways
async def test_a_node_that_stops_in_the_middle_of_a_statement(store: Store) -> None:
    """The server waits for the rest without end; the healthy node ends that session itself."""
    with half_a_statement(store.settings.url):
        with trio.fail_after(TIMEOUT):
            await store.write(post)


@contextlib.contextmanager
def locked(url: str) -> Iterator[Any]:
    """Another program that holds the state row, for as long as it likes."""
    with psycopg.connect(url) as connection:
        connection.execute(LOCK)
        yield connection


async def test_a_lock_of_another_program(store: Store) -> None:
    """It is nobody's to end: 503 with Retry-After, not ready; and all is well when it lets go."""
    with locked(store.settings.url) as connection:
        with trio.fail_after(2 * TIMEOUT), pytest.raises(StoreUnavailable, match="lock") as failed:
            await store.write(post)
        assert failed.value.headers == {"Retry-After": "1"}
        assert "nothing was stored" in failed.value.detail.lower()
        assert await store.check() is not None
        connection.rollback()
        await ready(store)
    await store.write(post)


async def test_a_frozen_connection(settings: DatabaseSettings, store: Store) -> None:
    """The hub behind it says that it is not ready, as fast as ever, and is back by itself after it
    thaws; the other one goes on."""
    with FreezingProxy(settings.url) as proxy:
        behind = settings.model_copy(update={"url": proxy.url})
        async with open_store(behind) as frozen:
            await frozen.write(post)
            proxy.freeze()
            with trio.fail_after(TIMEOUT):
                assert await frozen.check() is not None
            with trio.fail_after(2 * TIMEOUT), pytest.raises(StoreUnavailable):
                await frozen.write(post)
            with trio.fail_after(TIMEOUT):
                await store.write(post)
            proxy.thaw()
            await ready(frozen)
            await frozen.write(post)
            assert await events(frozen) == 3


async def test_the_connection_of_a_writer_freezes_in_its_transaction(
    settings: DatabaseSettings, store: Store
) -> None:
    """Its lock is given up in time for the other node."""
    with FreezingProxy(settings.url) as proxy:
        behind = settings.model_copy(update={"url": proxy.url})
        async with open_store(behind) as frozen:
            stop = Stop()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stop.write, frozen)
                await stop.reached.wait()
                proxy.freeze()
                stop.go_on.set()
                with trio.fail_after(TIMEOUT):
                    await store.write(post)
                with trio.fail_after(2 * TIMEOUT):
                    while stop.failed is None:
                        await trio.sleep(0.01)
                proxy.thaw()
            assert await events(store) == 1


@pytest.fixture
async def hasty(postgres_url: str) -> AsyncIterator[Store]:
    """A store with a very short timeout."""
    async with open_store(DatabaseSettings(url=postgres_url, timeout=TIMEOUT / 5)) as opened:
        yield opened


async def test_long_migrations_pass(hasty: Store) -> None:
    """A step may take longer than the timeout, and so may the wait for another node's."""
    steps = [Migration(1, "long", (f"SELECT pg_sleep({0.3 * TIMEOUT})",))]
    began = time.monotonic()
    async with trio.open_nursery() as nursery:
        for name in ("one", "two"):
            nursery.start_soon(hasty.migrate, name, steps)
    assert time.monotonic() - began > 0.6 * TIMEOUT


async def test_bulk_work_passes(hasty: Store) -> None:
    """What says so may take its time, in writing and in reading; everything else may not."""
    store = hasty
    slow = f"SELECT 1 FROM pg_sleep({0.4 * TIMEOUT})"

    def unhurried(tx: Transaction) -> int:
        tx.unhurried()
        return len(tx.sql(slow))

    with pytest.raises(StoreUnavailable, match="statement timeout"):
        await store.write(lambda tx: tx.sql(slow))
    assert await store.write(unhurried) == 1
    with pytest.raises(StoreUnavailable, match="statement timeout"):
        await store.write(lambda tx: tx.sql(slow))
    assert await store.read(lambda reader: len(reader.sql(slow))) == 1


async def test_every_session_looks_for_its_client(store: Store) -> None:
    """A machine that is gone is noticed within seconds, not hours."""
    query = (
        "SELECT name, setting::int FROM pg_settings "
        "WHERE name LIKE 'tcp_keepalives_%' OR name = 'tcp_user_timeout'"
    )

    def ask(reader: Reader) -> dict[str, int]:
        return dict(reader.sql(query))  # type: ignore[arg-type]

    for found in (await store.write(ask), await store.read(ask)):
        assert found == {
            "tcp_keepalives_idle": 5,
            "tcp_keepalives_interval": 5,
            "tcp_keepalives_count": 3,
            "tcp_user_timeout": 1000 * TIMEOUT / 2,
        }


async def test_a_frozen_node_loses_its_lock(
    settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others see that it is gone, and take over its claims; one that looks keeps its own."""
    monkeypatch.setattr(nodes, "_SILENCE", 1.0)
    silent, looking = NodeLock(settings), NodeLock(settings)
    with contextlib.closing(silent), contextlib.closing(looking):
        assert silent.take(1)
        assert looking.take(2)
        assert set(looking.look().silent) == {1, 2}
        with trio.fail_after(20):
            while set(looking.look().silent) != {2}:
                await trio.sleep(0.05)


async def test_another_program_that_locks_sqlite(tmp_path: Path) -> None:
    """Not ready while a write waits for it, and ready again when it lets go."""
    settings = DatabaseSettings(url=sqlite_url(tmp_path), timeout=TIMEOUT)
    async with open_store(settings) as store:
        path = tmp_path / "hookhub.db"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.write, post)
                with trio.fail_after(TIMEOUT / 2):
                    while await store.check() is None:
                        await trio.sleep(0.01)
                connection.execute("ROLLBACK")
        await ready(store)
