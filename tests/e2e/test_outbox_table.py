"""Events that other programs insert into ``hookhub_outbox`` within transactions of their own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from hookhub.server import Started
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.waiting import wait_until, wait_until_async


class Program(Protocol):
    """Another program's connection to the hub's database, with nothing of hookhub in it."""

    def execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement; ``?`` stands for values."""

    def commit(self) -> None:
        """End the transaction."""

    def rollback(self) -> None:
        """Undo the transaction."""


class SqliteProgram:
    """Plain sqlite3."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.commit = connection.commit
        self.rollback = connection.rollback

    def execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values).fetchall()


class PostgresProgram:
    """Plain psycopg."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.commit = connection.commit
        self.rollback = connection.rollback

    def execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(sql.replace("?", "%s"), values)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def _connected(url: str) -> Iterator[Program]:
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        with closing(sqlite3.connect(path, timeout=10)) as connection:
            yield SqliteProgram(connection)
    else:
        import psycopg

        with closing(psycopg.connect(url)) as connection:
            yield PostgresProgram(connection)


@pytest.fixture
def hub_database(any_database: str) -> str:
    """Each test runs on SQLite and on PostgreSQL."""
    return any_database


@pytest.fixture
def program(hub_server: Started, hub_database: str) -> Iterator[Program]:
    """A program that shares the running hub's database."""
    with _connected(hub_database) as connected:
        yield connected


def _insert(program: Program, kind: str, payload: object, **columns: str) -> None:
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    names = ["type", "payload", *columns]
    marks = ", ".join("?" * len(names))
    sql = f"INSERT INTO hookhub_outbox ({', '.join(names)}) VALUES ({marks})"
    program.execute(sql, kind, text, *columns.values())


async def _events(api: httpx.AsyncClient, count: int) -> list[dict[str, Any]]:
    """The history, as soon as there are so many events."""

    async def enough() -> list[dict[str, Any]] | None:
        items: list[dict[str, Any]] = (await api.get("/events")).json()["items"]
        return items if len(items) >= count else None

    found = await wait_until_async(enough) if count else (await api.get("/events")).json()["items"]
    return found or []


async def _all_looked_at(program: Program) -> None:
    """Return when no row waits any more."""

    async def none_waits() -> bool:
        found = program.execute("SELECT COUNT(*) FROM hookhub_outbox WHERE error IS NULL")
        program.commit()
        return bool(found[0][0] == 0)

    await wait_until_async(none_waits)


async def test_a_committed_row_becomes_an_event(api: httpx.AsyncClient, program: Program) -> None:
    """Two columns are enough; the row is gone once it is an event."""
    payload = {"user_id": 1, "first_name": "Аня"}
    _insert(program, "user.created", payload)
    program.commit()
    (event,) = await _events(api, 1)
    assert (event["type"], event["payload"], event["sequence"]) == ("user.created", payload, 1)
    assert program.execute("SELECT COUNT(*) FROM hookhub_outbox") == [(0,)]


async def test_all_columns_are_taken(api: httpx.AsyncClient, program: Program) -> None:
    """An ordering key, a source and an id of one's own come along."""
    own = {"key": "user-1", "source": "crm", "event_id": "evt_of_the_crm"}
    _insert(program, "user.created", {"user_id": 1}, **own)
    program.commit()
    (event,) = await _events(api, 1)
    assert (event["key"], event["source"], event["id"]) == tuple(own.values())


async def test_a_row_is_seen_only_with_its_transaction(
    api: httpx.AsyncClient, program: Program
) -> None:
    """What is rolled back never was; what belongs together comes together, in its order."""
    _insert(program, "user.created", {"user_id": 1})
    program.rollback()
    program.execute("CREATE TABLE orders (id INTEGER)")
    program.execute("INSERT INTO orders VALUES (7)")
    for user in (2, 3, 4):
        _insert(program, "user.created", {"user_id": user})
    program.commit()
    events = await _events(api, 3)
    assert [event["payload"]["user_id"] for event in events] == [2, 3, 4]


BAD_ROWS = {
    "unknown type": ("user.craeted", '{"user_id": 1}', "user.created"),
    "not json": ("user.created", "{user_id: 1}", "not JSON"),
    "not an object": ("user.created", "[1]", "object"),
    "wrong field": ("user.created", '{"user_id": "one"}', "user_id"),
    "too deep": ("user.created", "[" * 100_000, "deep"),
    "not finite": ("user.created", '{"user_id": 1, "x": NaN}', "NaN"),
    "infinite": ("user.created", '{"user_id": 1, "x": 1e999}', "JSON"),
}


async def test_a_bad_row_stays_and_says_why(api: httpx.AsyncClient, program: Program) -> None:
    """A row that cannot become an event keeps its contents and gets a reason; the good rows before
    and behind it become events all the same."""
    _insert(program, "user.created", {"user_id": 100})
    for kind, payload, _ in BAD_ROWS.values():
        _insert(program, kind, payload)
    _insert(program, "user.created", {"user_id": 101})
    program.commit()
    await _all_looked_at(program)
    users = [event["payload"]["user_id"] for event in await _events(api, 2)]
    assert users == [100, 101]
    rows = program.execute("SELECT type, payload, error FROM hookhub_outbox ORDER BY id")
    assert [row[:2] for row in rows] == [row[:2] for row in BAD_ROWS.values()]
    for row, (_, _, reason) in zip(rows, BAD_ROWS.values(), strict=True):
        assert reason in row[2]


async def test_a_mended_row_is_tried_again(api: httpx.AsyncClient, program: Program) -> None:
    """Setting error to NULL has a mended row tried again."""
    _insert(program, "user.craeted", {"user_id": 1})
    program.commit()
    await _all_looked_at(program)
    assert await _events(api, 0) == []
    program.execute("UPDATE hookhub_outbox SET type = ?, error = NULL", "user.created")
    program.commit()
    await _events(api, 1)


def test_rows_wait_for_a_hub_that_is_down(hub_process: HubProcess, hub_database: str) -> None:
    """What was inserted while no hub ran becomes events at the next start."""
    hub_process.kill()
    with _connected(hub_database) as program:
        _insert(program, "user.created", {"user_id": 1})
        program.commit()
    hub_process.start()
    with hub_process.client() as http:
        wait_until(lambda: http.get("/events").json()["items"])


async def test_an_open_transaction_does_not_stop_the_hub(
    api: httpx.AsyncClient, program: Program
) -> None:
    """A program that keeps its transaction open holds up no reading, and loses nothing."""
    _insert(program, "user.created", {"user_id": 1})
    assert await _events(api, 0) == []
    program.commit()
    await _events(api, 1)
