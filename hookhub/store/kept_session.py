"""A session on PostgreSQL that is kept for as long as the hub runs, beside those for its work."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import peewee
import trio

from hookhub.config import DatabaseSettings
from hookhub.contracts.errors import StoreUnavailable
from hookhub.store.database import connect, create_database, run_sql, translated_errors
from hookhub.store.sessions import Limits, Sessions

T = TypeVar("T")

_TIMEOUT = 3
"""Seconds until a server that does not take in what is sent to it, or says nothing, counts as
gone."""


async def in_thread(function: Callable[[], T]) -> T:
    """Call what blocks on a session; abandoned when cancelled: a server that hangs must not hold
    up a stop."""
    return await trio.to_thread.run_sync(function, abandon_on_cancel=True)


class KeptSession:
    """One connection of its own. All methods block; from one thread at a time.

    Args:
        settings: a PostgreSQL database.
        name: what the server shows of it (``application_name``).
        silence: seconds until the server ends a session in which nothing is asked (PostgreSQL 14
            and later).

    Raises:
        StoreError: it cannot be connected to.
    """

    def __init__(self, settings: DatabaseSettings, name: str, silence: float) -> None:
        limits = Limits.writing(settings.timeout)._replace(answer=_TIMEOUT, silence=silence)
        self._database = create_database(settings, limits=limits)
        self._database.connect_params |= {
            "connect_timeout": _TIMEOUT,
            "tcp_user_timeout": _TIMEOUT * 1000,
            "application_name": name,
        }
        self._mutex = threading.Lock()
        self._closed = False
        connect(self._database, settings)
        self.socket = self._database.connection().fileno()  # type: ignore[no-untyped-call]
        """Readable when the server says something unasked, or has ended the session."""

    @property
    def is_own(self) -> bool:
        """Whether the session is ours from end to end.

        Behind a pooler that lends one server session to many clients (PgBouncer's transaction
        pooling) what belongs to a session, a lock or a LISTEN, means nothing.
        """
        return not (isinstance(self._database, Sessions) and self._database.pooled)

    def close(self) -> None:
        """End the session. A call that still runs in an abandoned thread ends it later."""
        self._closed = True
        self._discard()

    def value(self, query: str) -> Any:
        """The first value of what a query finds. Raises StoreUnavailable."""
        return self.run(lambda: run_sql(self._database, query).fetchone()[0])

    def run(self, unit: Callable[[], T]) -> T:
        """Run something that uses the connection. Raises StoreUnavailable."""
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
