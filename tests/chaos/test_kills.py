"""kill -9 at any moment: nothing that was accepted is lost."""

from __future__ import annotations

from pathlib import Path

import trio
from hookhub_chaos.checks import conclude
from hookhub_chaos.database import Database, Postgres, Sqlite
from hookhub_chaos.plan import plan, rounds, seed
from hookhub_chaos.report import verify
from hookhub_chaos.world import SETTINGS, open_world

from hookhub.testing.hub_process import HubProcess


async def _killed(name: str, hub: HubProcess, database: Database, count: int) -> None:
    chosen = seed()
    async with open_world(hub, database, chosen) as world:
        await world.begin()
        await world.load()
        for kind in plan(count, chosen):
            await trio.sleep(world.chance(f"{kind} {world.tally.rounds}").uniform(0.1, 0.8))
            await world.round(kind)
        await world.end_load()
        await world.settle()
        verify(name, await conclude(world))


async def test_kill_9_at_any_moment(tmp_path: Path) -> None:
    """SQLite: at least a hundred kills, and the lists agree."""
    database = Sqlite(tmp_path / "hookhub.db")
    await _killed("SQLite", HubProcess(tmp_path, SETTINGS), database, rounds(110))
