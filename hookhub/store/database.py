"""Connections: one place that knows how SQLite and PostgreSQL differ."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import peewee

from hookhub.config import DatabaseSettings
from hookhub.contracts.errors import StatementRefused, StoreError, StoreUnavailable
from hookhub.secretbox import SecretBox
from hookhub.store.sessions import Limits, Sessions

SQLITE_PREFIX = "sqlite:///"
NO_KEYS = SecretBox(())
"""Leaves secrets as they are."""


def is_sqlite(url: str) -> bool:
    """Whether this URL names an SQLite file."""
    return url.startswith("sqlite:")


def sqlite_path(url: str) -> Path:
    """The file that an SQLite URL names.

    Raises:
        StoreError: not a file that several connections can share.
    """
    path = unquote(url.removeprefix(SQLITE_PREFIX))
    if not url.startswith(SQLITE_PREFIX) or not path or path.startswith(":memory:"):
        raise StoreError(
            f"[database] url = {url!r} names no file; write sqlite:///hookhub.db for a file beside "
            "the program, or sqlite:////var/lib/hookhub.db for an absolute path."
        )
    return Path(path)


def redacted_url(url: str) -> str:
    """The URL without its password, for messages."""
    # The last "@" of the authority ends the password, also where one in it was not escaped.
    url = re.sub(r"(?<=://)([^/:@?]*):[^/?]*@", r"\1:***@", url)
    return re.sub(r"(?i)([?&](?:ssl)?password=)[^&#]*", r"\1***", url)


def _passwords(url: str) -> list[str]:
    """All that may be a password in the URL, or a part of one."""
    parts = urlsplit(url)
    found = [value for name, value in parse_qsl(parts.query) if "password" in name.lower()]
    user_info = parts.netloc.rpartition("@")[0]
    password = user_info.partition(":")[2]
    # What the driver takes for the host is what follows the first "@".
    found += [password, unquote(password), *password.split("@")]
    return sorted((item for item in found if len(item) > 1), key=len, reverse=True)


def create_database(
    settings: DatabaseSettings, *, read_only: bool = False, limits: Limits | None = None
) -> peewee.Database:
    """A database object, not yet connected, for use by one thread at a time.

    Args:
        settings: which one.
        read_only: for units that only read.
        limits: of transactions on PostgreSQL, if not those for units of work.
    """
    if is_sqlite(settings.url):
        pragmas: dict[str, Any] = {
            "busy_timeout": round(settings.timeout * 1000),
            "journal_mode": "wal",
            # 202 means on disk. FULL syncs the log at each commit; group commit shares that
            # among all units that wait.
            "synchronous": "full",
            "foreign_keys": 1,
            "cache_size": -16 * 1024,
            # 16 MB instead of 4: with a large backlog each delivery touches other pages, and the
            # writer would spend its time copying them back.
            "wal_autocheckpoint": 4000,
        }
        if read_only:
            pragmas = {"busy_timeout": pragmas["busy_timeout"], "query_only": 1}
        return peewee.SqliteDatabase(
            str(sqlite_path(settings.url)),
            pragmas=pragmas,
            timeout=settings.timeout,
            thread_safe=False,
            check_same_thread=False,
            cached_statements=512,
        )
    usual = Limits.reading if read_only else Limits.writing
    return Sessions(
        settings.url,
        limits or usual(settings.timeout),
        thread_safe=False,
        connect_timeout=max(2, round(settings.timeout)),
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=round(settings.timeout * 1000),
    )


def connect(database: peewee.Database, settings: DatabaseSettings) -> None:
    """Open the connection.

    Raises:
        StoreError: it cannot be opened; says why and what to do.
    """
    if is_sqlite(settings.url):
        _create_private(sqlite_path(settings.url))
    try:
        database.connect()
    except (peewee.PeeweeException, sqlite3.Error, ImportError, AttributeError) as error:
        raise _cannot_open(settings, error) from error


def _create_private(path: Path) -> None:
    """Make a new database file readable by its owner alone: there are secrets in it.

    SQLite gives its log files the same permissions. Who must share the file changes them once.
    """
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _cannot_open(settings: DatabaseSettings, error: Exception) -> StoreError:
    where = redacted_url(settings.url)
    if not is_sqlite(settings.url):
        if isinstance(error, peewee.ImproperlyConfigured | ImportError | AttributeError):
            return StoreError(
                "PostgreSQL needs the psycopg driver; install it with "
                "pip install 'hookhub[postgres]'."
            )
        reason = _first_line(error)
        for password in _passwords(settings.url):
            reason = reason.replace(password, "***")
        return StoreError(
            f"Cannot connect to {where}: {reason}. Check [database] url and that the "
            "server runs and lets this user in."
        )
    path = sqlite_path(settings.url)
    text = str(error)
    if "not a database" in text or "malformed" in text:
        return StoreError(
            f"{path} is not an SQLite database (or it is damaged); point [database] url at another "
            "file, or move this one away and the hub makes a new one."
        )
    if path.is_dir():
        return StoreError(f"{path} is a directory; [database] url must name a file in it.")
    if not path.parent.exists():
        return StoreError(f"The directory {path.parent} does not exist; create it first.")
    return StoreError(f"Cannot open {path}: {_first_line(error)}. Check its permissions.")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


_DRIVERS = (peewee.PeeweeException, sqlite3.Error)
_CALLERS = (peewee.IntegrityError, peewee.DataError, sqlite3.IntegrityError, sqlite3.DataError)
_REFUSALS = (peewee.ProgrammingError, peewee.NotSupportedError)
_LIMITS_AND_ABORTED = ("54", "25P02")
"""SQLSTATEs of further refusals: a statement is over a limit of the server, or comes after one that
was refused and that the unit did not heed."""


def _is_refusal(error: Exception) -> bool:
    """Whether the database refused a statement for what it says, and works.

    SQLite's driver calls a missing table an OperationalError, as it does a full disk; only the
    library's own code tells them apart. https://www.sqlite.org/rescode.html
    """
    cause = error.__cause__ or error.__context__ or error
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return bool(code & 0xFF == sqlite3.SQLITE_ERROR)
    state = getattr(cause, "sqlstate", None) or ""
    return isinstance(error, _REFUSALS) or state.startswith(_LIMITS_AND_ABORTED)


def translated(error: Exception) -> Exception:
    """What to tell of an error: another one if a driver raised it.

    Constraint violations stay as they are: they are the caller's business.

    Returns:
        the error itself, or :class:`StatementRefused`, or else :class:`StoreUnavailable`.
    """
    if not isinstance(error, _DRIVERS) or isinstance(error, _CALLERS):
        return error
    told: StoreUnavailable
    if _is_refusal(error):
        told = StatementRefused(
            f"The database refused a statement: {_first_line(error)}. Nothing was stored; it is "
            "the code that asked, not the database that is at fault."
        )
    else:
        told = StoreUnavailable(
            f"The database did not take it: {_first_line(error)}. Nothing was stored; "
            "try again later.",
            headers={"Retry-After": "1"},
        )
    told.__cause__ = error
    return told


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what the drivers raise into :class:`StoreUnavailable`; see :func:`translated`."""
    try:
        yield
    except Exception as error:
        told = translated(error)
        if told is error:
            raise
        raise told from error


