"""The one writer: a thread with a kept connection that commits in groups.

Units of work queue up. The thread takes all that wait, runs them, commits once and resolves them
all: under load a commit (and its fsync) is shared, and when idle a unit waits for nobody. Units
seldom raise, so a group runs without savepoints, and what its units append goes in together. If one
does raise, the group is rolled back and runs again with a savepoint for each unit, so that this one
is rolled back alone. If the database itself fails, the whole group is rolled back and each of its
units is told that nothing was stored.

**The order of locks**, on PostgreSQL, where several nodes write: the state row first, then whatever
a unit changes. Nobody waits for another row without holding that one, so nodes never wait for each
other in a circle. Only units that wait for nothing do without it (``locks=False``): claims, which
skip what is locked. They neither append nor take the state row later.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import outcome
import peewee
import structlog
import trio

from hookhub.config import DatabaseSettings
from hookhub.contracts.errors import HookhubError, StatementRefused, StoreError, StoreUnavailable
from hookhub.contracts.events import Event
from hookhub.secretbox import SecretBox
from hookhub.store.database import (
    NO_KEYS,
    Reader,
    begin,
    connect,
    create_database,
    is_aborted,
    pipelined,
    run_sql,
    translated,
    translated_errors,
)
from hookhub.store.epochs import NOTHING_SEEN, Seen
from hookhub.store.lookups import Appends
from hookhub.store.queue import Unit, Units
from hookhub.store.sessions import Sessions
from hookhub.store.subscriptions import Subscriptions
from hookhub.store.unit import Group, HandOver, NewDelivery, Transaction

T = TypeVar("T")

MAX_GROUP = 256
ATTEMPTS = 3
"""How often a group is run when PostgreSQL reports a deadlock or a serialisation failure."""
_RETRYABLE = frozenset({"40001", "40P01"})
_LOCK_TIMEOUT = frozenset({"55P03"})
PROBE = 1.0
"""Seconds between two looks whether a database that failed works again."""

log = structlog.get_logger("hookhub.store")


class _UnitFailed(Exception):
    """A unit of a group without savepoints raised: what the others did must be done again."""


class _CommitUnknown(StoreUnavailable):
    """Nobody knows whether the group was committed."""


class Writer:
    """Owns the writing connection and the thread.

    Args:
        settings: the database.
        clock: microseconds since 1970.
        committed: called in the Trio thread after each commit that appended events, before any
            unit of the group gets its result; events come in order of sequence. Must not raise.
        box: seals and opens secrets for the units.
        signature: names this process in the notices that its commits give to others; empty: none.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        clock: Callable[[], int],
        committed: Callable[[list[Event], list[NewDelivery]], None],
        box: SecretBox = NO_KEYS,
        signature: Callable[[], str] = str,
    ) -> None:
        self._signature = signature
        self._settings = settings
        self._clock = clock
        self._committed = committed
        self._box = box
        self._line = Units(settings.max_waiting)
        self._subscriptions = Subscriptions()
        self._seen = NOTHING_SEEN
        self._seeing = threading.Lock()
        self._database = create_database(settings)
        self._thread = threading.Thread(target=self._run, name="hookhub-writer", daemon=True)
        self.hand_over: HandOver | None = None
        self._failing: str | None = None
        self._units = 0
        self._commits = 0
        self._events = 0

    def open(self) -> None:
        """Connect and start the thread. Call in the Trio thread.

        Raises:
            StoreError: the database cannot be opened.
        """
        connect(self._database, self._settings)
        self._token = trio.lowlevel.current_trio_token()
        self._thread.start()

    async def close(self) -> None:
        """Run what is queued, then end the thread and close the connection.

        Does nothing if it was never opened: whoever only reads needs no writer.
        """
        if self._thread.ident is None:
            return
        self._line.close()
        await trio.to_thread.run_sync(self._thread.join, abandon_on_cancel=True)

    async def write(
        self,
        function: Callable[[Transaction], T],
        *,
        locks: bool = True,
        size: int = 0,
        appends: Appends | None = None,
    ) -> T:
        """Run ``function`` in a transaction; return its result after the commit is on disk.

        Cancellation means that it did not happen: a unit still queued is withdrawn; one that runs
        already is waited for (the database's own time-outs bound that), and its result counts.

        Args:
            function: synchronous; may be run again after a deadlock, or when another unit of its
                group has failed.
            locks: whether its group takes the state row first; False only for a unit that waits for
                no row: see the order of locks above.
            size: bytes that it holds in memory until it has run, about. With one, it is refused
                when too much waits already (``[database] max_waiting``).
            appends: what it will append, if that is known: then what it must ask for is asked for
                all units of its group at once.

        Raises:
            StoreUnavailable: the database failed, or too much waits for it; nothing was stored.
        """
        unit = Unit(function, locks, size, trio.lowlevel.current_task(), appends)
        self._line.put(unit)

        def abort(_: Callable[[], Any]) -> trio.lowlevel.Abort:
            withdrawn = self._line.withdraw(unit)
            return trio.lowlevel.Abort.SUCCEEDED if withdrawn else trio.lowlevel.Abort.FAILED

        await trio.lowlevel.wait_task_rescheduled(abort)
        assert unit.result is not None
        result: T = unit.result.unwrap()
        return result

    @property
    def seen(self) -> Seen:
        """The newest event and delivery that this process knows of."""
        return self._seen

    def saw(self, seen: Seen) -> None:
        """From now on the database must be a later state than this one. Any thread."""
        with self._seeing:
            delivery = max(seen.delivery, self._seen.delivery)
            newest = max(self._seen, seen, key=lambda item: (item.number, item.sequence))
            self._seen = newest._replace(delivery=delivery)

    @property
    def failing(self) -> str | None:
        """Why the last group failed; None when it was committed."""
        return self._failing

    def oldest(self) -> float:
        """Seconds since the oldest unit that runs or waits was handed over; 0 if there is none."""
        return self._line.age()

    def statistics(self) -> dict[str, float]:
        """Counters since start, and what waits."""
        return {
            "units_total": self._units,
            "commits_total": self._commits,
            "events_total": self._events,
            "oldest_seconds": self.oldest(),
            **self._line.statistics(),
        }

    # -- in the writer's thread ------------------------------------------------------------

    def _run(self) -> None:
        # No name for the units: what they hold must not stay until the next ones come.
        while self._run_all(self._next()):
            pass
        self._close_database()

    def _run_all(self, units: Sequence[Unit]) -> bool:
        """Run and resolve them; False if there are none."""
        parts = [units]
        if self._signature():
            # Other nodes wait while this one has the state row: what can do without it, does.
            parts = [[unit for unit in units if unit.locks is locks] for locks in (False, True)]
        for part in parts:
            if part:
                self._run_group(part)
        return bool(units)

    def _next(self) -> Sequence[Unit]:
        """What comes next; while the database fails and nobody writes, looks at it meanwhile."""
        while self._failing is not None:
            units = self._line.take(MAX_GROUP, PROBE)
            if units is not None:
                return units
            self._probe()
        return self._line.take(MAX_GROUP) or ()

    def _probe(self) -> None:
        """Find out whether the database takes writes again."""
        try:
            if self._database.is_closed():
                self._reconnect()
            with translated_errors():
                begin(self._database)
                Group(self._subscriptions).lock(Reader(self._database, self._clock(), self._box))
            self._failing = None
        except Exception as error:
            # Whatever it is: the thread must live on.
            self._failing = str(error)
        self._rollback()

    def _run_group(self, units: Sequence[Unit]) -> None:
        """Run and resolve them."""
        group = Group(self._subscriptions)
        try:
            group = self._committed_group(units)
            self._failing = None
            self._look_back(group)
        except BaseException as error:
            if not isinstance(error, HookhubError):
                log.exception("store.writer_bug")
                self._rollback()
                error = StoreUnavailable(f"The store failed: {error!r}. Nothing was stored.")
            self._failing = str(error)
            log.error("store.group_failed", units=len(units), error=str(error))
            group = Group(self._subscriptions)
            self._subscriptions.generation = -1
            for unit in units:
                unit.result = outcome.Error(_copy(error))
        self._units += len(units)
        self._events += len(group.events)
        # Before anyone is told: who sends the next at once shall find the room.
        self._line.finish(units)
        self._resolve(units, group)

    def _look_back(self, group: Group) -> None:
        """Remember what was seen last, and tell if that was once more than there is now."""
        if group.locked and group.begun:
            log.error(
                "store.went_back",
                seen=group.seen.sequence,
                found=group.sequence - len(group.events),
                advice="An older copy of the database took its place; every cursor of before is "
                "told a gap. What was committed since that copy is gone: see hookhub audit.",
            )
        self.saw(group.now_seen())

    def _committed_group(self, units: Sequence[Unit]) -> Group:
        # Those first whose questions were asked beforehand: what others do would spoil the answers.
        units = sorted(units, key=lambda unit: unit.appends is None)
        apart = False
        for attempt in range(1, ATTEMPTS + 2):
            group = Group(self._subscriptions, self.hand_over, self._seen, self._signature())
            try:
                self._commit_group(units, group, apart=apart)
                return group
            except _UnitFailed:
                self._rollback()
                apart = True
            except StoreUnavailable as error:
                self._rollback()
                if attempt >= ATTEMPTS or not self._is_retryable(error):
                    raise
            self._subscriptions.generation = -1
        raise AssertionError("unreachable")

    def _commit_group(self, units: Sequence[Unit], group: Group, *, apart: bool) -> None:
        if self._database.is_closed():
            self._reconnect()
        reader = Reader(self._database, self._clock(), self._box)
        with translated_errors():
            self._begin(units, reader, group)
            mark = group.mark()
            try:
                for unit in units:
                    if apart:
                        self._run_apart(unit, reader, group)
                    else:
                        unit.result = outcome.Value(self._call(unit, reader, group))
                self._finish(reader, group)
            except Exception as error:
                told = _unit_error(error)
                if apart:
                    raise
                if len(units) > 1:
                    raise _UnitFailed from error
                self._rollback()
                group.back_to(mark)
                group.locked = False
                units[0].result = outcome.Error(told)
        self._commits += 1

    def _begin(self, units: Sequence[Unit], reader: Reader, group: Group) -> None:
        locks = any(unit.locks for unit in units)
        if locks:
            group.prepare([unit.appends for unit in units if unit.appends is not None])
        with pipelined(self._database):
            begin(self._database)
            if locks:
                group.ask(reader)
        if locks:
            group.lock(reader)

    def _finish(self, reader: Reader, group: Group) -> None:
        """Write what was appended, and commit."""
        database = self._database
        # Sent together, all of it may have arrived when the connection breaks.
        committing = isinstance(database, Sessions) and database.pipelines
        try:
            with pipelined(database):
                group.flush(reader)
                group.finish(reader)
                committing = isinstance(database, Sessions)
                database.commit()
        except peewee.PeeweeException as error:
            if committing and _answer_is_lost(error):
                log.error(
                    "store.commit_unknown",
                    events=len(group.events),
                    handed_over=group.lost(),
                    error=str(error).strip(),
                )
                raise _CommitUnknown(
                    "The database went away while it stored this, and whether it did is not known. "
                    "Repeat it with the same id or Idempotency-Key: then nothing happens twice.",
                    headers={"Retry-After": "1"},
                ) from error
            raise

    def _call(self, unit: Unit, reader: Reader, group: Group) -> Any:
        value = unit.function(Transaction(reader, group))
        if is_aborted(self._database):
            raise StatementRefused(
                "The database refused a statement, and the code that asked went on all the same. "
                "Nothing was stored; put what may fail between SAVEPOINT and RELEASE."
            )
        return value

    def _run_apart(self, unit: Unit, reader: Reader, group: Group) -> None:
        mark = group.mark()
        run_sql(self._database, "SAVEPOINT unit")
        try:
            value = self._call(unit, reader, group)
            group.flush(reader)
        except Exception as error:
            told = _unit_error(error)
            group.back_to(mark)
            unit.result = outcome.Error(told)
            run_sql(self._database, "ROLLBACK TO SAVEPOINT unit")
        else:
            unit.result = outcome.Value(value)
        run_sql(self._database, "RELEASE SAVEPOINT unit")

    def _resolve(self, units: Sequence[Unit], group: Group) -> None:
        def in_trio() -> None:
            if group.events:
                self._committed(group.events, group.deliveries)
            for unit in units:
                trio.lowlevel.reschedule(unit.task)

        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(in_trio)

    def _is_retryable(self, error: StoreUnavailable) -> bool:
        state = _state(error)
        return state in _RETRYABLE or (state in _LOCK_TIMEOUT and self._end_frozen() > 0)

    def _end_frozen(self) -> int:
        """End other hubs' sessions that hold locks and go no further; returns how many."""
        if not isinstance(self._database, Sessions):
            return 0
        with contextlib.suppress(peewee.PeeweeException):
            if count := self._database.end_frozen():
                log.warning("store.frozen_ended", sessions=count)
            return count
        return 0

    def _rollback(self) -> None:
        try:
            self._database.rollback()
        except (peewee.PeeweeException, sqlite3.Error):
            if not isinstance(self._database, peewee.SqliteDatabase):
                self._close_database()

    def _reconnect(self) -> None:
        try:
            connect(self._database, self._settings)
        except StoreError as error:
            time.sleep(0.05)
            raise StoreUnavailable(error.detail, headers={"Retry-After": "1"}) from error

    def _close_database(self) -> None:
        try:
            self._database.close()
        except (peewee.PeeweeException, sqlite3.Error):
            self._database.dispose()


