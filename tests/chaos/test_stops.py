"""SIGTERM under load: what is under way ends and is recorded, nothing is made twice."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import trio

from hookhub.contracts.events import parse_timestamp
from hookhub.testing.hub_process import HubProcess
from support.chaos.checks import conclude
from support.chaos.database import Sqlite
from support.chaos.plan import rounds, seed
from support.chaos.report import verify
from support.chaos.world import SETTINGS, World, open_world

SLOW: tuple[tuple[str, str, tuple[str, ...], dict[str, Any]], ...] = (
    ("one", "slow", ("*",), {}),
    ("two", "slow", ("*",), {}),
    ("three", "healthy", ("*",), {}),
)
DELIVERED = "SELECT id FROM hookhub_deliveries WHERE status = 1"
STARTED = "SELECT started_at FROM hookhub_attempts ORDER BY started_at"
GRACE = 10.0
"""``[server] graceful_timeout`` of hubs under test."""
SOON = 100_000
"""Microseconds after the signal's line in the log in which an attempt may still have begun."""


async def test_sigterm_makes_no_duplicates(tmp_path: Path) -> None:
    """No new attempts, those in flight end and are recorded, exit 0 within the grace period."""
    settings = {**SETTINGS, "log": {"level": "info"}}
    hub, database = HubProcess(tmp_path, settings), Sqlite(tmp_path / "hookhub.db")
    async with open_world(hub, database, seed()) as world:
        await world.begin(SLOW)
        await world.load(trouble=False)
        for _ in range(rounds(10)):
            await trio.sleep(world.chance(str(world.tally.rounds)).uniform(0.3, 1.0))
            await _stop(world)
            await world.start()
        await world.end_load()
        await world.settle()
        outcome = await conclude(world)
        outcome.faults += _begun_late(world)
        if outcome.duplicates:
            outcome.faults.append(f"{outcome.duplicates} duplicates")
        verify("SIGTERM", outcome)


async def _stop(world: World) -> None:
    world.tally.rounds += 1
    began = time.monotonic()
    world.gate.close()
    status = await trio.to_thread.run_sync(world.hub.signal, signal.SIGTERM)
    assert status == 0
    assert time.monotonic() - began < GRACE
    assert await trio.to_thread.run_sync(world.database.leased) == []
    recorded = {row[0] for row in world.database.rows(DELIVERED)}
    got = {item.delivery for one in world.receivers.values() for item in one.acknowledged}
    assert got == recorded


def _begun_late(world: World) -> Iterator[str]:
    """Attempts that were begun between a signal and the end."""
    started = [row[0] for row in world.database.rows(STARTED)]
    said = [json.loads(line) for line in world.hub.lines if line.startswith("{")]
    lives = [line for line in said if line.get("event") in ("hub.signal", "hub.stopped")]
    for line, then in pairwise(lives):
        if line["event"] == "hub.signal":
            since, until = (parse_timestamp(item["timestamp"]) for item in (line, then))
            late = [moment for moment in started if since + SOON < moment < until]
            if late:
                yield f"{len(late)} attempts were begun after the signal of {line['timestamp']}"
