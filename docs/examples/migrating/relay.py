"""Carries an outbox table of the application's own to a hub on another database.

Usage: HOOKHUB_TOKEN=... python3 relay.py app.db https://hub.example.org
"""

import json
import os
import sqlite3
import sys
import time
import uuid
from typing import Any

from hookhub.client import Client, NewEvent

TABLE = """
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    payload TEXT NOT NULL,
    key TEXT,
    event_id TEXT NOT NULL
)
"""


def emit(
    connection: sqlite3.Connection, type: str, payload: dict[str, Any], key: str | None = None
) -> None:
    """For the application; the event's id is made here, once, so no repeat can double it."""
    connection.execute(
        "INSERT INTO outbox (type, payload, key, event_id) VALUES (?, ?, ?, ?)",
        (type, json.dumps(payload), key, uuid.uuid4().hex),
    )


def carry(connection: sqlite3.Connection, hub: Client) -> int:
    """Take up to 500 rows to the hub, and delete them when it has them on its disk."""
    rows = connection.execute(
        "SELECT id, type, payload, key, event_id FROM outbox ORDER BY id LIMIT 500"
    ).fetchall()
    if rows:
        hub.send_many(
            NewEvent(type, json.loads(payload), key=key, id=event_id)
            for _, type, payload, key, event_id in rows
        )
        # Each by its id: with "id <= last", a row that another transaction commits late is lost.
        with connection:
            connection.executemany("DELETE FROM outbox WHERE id = ?", [row[:1] for row in rows])
    return len(rows)


if __name__ == "__main__":
    database = sqlite3.connect(sys.argv[1], timeout=10)
    database.execute(TABLE)
    with Client(sys.argv[2], os.environ["HOOKHUB_TOKEN"], timeout=600) as client:
        while True:
            if not carry(database, client):
                time.sleep(0.25)
