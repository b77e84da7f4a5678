"""An administrator, or a fail-over, ends the hub's sessions at PostgreSQL again and again."""

from __future__ import annotations

import random
from pathlib import Path

import httpx
import psycopg
import trio

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.receiver import open_receiver

ROUNDS = 60
POSTERS = 8
SOON = 15.0
"""Seconds from the last end of a session to the last delivery; a lease lasts 95."""
END = (
    "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < %s"
)
LEASED = "SELECT COUNT(*) FROM hookhub_deliveries WHERE status = 0"


async def post(http: httpx.AsyncClient, number: int, stop: trio.Event, taken: set[str]) -> None:
    """One event after the other, each repeated with its id until it is taken."""
    position = 0
    while not stop.is_set():
        position += 1
        event = {"id": f"e-{number}-{position}", "type": "user.created", "payload": {"user_id": 1}}
        while (await http.post("/events", json=event)).status_code != 202:
            await trio.sleep(0.05)
        taken.add(str(event["id"]))


async def test_sessions_end_under_load(tmp_path: Path, postgres_url: str) -> None:
    """One at a time or all at once: everything taken is delivered within seconds: nothing that
    a COMMIT has leased without an answer waits for the end of its lease."""
    chance = random.Random(4)
    taken: set[str] = set()
    settings = {"database": {"url": postgres_url}, "log": {"level": "warning"}}
    with (
        HubProcess(tmp_path, settings) as hub,
        psycopg.connect(postgres_url, autocommit=True) as db,
    ):
        async with open_receiver() as receiver, hub.async_client() as http:
            new = {"name": "one", "url": receiver.url, "event_type": "*"}
            (await http.post("/webhooks", json=new)).raise_for_status()
            stop = trio.Event()
            async with trio.open_nursery() as nursery:
                for number in range(POSTERS):
                    nursery.start_soon(post, http, number, stop, taken)
                for _ in range(ROUNDS):
                    await trio.sleep(chance.uniform(0.05, 0.5))
                    db.execute(END, (chance.choice([0.3, 1.0]),))
                stop.set()
            began, left = trio.current_time(), 1
            with trio.move_on_after(SOON):
                while left:
                    await trio.sleep(0.05)
                    row = db.execute(LEASED).fetchone()
                    assert row is not None
                    left = row[0]
            seconds = trio.current_time() - began
            unknown = sum("commit_unknown" in line for line in hub.lines)
            print(f"{len(taken)} events, {unknown} COMMITs unknown, the last after {seconds:.1f} s")
            assert left == 0
            assert {request.header("webhook-id") for request in receiver.requests} >= taken
