"""Which hubs are alive on one PostgreSQL: each holds an advisory lock as long as it lives.

The lock is a session's, so the server itself drops it when the process dies, however it dies:
at once if its machine lives on, else when the server's keep-alive finds nobody there. A process
that is frozen counts as dead as well: the server ends a session that says nothing for too long.
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import peewee

from hookhub.config import DatabaseSettings
from hookhub.contracts.errors import StoreUnavailable
from hookhub.store.database import connect, create_database, run_sql, translated_errors
from hookhub.store.sessions import Limits, Sessions

T = TypeVar("T")

LOCK_CLASS = 0x686F6F6B
"""First half of the locks' keys; the second half is the node's number."""
_TIMEOUT = 3
"""Seconds until a server that does not take in what is sent to it, or says nothing, counts as
gone."""
_SILENCE = 20
"""Seconds until the server ends a session in which nothing is asked (PostgreSQL 14 and later)."""
LIVING = (
    "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 "
    f"AND classid = {LOCK_CLASS} "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class NodeLock:
    """A kept connection with this node's lock. All methods block; from one thread at a time.

    Args:
        settings: a PostgreSQL database.

    Raises:
        StoreError: it cannot be connected to.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        limits = Limits.writing(settings.timeout)._replace(answer=_TIMEOUT, silence=_SILENCE)
        self._database = create_database(settings, limits=limits)
        self._database.connect_params |= {
            "connect_timeout": _TIMEOUT,
            "tcp_user_timeout": _TIMEOUT * 1000,
            "application_name": "hookhub node",
        }
        self._mutex = threading.Lock()
        self._closed = False
        connect(self._database, settings)
        self.socket = self._database.connection().fileno()  # type: ignore[no-untyped-call]
        """Readable when the server has ended the session."""

    @property
    def session(self) -> bool:
        """Whether the session is ours from end to end.

        Behind a pooler that lends one server session to many clients (PgBouncer's transaction
        pooling) a session's lock means nothing.
        """
        return not (isinstance(self._database, Sessions) and self._database.pooled)

    def take(self, node: int) -> bool:
        """Take the lock of this number; False if another session has it. Raises StoreUnavailable"""
        query = f"SELECT pg_try_advisory_lock({LOCK_CLASS}, {node})"
        return self._run(lambda: bool(self._value(query)))

    def living(self) -> set[int]:
        """The numbers of all nodes that hold their lock. Raises StoreUnavailable."""
        return self._run(lambda: {row[0] for row in run_sql(self._database, LIVING).fetchall()})

    def server_age(self) -> float:
        """Seconds since the server was started. Raises StoreUnavailable."""
        query = "SELECT EXTRACT(EPOCH FROM now() - pg_postmaster_start_time())"
        return self._run(lambda: float(self._value(query)))

    def close(self) -> None:
        """End the session. A call that still runs in an abandoned thread ends it later."""
        self._closed = True
        self._discard()

    def _value(self, query: str) -> Any:
        return run_sql(self._database, query).fetchone()[0]

    def _run(self, unit: Callable[[], T]) -> T:
        try:
            with self._mutex, translated_errors():
                try:
                    return unit()
                except peewee.ProgrammingError as error:
                    raise StoreUnavailable(f"The database refused: {error}") from error
        finally:
            if self._closed:
                self._discard()

    def _discard(self) -> None:
        if self._mutex.acquire(blocking=False):
            try:
                with contextlib.suppress(peewee.PeeweeException):
                    self._database.close()
            finally:
                self._mutex.release()
