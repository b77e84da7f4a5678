"""A COMMIT whose answer is lost: nobody may say that nothing was stored."""

from __future__ import annotations

import pytest

from hookhub.config import DatabaseSettings
from hookhub.contracts.errors import StoreUnavailable
from hookhub.contracts.events import Draft, new_event_id
from hookhub.store import Reader, Transaction, open_store

DIES_AT_COMMIT = """
CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
CREATE TABLE fuse (id INTEGER);
CREATE CONSTRAINT TRIGGER fuse AFTER INSERT ON fuse DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION end_session()
"""


@pytest.fixture
def settings(any_database: str) -> DatabaseSettings:
    """A PostgreSQL database."""
    if not any_database.startswith("postgresql"):
        pytest.skip("SQLite's COMMIT is no conversation with a server")
    return DatabaseSettings(url=any_database)


async def test_a_connection_that_ends_within_the_commit(settings: DatabaseSettings) -> None:
    """The producer is told that it is not known, and to repeat it with its id; the hub goes on."""
    draft = Draft(new_event_id(0), "user.created", "{}", 1)

    def light_fuse(tx: Transaction) -> None:
        tx.append(draft)
        tx.change("INSERT INTO fuse VALUES (1)")

    def count(reader: Reader) -> int:
        return int(reader.sql("SELECT COUNT(*) FROM hookhub_events")[0][0])

    async with open_store(settings) as store:
        for statement in DIES_AT_COMMIT.split(";\nC"):
            text = statement if statement.startswith("\nC") else "C" + statement
            await store.write(lambda tx, text=text: tx.change(text))  # type: ignore[misc]
        with pytest.raises(StoreUnavailable, match=r"not known.*Idempotency-Key") as failed:
            await store.write(light_fuse)
        assert "Nothing was stored" not in failed.value.detail
        await store.write(lambda tx: tx.append(draft))
        assert await store.read(count) == 1