def is_aborted(database: peewee.Database) -> bool:
    """Whether PostgreSQL takes nothing more in this transaction, and would roll it back at COMMIT
    without a word: somebody went on after a statement that was refused."""
    if isinstance(database, peewee.SqliteDatabase):
        return False
    connection = database.connection()  # type: ignore[no-untyped-call]
    return bool(connection.info.transaction_status.name == "INERROR")


@lru_cache(maxsize=1024)
def _native(text: str, param: str) -> str:
    if param == "?":
        return text
    return text.replace("%", "%%").replace("?", param)


_INSERT_SIZES = (1000, 500, 256, 128, 100, 64, 32, 16, 8, 4, 2, 1)
"""Few sizes, so that the driver can keep the compiled statements; round ones, because batches are.
The largest stays below SQLite's 32,766 parameters with 32 columns."""


@lru_cache(maxsize=256)
def _insert_statement(into: str, width: int, size: int, param: str) -> str:
    row = "(" + ", ".join([param] * width) + ")"
    return f"{into} VALUES " + ", ".join([row] * size)


def run_sql(database: peewee.Database, text: str, params: Sequence[Any] = ()) -> Any:
    """Run SQL in the driver's own placeholder style; returns the cursor."""
    return database.execute_sql(text, params)  # type: ignore[no-untyped-call]


def marks(values: Sized) -> str:
    """A placeholder for each of the values, for ``IN (…)``."""
    return ", ".join("?" * len(values))


def begin(database: peewee.Database, *, read_only: bool = False) -> None:
    """Begin a transaction, on PostgreSQL within the limits that the database was made with."""
    if isinstance(database, Sessions):
        database.begin_limited("ISOLATION LEVEL REPEATABLE READ READ ONLY" if read_only else "")
    else:
        run_sql(database, "BEGIN" if read_only else "BEGIN IMMEDIATE")


