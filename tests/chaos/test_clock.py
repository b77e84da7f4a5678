"""The wall clock of the hub's process is set forward and back while it works."""

from __future__ import annotations

from pathlib import Path

import trio

from hookhub.testing.hub_process import HubProcess
from hookhub_chaos.checks import conclude
from hookhub_chaos.clock import Clock
from hookhub_chaos.database import Sqlite
from hookhub_chaos.plan import seed
from hookhub_chaos.report import verify
from hookhub_chaos.world import SETTINGS, World, open_world

HOUR = 3600.0
JUMPS = (HOUR, 0.0, -HOUR, -HOUR + 30, 24 * HOUR, 23 * HOUR)
"""Seconds that the clock is ahead of the true time."""


async def test_the_clock_is_moved(tmp_path: Path) -> None:
    """Nothing is lost. Set forward, leases end early: what is under way is made again. Set back,
    retries wait as long as the clock says, and can be made at once by hand."""
    clock, database = Clock(tmp_path / "clock"), Sqlite(tmp_path / "hookhub.db")
    hub = HubProcess(tmp_path, SETTINGS, env=clock.env)
    async with open_world(hub, database, seed()) as world:
        await world.begin()
        for name in ("healthy", "fleeting"):
            world.receivers[name].character = "slow"
        await world.load()
        for number, ahead in enumerate(JUMPS):
            await trio.sleep(1)
            world.tally.jumps.append(trio.current_time())
            clock.set(ahead)
            await trio.sleep(1)
            if number % 2:
                await world.round("any")
        await world.end_load()
        clock.set(0)
        world.heal()
        await world.restart()
        while await _retry_by_hand(world):
            await trio.sleep(0.2)
        await world.settle()
        verify("The clock is moved", await conclude(world))


async def _retry_by_hand(world: World) -> int:
    """Retry everything that waits for a time; how much that was."""
    found = 0
    for webhook in world.ledger.living:
        path = f"/webhooks/{webhook.id}/deliveries?status=pending&limit=200"
        total = (await world.caller.get(path))["total"]
        for offset in range(0, total, 200):
            for item in (await world.caller.get(f"{path}&offset={offset}"))["items"]:
                if not item["held"]:
                    await world.caller.send("POST", f"/deliveries/{item['id']}/retry")
                    found += 1
    return found
