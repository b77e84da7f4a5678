"""The store: one writer, several readers, and the migrations that run before both."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import peewee
import structlog
import trio

from hookhub.config import DatabaseSettings
from hookhub.contracts.components import Migration
from hookhub.contracts.errors import HookhubError, StatementRefused, StoreError, StoreUnavailable
from hookhub.contracts.events import Event
from hookhub.secretbox import SecretBox
from hookhub.store.database import (
    NO_KEYS,
    Reader,
    begin,
    connect,
    create_database,
    is_sqlite,
    translated_errors,
)
from hookhub.store.epochs import Seen, new_epoch, read_newest
from hookhub.store.lookups import Appends
from hookhub.store.migrations import CORE, TablesVersion, applied, migrate
from hookhub.store.notices import Notices
from hookhub.store.schema import CORE_MIGRATIONS
from hookhub.store.sessions import Limits
from hookhub.store.unit import HandOver, NewDelivery, Transaction
from hookhub.store.writer import Writer

T = TypeVar("T")

log = structlog.get_logger("hookhub.store")

CommitListener = Callable[[list[Event], list[NewDelivery]], None]


def now_us() -> int:
    """The wall clock in microseconds since 1970."""
    return time.time_ns() // 1000


class Store:
    """All access to the database; see :func:`open_store`.

    Args:
        settings: which database, and how many reading connections.
        clock: microseconds since 1970.
        box: seals secrets and opens them; without one they are kept as they are.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        clock: Callable[[], int] = now_us,
        box: SecretBox = NO_KEYS,
    ) -> None:
        self.settings = settings
        self.box = box
        self.clock = clock
        self._listeners: list[CommitListener] = []
        self.notices = Notices(settings)
        self._writer = Writer(settings, clock, self._committed, box, self.notices.signature)
        self._idle: list[peewee.Database] = []
        self._limiter = trio.CapacityLimiter(settings.readers)
        self._checks = trio.CapacityLimiter(1)
        self._alterations = trio.CapacityLimiter(1)
        self._reads = 0

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite (else PostgreSQL)."""
        return is_sqlite(self.settings.url)

    @property
    def epoch(self) -> str:
        """Names the history in cursors; another one begins when the database goes back."""
        return self._writer.seen.epoch

    @property
    def seen(self) -> Seen:
        """The newest event and delivery that this process knows of."""
        return self._writer.seen

    def saw(self, seen: Seen) -> None:
        """Another process has committed this event; from now on it must be there."""
        self._writer.saw(seen)

    def on_commit(self, listener: CommitListener) -> None:
        """Call ``listener(events, deliveries)`` in the Trio thread after each appending commit."""
        self._listeners.append(listener)

    def hand_over_to(self, engine: HandOver | None) -> None:
        """Let an engine have deliveries claimed at birth; None ends that."""
        self._writer.hand_over = engine

    def _committed(self, events: list[Event], deliveries: list[NewDelivery]) -> None:
        for listener in self._listeners:
            try:
                listener(events, deliveries)
            except Exception:
                name = getattr(listener, "__qualname__", repr(listener))
                log.exception("store.listener_failed", listener=name)

    async def write(
        self,
        unit: Callable[[Transaction], T],
        *,
        locks: bool = True,
        size: int = 0,
        appends: Appends | None = None,
    ) -> T:
        """Run a unit of work in a transaction; see :meth:`hookhub.store.writer.Writer.write`."""
        return await self._writer.write(unit, locks=locks, size=size, appends=appends)

    async def read(self, unit: Callable[[Reader], T]) -> T:
        """Run a unit that only reads, on a reading connection in a worker thread.

        What it sees is consistent: the whole unit runs in one read transaction.

        Raises:
            StoreUnavailable: the database failed.
        """
        return await trio.to_thread.run_sync(self._read, unit, limiter=self._limiter)

    def _read(self, unit: Callable[[Reader], T]) -> T:
        with contextlib.suppress(IndexError):
            kept = self._idle.pop()
            try:
                return self._read_on(kept, unit)
            except StatementRefused:
                raise
            except StoreUnavailable:
                # The server may have been restarted since: all kept connections are dead then,
                # and a unit that only reads may be run again.
                while self._idle:
                    _discard(self._idle.pop())
        database = create_database(self.settings, read_only=True)
        try:
            connect(database, self.settings)
        except StoreError as error:
            raise StoreUnavailable(error.detail, headers={"Retry-After": "1"}) from error
        return self._read_on(database, unit)

    def _read_on(self, database: peewee.Database, unit: Callable[[Reader], T]) -> T:
        usable = False
        try:
            with translated_errors():
                begin(database, read_only=True)
                try:
                    result = unit(Reader(database, self.clock(), self.box))
                except HookhubError:
                    database.rollback()
                    usable = True
                    raise
                database.commit()
            usable = True
            return result
        finally:
            self._reads += 1
            if usable:
                self._idle.append(database)
            else:
                _discard(database)

    async def migrate(
        self,
        component: str = CORE,
        steps: Sequence[Migration] = CORE_MIGRATIONS,
        *,
        insist: bool = False,
    ) -> list[Migration]:
        """Bring a component's tables up to date; see :func:`hookhub.store.migrations.migrate`."""
        done = await trio.to_thread.run_sync(self._migrate, component, steps, insist)
        for step in done:
            log.info("store.migrated", component=component, version=step.version, name=step.name)
        return done

    def _migrate(self, component: str, steps: Sequence[Migration], insist: bool) -> list[Migration]:
        limits = Limits.migrating(self.settings.timeout)
        database = create_database(self.settings, limits=limits)
        connect(database, self.settings)
        try:
            with translated_errors():
                return migrate(database, self.clock(), component, steps, insist=insist)
        finally:
            _discard(database)

    async def alter(self, unit: Callable[[Reader], T]) -> T:
        """Run a unit that changes tables while hubs work, in a transaction on its own connection.

        Raises:
            StoreUnavailable: nothing was changed, most likely since somebody holds a lock that it
                will not wait for any longer.
        """
        return await trio.to_thread.run_sync(self._alter, unit, limiter=self._alterations)

    def _alter(self, unit: Callable[[Reader], T]) -> T:
        limits = Limits.altering(self.settings.timeout)
        database = create_database(self.settings, limits=limits)
        with translated_errors():
            connect(database, self.settings)
            try:
                begin(database)
                result = unit(Reader(database, self.clock(), self.box))
                database.commit()
                return result
            finally:
                _discard(database)

    async def versions(self) -> dict[str, TablesVersion]:
        """Component to the version of its tables, as the database has them."""
        return await self.read(applied)

    async def open(self) -> None:
        """Migrate the core's tables, then start the writer.

        Raises:
            StoreError: the database cannot be used; says why and what to do.
        """
        await self.migrate()
        self._writer.open()
        self._writer.saw(await self.write(_ensure_state, locks=False))

    async def close(self) -> None:
        """Finish what is queued and close all connections."""
        await self._writer.close()
        while self._idle:
            _discard(self._idle.pop())

    def oldest_unit(self) -> float:
        """Seconds since the oldest unit that runs or waits was handed over; 0 if there is none."""
        return self._writer.oldest()

    async def check(self) -> str | None:
        """None if the database answers and takes writes; else what is wrong.

        Not well is also a unit that runs or waits for longer than a quarter of the timeout. The
        look itself takes no longer than that.
        """
        if self._writer.failing is not None:
            return self._writer.failing
        patience = self.settings.timeout / 4
        if (age := self.oldest_unit()) > patience:
            return (
                f"A write waits since {age:.1f} s: another hub or program holds a lock, or the "
                "database does not answer."
            )
        with trio.move_on_after(patience):
            try:
                await trio.to_thread.run_sync(
                    self._read, _look, limiter=self._checks, abandon_on_cancel=True
                )
            except StoreUnavailable as error:
                return error.detail
            return None
        return f"The database does not answer within {patience:g} s."

    def statistics(self) -> dict[str, float]:
        """Counters since start."""
        return {
            **self._writer.statistics(),
            **self.notices.statistics(),
            "reads_total": self._reads,
        }


def _look(reader: Reader) -> None:
    reader.sql("SELECT 1")


def _ensure_state(tx: Transaction) -> Seen:
    tx.sql(
        "INSERT INTO hookhub_state (id, epoch, last_sequence, last_delivery, "
        "endpoints_generation, tokens_generation) VALUES (1, ?, 0, 0, 0, 0) ON CONFLICT DO NOTHING",
        (new_epoch(),),
    )
    return read_newest(tx)


def _discard(database: peewee.Database) -> None:
    try:
        database.connection().close()  # type: ignore[no-untyped-call]
    except (peewee.PeeweeException, sqlite3.Error):
        log.debug("store.close_failed", exc_info=True)
    finally:
        database.dispose()


@asynccontextmanager
async def open_store(
    settings: DatabaseSettings,
    clock: Callable[[], int] = now_us,
    box: SecretBox = NO_KEYS,
) -> AsyncIterator[Store]:
    """An open store with the core's tables up to date; closed at the end of the block."""
    store = Store(settings, clock, box)
    await store.open()
    try:
        yield store
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + settings.timeout + 5):
            await store.close()
