"""Events from psycopg, put down in the transaction that changes the data."""

import json
from typing import Any

import psycopg


def emit(
    connection: psycopg.Connection[Any], type: str, payload: dict[str, Any], key: str | None = None
) -> None:
    """The event is there when, and only if, the connection's transaction commits."""
    connection.execute(
        "INSERT INTO hookhub_outbox (type, payload, key) VALUES (%s, %s, %s)",
        (type, json.dumps(payload), key),
    )
