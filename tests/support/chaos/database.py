"""The hub's database as another program sees it: the outbox, and looks at the rows."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from hookhub.store.nodes import LOCK_CLASS
from hookhub.store.units.leases import GUARDED, lease_node

LEASED = (
    "SELECT id, attempts + 1 FROM hookhub_deliveries WHERE status = 0 AND lease IS NOT NULL "
    "ORDER BY id"
)
INSERT = "INSERT INTO hookhub_outbox (type, payload, key) VALUES (?, ?, ?)"

Row = tuple[Any, ...]


class Database(Protocol):
    """What the proof needs of both databases. All methods block."""

    gone: tuple[type[Exception], ...]
    """What is raised when there is no database; a commit under way may have been one."""

    def insert(self, rows: Sequence[Row], *, commit: bool) -> None:
        """Put rows into ``hookhub_outbox`` in one transaction, and commit or undo it."""

    def leased(self) -> list[tuple[int, int]]:
        """After a kill: deliveries that were claimed, and the number of the attempt."""

    def rows(self, sql: str) -> list[Row]:
        """All rows of a query."""


class Sqlite:
    """A file. One connection at a time, so that a copy of the file is a consistent one."""

    gone: tuple[type[Exception], ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def insert(self, rows: Sequence[Row], *, commit: bool) -> None:
        with self._lock, contextlib.closing(sqlite3.connect(self.path, timeout=10)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(INSERT, rows)
            (connection.commit if commit else connection.rollback)()

    def leased(self) -> list[tuple[int, int]]:
        # A copy: whoever opens the file itself first recovers it, and that is left to the hub.
        with self._lock, tempfile.TemporaryDirectory() as directory:
            copy = Path(directory) / self.path.name
            for suffix in ("", "-wal"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(f"{self.path}{suffix}", f"{copy}{suffix}")
            with contextlib.closing(sqlite3.connect(copy)) as connection:
                return connection.execute(LEASED).fetchall()

    def rows(self, sql: str) -> list[Row]:
        with self._lock, contextlib.closing(sqlite3.connect(self.path, timeout=10)) as connection:
            return connection.execute(sql).fetchall()


class Postgres:
    """A server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.gone: tuple[type[Exception], ...] = (pytest.importorskip("psycopg").OperationalError,)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Any]:
        psycopg = pytest.importorskip("psycopg")
        with contextlib.closing(psycopg.connect(self._url)) as connection:
            yield connection

    def insert(self, rows: Sequence[Row], *, commit: bool) -> None:
        with self._connected() as connection:
            connection.cursor().executemany(INSERT.replace("?", "%s"), rows)
            (connection.commit if commit else connection.rollback)()

    def leased(self) -> list[tuple[int, int]]:
        with self._connected() as connection:
            self._wait_for_the_dead(connection)
            found: list[tuple[int, int]] = connection.execute(LEASED).fetchall()
            return found

    def _wait_for_the_dead(self, connection: Any) -> None:
        """The server ends the dead hub's transactions, one way or the other, when it notices."""
        query = (
            "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'hookhub' "
            "AND datname = current_database()"
        )
        deadline = time.monotonic() + 10
        while connection.execute(query).fetchone()[0] and time.monotonic() < deadline:
            connection.rollback()
            time.sleep(0.01)
        connection.rollback()

    def rows(self, sql: str) -> list[Row]:
        with self._connected() as connection:
            found: list[Row] = connection.execute(sql).fetchall()
            return found


class PostgresOfMany(Postgres):
    """A server with several hubs: what is claimed by those who live is none of the dead one's.

    Args:
        running: how many hubs run.
    """

    def __init__(self, url: str, running: Callable[[], int]) -> None:
        super().__init__(url)
        self._count = running

    def leased(self) -> list[tuple[int, int]]:
        with self._connected() as connection:
            connection.autocommit = True
            deadline = time.monotonic() + 10
            while len(living := self._living(connection)) > self._count():
                assert time.monotonic() < deadline, "the server has not noticed a death"
                time.sleep(0.005)
            rows = connection.execute(LEASED.replace(" FROM", ", lease FROM")).fetchall()
        return [row[:2] for row in rows if row[2] < GUARDED or lease_node(row[2]) not in living]

    def _living(self, connection: Any) -> set[int]:
        found = connection.execute(
            f"SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted "
            f"AND classid = {LOCK_CLASS} AND objsubid = 2 AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return {row[0] for row in found.fetchall()}
