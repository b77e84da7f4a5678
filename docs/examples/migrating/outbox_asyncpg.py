"""Events from asyncpg, put down in the transaction that changes the data."""

import json
from typing import Any

import asyncpg


async def emit(
    connection: asyncpg.Connection, type: str, payload: dict[str, Any], key: str | None = None
) -> None:
    """Inside of connection.transaction(): the event is there when, and only if, that commits."""
    await connection.execute(
        "INSERT INTO hookhub_outbox (type, payload, key) VALUES ($1, $2, $3)",
        type,
        json.dumps(payload),
        key,
    )
