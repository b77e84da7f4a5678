"""Events from SQLAlchemy, put down in the transaction that changes the data."""

import json
from typing import Any

from sqlalchemy import BigInteger, Column, Insert, MetaData, Table, Text, insert

# In a MetaData of its own: the table is the hub's to make, not create_all's or Alembic's.
outbox = Table(
    "hookhub_outbox",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("type", Text),
    Column("payload", Text),
    Column("key", Text),
)


def event(type: str, payload: dict[str, Any], key: str | None = None) -> Insert:
    """A statement for the session; the event is there when, and only if, that commits."""
    return insert(outbox).values(type=type, payload=json.dumps(payload), key=key)
