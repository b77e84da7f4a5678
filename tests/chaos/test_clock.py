"""The wall clock of the hub's process is set forward and back while it works."""

from __future__ import annotations

from pathlib import Path

import trio

from hookhub.testing.hub_process import HubProcess
from support.chaos.checks import conclude
from support.chaos.clock import Clock
from support.chaos.database import Sqlite
from support.chaos.plan import seed
from support.chaos.report import verify
from support.chaos.world import SETTINGS, open_world

HOUR = 3600.0
JUMPS = (HOUR, 0.0, -HOUR, -HOUR + 30, 24 * HOUR, 23 * HOUR)
"""Seconds that the clock is ahead of the true time."""


async def test_the_clock_is_moved(tmp_path: Path) -> None:
    """Nothing is lost, nothing is made twice but at kills, and no retry waits for the old time."""
    clock, database = Clock(tmp_path / "clock"), Sqlite(tmp_path / "hookhub.db")
    hub = HubProcess(tmp_path, SETTINGS, env=clock.env)
    async with open_world(hub, database, seed()) as world:
        await world.begin()
        for name in ("healthy", "fleeting"):
            world.receivers[name].character = "slow"
        world.operator.deletes = False
        await world.load()
        for number, ahead in enumerate(JUMPS):
            await trio.sleep(1)
            clock.set(ahead)
            await trio.sleep(1)
            if number % 2:
                await world.round("any")
        await world.end_load()
        clock.set(0)
        world.heal()
        await world.restart()
        await world.settle()
        verify("The clock is moved", await conclude(world))
