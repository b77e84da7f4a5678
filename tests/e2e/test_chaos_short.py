"""A few rounds of the proof that nothing is lost; ``tox -e chaos`` has them all."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing

from hookhub.config import Settings
from hookhub.contracts.deliveries import NewEndpoint
from hookhub.server import SAME_SIGNAL, open_hub
from hookhub.store import Transaction
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.serving import settings_for_tests, sqlite_url
from support.chaos.checks import conclude
from support.chaos.cluster import Cluster
from support.chaos.database import PostgresOfMany, Sqlite
from support.chaos.disk import no_growth
from support.chaos.frozen import freezes, settings
from support.chaos.posters import open_trial
from support.chaos.report import verify
from support.chaos.world import SETTINGS, open_world

SEED = 8128
KINDS = ("batch", "attempt", "user", "answer", "start")


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process's files")
async def test_kill_9_and_a_full_disk(tmp_path: Path) -> None:
    """Killed in the middle of things, and out of room for a moment: the lists agree."""
    hub, database = HubProcess(tmp_path, SETTINGS), Sqlite(tmp_path / "hookhub.db")
    async with open_world(hub, database, SEED) as world:
        await world.begin()
        await world.load(4)
        for kind in KINDS:
            await trio.sleep(0.2)
            await world.round(kind)
        with no_growth(hub.pid, 64 * 1024):
            with trio.fail_after(20):
                while not world.ledger.answers["503"]:
                    await trio.sleep(0.02)
        await world.end_load()
        await world.settle()
        verify("Short", await conclude(world))
        assert world.tally.kills.total() > len(KINDS)


async def test_a_node_is_stopped(tmp_path: Path, postgres_url: str) -> None:
    """The other one on its PostgreSQL goes on within the timeout; nothing is lost."""
    hub = Cluster(tmp_path, settings(postgres_url))
    database = PostgresOfMany(postgres_url, lambda: hub.running)
    async with open_world(hub, database, SEED) as world:
        async with freezes(world) as found:
            await found.stop_one()
        await world.end_load()
        kept = {row[0] for row in database.rows("SELECT id FROM hookhub_events")}
        assert kept >= {event_id for event_id, _ in world.ledger.accepted.values()}
        assert found.faults == []


async def test_sigterm_breaks_no_request_off(tmp_path: Path) -> None:
    """Clients that post on kept connections lose nothing, with a delay and without."""
    hub = HubProcess(tmp_path, {**SETTINGS, "log": {"level": "info"}})
    async with open_trial(hub) as trial:
        for delay in (0.0, 0.3):
            assert (await trial.stop(16, 0.3, delay)).faults == []


async def test_the_second_sigterm_ends_the_hub_at_once(tmp_path: Path) -> None:
    """The first makes it not ready, and leaves it serving for the delay."""
    hub = HubProcess(tmp_path, {"server": {"drain_delay": 60.0}, "log": {"level": "info"}})
    await trio.to_thread.run_sync(hub.start)
    try:
        os.kill(hub.pid, signal.SIGTERM)
        await trio.to_thread.run_sync(hub.wait_line, "hub.signal")
        async with hub.async_client() as http:
            assert (await http.get("/health/ready")).status_code == 503
            event = {"type": "user.created", "payload": {"user_id": 1}}
            assert (await http.post("/events", json=event)).status_code == 202
        await trio.sleep(SAME_SIGNAL)
        assert await trio.to_thread.run_sync(hub.terminate) == 128 + signal.SIGTERM
    finally:
        hub.kill()


async def test_a_commit_during_the_stop_leaves_no_lease(tmp_path: Path) -> None:
    """What is handed over by a transaction that ends after the stop began is due at once."""
    settings = Settings.model_validate(settings_for_tests(sqlite_url(tmp_path)))
    begun, go_on = threading.Event(), threading.Event()
    with trio.fail_after(20):
        async with open_hub(settings) as hub, trio.open_nursery() as nursery:
            new = NewEndpoint("w", ("*",), {"url": "http://127.0.0.1:9/"})
            await hub.endpoints.create("webhook", new)
            draft = hub.draft("user.created", {"user_id": 1})

            def unit(tx: Transaction) -> None:
                tx.append(draft)
                begun.set()
                go_on.wait(10)

            nursery.start_soon(hub.write, unit)
            await trio.to_thread.run_sync(begun.wait)
            hub.stopping.set()
            await trio.testing.wait_all_tasks_blocked(0.05)
            go_on.set()
    with closing(sqlite3.connect(tmp_path / "hookhub.db")) as connection:
        rows = connection.execute("SELECT lease FROM hookhub_deliveries WHERE status = 0")
        assert rows.fetchall() == [(None,)]
