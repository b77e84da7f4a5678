"""kill -9 at any moment: nothing that was accepted is lost."""

from __future__ import annotations

from pathlib import Path

import trio

from hookhub.testing.hub_process import HubProcess
from support.chaos.checks import conclude
from support.chaos.database import Postgres, Sqlite
from support.chaos.plan import plan, rounds, seed
from support.chaos.report import verify
from support.chaos.world import SETTINGS, World, open_world


async def _kill(world: World, count: int) -> None:
    await world.begin()
    await world.load()
    chance = world.chance("pauses")
    for kind in plan(count, world.seed):
        await trio.sleep(chance.uniform(0.1, 0.8))
        await world.round(kind)
    await world.end_load()


async def test_kill_9_at_any_moment(tmp_path: Path) -> None:
    """SQLite, more than a hundred kills: a restart takes up at once what was claimed."""
    hub, database = HubProcess(tmp_path, SETTINGS), Sqlite(tmp_path / "hookhub.db")
    async with open_world(hub, database, seed()) as world:
        await _kill(world, rounds(110))
        await world.settle()
        verify("SQLite", await conclude(world))


async def test_kill_9_at_any_moment_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    """PostgreSQL: the same; the server itself says who is dead."""
    hub = HubProcess(tmp_path, {**SETTINGS, "database": {"url": postgres_url}})
    async with open_world(hub, Postgres(postgres_url), seed()) as world:
        await _kill(world, rounds(20))
        await world.settle()
        verify("PostgreSQL", await conclude(world))