@contextmanager
def pipelined(database: peewee.Database) -> Iterator[None]:
    """Send the statements of the block without waiting for the answer to each: one round trip.

    What :meth:`Reader.ask` asks may be had after the block, which raises what any of them met; of
    blocks within each other, after the outermost. On SQLite there is nothing to wait for; through a
    pooler each goes by itself.
    """
    if isinstance(database, Sessions) and database.pipelines:
        connection = database.connection()  # type: ignore[no-untyped-call]
        if not connection.info.pipeline_status:
            with peewee.__exception_wrapper__, connection.pipeline():  # type: ignore[attr-defined]
                yield
            return
    yield


class Reader:
    """Runs queries on one connection; handed to units of work, valid only inside them."""

    def __init__(self, database: peewee.Database, now: int, box: SecretBox = NO_KEYS) -> None:
        self._database = database
        self.now = now
        """Microseconds since 1970, by the hub's clock."""
        self.box = box
        """Seals what must not be read from the database, and opens it."""

    @property
    def database(self) -> peewee.Database:
        """The connection's database, for queries that no method here makes."""
        return self._database

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite (else PostgreSQL)."""
        return isinstance(self._database, peewee.SqliteDatabase)

    @property
    def skip_locked(self) -> str:
        """Ends a SELECT of rows that are about to be changed, but for those that others have."""
        return "" if self.is_sqlite else " FOR UPDATE SKIP LOCKED"

    def unhurried(self) -> None:
        """Let the statements of this transaction take longer than ``[database] timeout`` allows.

        For one that changes rows without number; nobody can tell it from one that hangs.
        """
        if isinstance(self._database, Sessions):
            self._database.unhurried()

    def execute(self, query: Any) -> Any:
        """Run any peewee query here; an insert returns the new id, an update the row count."""
        return query.execute(self.database)

    def rows(self, query: Any) -> list[dict[str, Any]]:
        """All rows of a select, as dictionaries."""
        return list(query.dicts().execute(self.database))

    def row(self, query: Any) -> dict[str, Any] | None:
        """The first row of a select, or None."""
        found = self.rows(query.limit(1))
        return found[0] if found else None

    def scalar(self, query: Any) -> Any:
        """The first column of the first row, or None."""
        for found in query.tuples().execute(self.database):
            return found[0]
        return None

    def sql(self, text: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run SQL with ``?`` as placeholder; returns the rows, if it makes any."""
        cursor = run_sql(self.database, _native(text, self.database.param), params)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def ask(self, text: str, params: Sequence[Any] = ()) -> Callable[[], list[tuple[Any, ...]]]:
        """Run SQL that makes rows, with ``?`` as placeholder; returns what returns them.

        Within ``pipelined()``, they are there after the block.
        """
        cursor = run_sql(self.database, _native(text, self.database.param), params)
        return lambda: [tuple(row) for row in cursor.fetchall()]

    def records(self, text: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Run a SELECT with ``?`` as placeholder; returns its rows, column to value."""
        cursor = run_sql(self.database, _native(text, self.database.param), params)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def change(self, text: str, params: Sequence[Any] = ()) -> int:
        """Run SQL that changes rows, with ``?`` as placeholder; returns how many."""
        cursor = run_sql(self.database, _native(text, self.database.param), params)
        return int(cursor.rowcount)

    def insert(self, table: str, values: Mapping[str, Any]) -> int:
        """Insert one row, column to value; returns its ``id``."""
        text = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks(values)}) RETURNING id"
        return int(self.sql(text, list(values.values()))[0][0])

    def update(self, table: str, row_id: int, values: Mapping[str, Any]) -> None:
        """Change columns of the row with this ``id``."""
        changes = ", ".join(f"{name} = ?" for name in values)
        self.change(f"UPDATE {table} SET {changes} WHERE id = ?", [*values.values(), row_id])

    def insert_rows(self, into: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows, as many in one statement as pays.

        SQLite's driver gives up the interpreter's lock once for each statement, not for each row:
        a batch goes in while the main thread reads the next one.

        Args:
            into: ``INSERT INTO table (columns)``.
        """
        at = 0
        for size in _INSERT_SIZES:
            while len(rows) - at >= size:
                text = _insert_statement(into, len(rows[0]), size, self.database.param)
                run_sql(self.database, text, list(chain.from_iterable(rows[at : at + size])))
                at += size

    def many(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run SQL with ``?`` as placeholder once for each of ``rows``."""
        cursor = self.database.cursor()  # type: ignore[no-untyped-call]
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
            cursor.executemany(_native(text, self.database.param), rows)
