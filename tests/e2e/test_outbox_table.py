"""Events that other programs insert into ``hookhub_outbox`` within transactions of their own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.waiting import wait_until


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
def program(hub_process: HubProcess, hub_database: str) -> Iterator[Program]:
    """A program that shares the running hub's database."""
    with _connected(hub_database) as connected:
        yield connected


def _insert(program: Program, kind: str, payload: object, **columns: str) -> None:
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    names = ["type", "payload", *columns]
    marks = ", ".join("?" * len(names))
    sql = f"INSERT INTO hookhub_outbox ({', '.join(names)}) VALUES ({marks})"
    program.execute(sql, kind, text, *columns.values())


def _events(hub: HubProcess) -> list[dict[str, Any]]:
    with hub.client() as http:
        items: list[dict[str, Any]] = http.get("/events").json()["items"]
        return items


def _waiting(program: Program) -> int:
    found = program.execute("SELECT COUNT(*) FROM hookhub_outbox WHERE error IS NULL")
    program.commit()
    return int(found[0][0])


def test_a_committed_row_becomes_an_event(hub_process: HubProcess, program: Program) -> None:
    """Two columns are enough; the row is gone once it is an event."""
    payload = {"user_id": 1, "first_name": "Аня"}
    _insert(program, "user.created", payload)
    program.commit()
    (event,) = wait_until(lambda: _events(hub_process))
    assert (event["type"], event["payload"], event["sequence"]) == ("user.created", payload, 1)
    assert program.execute("SELECT COUNT(*) FROM hookhub_outbox") == [(0,)]


def test_all_columns_are_taken(hub_process: HubProcess, program: Program) -> None:
    """An ordering key, a source and an id of one's own come along."""
    own = {"key": "user-1", "source": "crm", "event_id": "evt_of_the_crm"}
    _insert(program, "user.created", {"user_id": 1}, **own)
    program.commit()
    (event,) = wait_until(lambda: _events(hub_process))
    assert (event["key"], event["source"], event["id"]) == tuple(own.values())


def test_a_row_is_seen_only_with_its_transaction(hub_process: HubProcess, program: Program) -> None:
    """What is rolled back never was; what belongs together comes together, in its order."""
    _insert(program, "user.created", {"user_id": 1})
    program.rollback()
    program.execute("CREATE TABLE orders (id INTEGER)")
    program.execute("INSERT INTO orders VALUES (7)")
    for user in (2, 3, 4):
        _insert(program, "user.created", {"user_id": user})
    program.commit()
    events = wait_until(lambda: len(found := _events(hub_process)) >= 3 and found)
    assert [event["payload"]["user_id"] for event in events or []] == [2, 3, 4]


BAD_ROWS = {
    "unknown type": ("user.craeted", '{"user_id": 1}', "user.created"),
    "not json": ("user.created", "{user_id: 1}", "not JSON"),
    "not an object": ("user.created", "[1]", "object"),
    "wrong field": ("user.created", '{"user_id": "one"}', "user_id"),
    "too deep": ("user.created", "[" * 100_000, "deep"),
    "not finite": ("user.created", '{"user_id": 1, "x": NaN}', "NaN"),
    "infinite": ("user.created", '{"user_id": 1, "x": 1e999}', "JSON"),
}


def test_a_bad_row_stays_and_says_why(hub_process: HubProcess, program: Program) -> None:
    """A row that cannot become an event keeps its contents and gets a reason; the good rows before
    and behind it become events all the same."""
    _insert(program, "user.created", {"user_id": 100})
    for kind, payload, _ in BAD_ROWS.values():
        _insert(program, kind, payload)
    _insert(program, "user.created", {"user_id": 101})
    program.commit()
    wait_until(lambda: _waiting(program) == 0)
    users = [event["payload"]["user_id"] for event in _events(hub_process)]
    assert users == [100, 101]
    rows = program.execute("SELECT type, payload, error FROM hookhub_outbox ORDER BY id")
    assert [row[:2] for row in rows] == [row[:2] for row in BAD_ROWS.values()]
    for row, (_, _, reason) in zip(rows, BAD_ROWS.values(), strict=True):
        assert reason in row[2]


def test_a_mended_row_is_tried_again(hub_process: HubProcess, program: Program) -> None:
    """Setting error to NULL has a mended row tried again."""
    _insert(program, "user.craeted", {"user_id": 1})
    program.commit()
    wait_until(lambda: _waiting(program) == 0)
    assert _events(hub_process) == []
    program.execute("UPDATE hookhub_outbox SET type = ?, error = NULL", "user.created")
    program.commit()
    wait_until(lambda: _events(hub_process))


def test_rows_wait_for_a_hub_that_is_down(hub_process: HubProcess, program: Program) -> None:
    """What was inserted while no hub ran becomes events at the next start."""
    hub_process.kill()
    _insert(program, "user.created", {"user_id": 1})
    program.commit()
    hub_process.start()
    wait_until(lambda: _events(hub_process))


def test_an_open_transaction_does_not_stop_the_hub(
    hub_process: HubProcess, program: Program
) -> None:
    """A program that keeps its transaction open holds up no reading, and loses nothing."""
    _insert(program, "user.created", {"user_id": 1})
    assert _events(hub_process) == []
    program.commit()
    wait_until(lambda: _events(hub_process))