def _unit_error(error: Exception) -> Exception:
    """What a unit's caller is told of its error; raises what is no unit's fault."""
    told = translated(error)
    others = told is not error and not isinstance(told, StatementRefused)
    if others or isinstance(error, _CommitUnknown):
        raise told
    return told


def _state(error: BaseException) -> str | None:
    """What PostgreSQL says of it (SQLSTATE); None if it did not say anything."""
    cause: BaseException | None = error
    while cause is not None:
        if (state := getattr(cause, "sqlstate", None)) is not None:
            return str(state)
        cause = cause.__cause__ or cause.__context__
    return None


def _answer_is_lost(error: BaseException) -> bool:
    """Whether a COMMIT broke off without the server's verdict: a connection failure has no code of
    its own, or one of class 08 (connection exception) or 57 (operator intervention), but for 57014:
    a statement before it was cancelled."""
    state = _state(error)
    return state is None or (state.startswith(("08", "57")) and state != "57014")


def _copy(error: BaseException) -> BaseException:
    """One exception object for each waiting task: tracebacks must not be shared."""
    if isinstance(error, HookhubError):
        copy = type(error)(
            error.detail, errors=error.errors, members=error.members, headers=error.headers
        )
        copy.__cause__ = error.__cause__
        return copy
    return error
