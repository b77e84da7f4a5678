"""Behind PgBouncer: in transaction mode each transaction may run in another of its sessions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
import trio
from structlog.testing import capture_logs

from hookhub.config import DatabaseSettings, PluginsSettings, Settings
from hookhub.contracts.events import Draft, new_event_id
from hookhub.hub import Hub
from hookhub.plugins import Plugins
from hookhub.server import open_hub
from hookhub.store import Reader, Transaction, open_store
from support.pgbouncer import running_pgbouncer

psycopg = pytest.importorskip("psycopg")

TIMEOUT = 4.0
MANY = 12
"""Times that a statement is run: more often than the driver takes to prepare it."""


@pytest.fixture
def pooled_url(postgres_url: str) -> Iterator[str]:
    with running_pgbouncer(postgres_url) as url:
        yield url


@pytest.mark.parametrize(("mode", "sessions"), [("transaction", 3), ("session", 12)])
async def test_a_hub_starts_and_works(
    mode: Literal["transaction", "session"], sessions: int, postgres_url: str
) -> None:
    """It writes and reads at the same time, and says once that it has no lock of its own."""
    plugins = Plugins.load(PluginsSettings(), (), installed=())
    with running_pgbouncer(postgres_url, mode, sessions) as url, capture_logs() as logs:
        settings = Settings.model_validate({"database": {"url": url}})
        async with open_hub(settings, plugins) as hub, trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(work, hub, number)
        async with open_store(settings.database) as store:
            assert await store.read(count) == 6 * MANY
    said = [line for line in logs if line["event"] == "nodes.unguarded"]
    assert [line["log_level"] for line in said] == ["warning"]
    assert "pooler" in said[0]["reason"]


async def work(hub: Hub, number: int) -> None:
    for _ in range(MANY):
        await hub.write(post)
        assert await hub.read(count) >= 1
        await hub.tokens.list()
    assert not any((await hub.readiness()).values())


def post(tx: Transaction) -> None:
    tx.append(Draft(new_event_id(0), "a.b", "{}", tx.now))


def count(reader: Reader) -> int:
    return int(reader.sql("SELECT COUNT(*) FROM hookhub_events")[0][0])


async def test_what_the_hub_sets_stays_with_its_transactions(pooled_url: str) -> None:
    """Others who are lent the same sessions have their own time limits, and the hub always has
    its."""
    names = "name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout')"
    query = f"SELECT setting FROM pg_settings WHERE {names} ORDER BY name"
    settings = DatabaseSettings(url=pooled_url, timeout=TIMEOUT)
    async with open_store(settings) as store:
        for _ in range(MANY):
            mine = await store.write(lambda tx: tx.sql(query))
            assert [int(row[0]) for row in mine] == [2000, 3000, 4000]
            with psycopg.connect(pooled_url, prepare_threshold=None) as other:
                theirs = other.execute(query).fetchall()
                assert [int(row[0]) for row in theirs] == [0, 0, 0]
