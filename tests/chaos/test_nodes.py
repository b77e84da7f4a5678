"""Several hubs on one PostgreSQL, and a PostgreSQL that crashes under them."""

from __future__ import annotations

from pathlib import Path

import trio

from hookhub.testing.postgres import PostgresCluster, running_cluster
from support.chaos.checks import conclude
from support.chaos.cluster import Cluster
from support.chaos.database import PostgresOfMany
from support.chaos.plan import plan, rounds, seed
from support.chaos.report import verify
from support.chaos.world import SETTINGS, World, open_world


async def test_nodes_are_killed_in_turn(tmp_path: Path, postgres_url: str) -> None:
    """Two of them; one lives and takes over what the other was about, and then the other way."""
    hub = Cluster(tmp_path, {**SETTINGS, "database": {"url": postgres_url}})
    database = PostgresOfMany(postgres_url, lambda: hub.running)
    async with open_world(hub, database, seed()) as world:
        await world.begin()
        await world.load()
        chance = world.chance("pauses")
        for kind in plan(rounds(30), world.seed):
            await trio.sleep(chance.uniform(0.1, 0.8))
            await world.round(kind)
        await world.end_load()
        await world.settle()
        verify("Two nodes", await conclude(world))


async def test_the_database_crashes(tmp_path: Path) -> None:
    """As ``kill -9`` of the server; the hubs live on, and nothing is made twice."""
    with running_cluster() as server:
        url = server.new_database()
        hub = Cluster(tmp_path, {**SETTINGS, "database": {"url": url, "timeout": 5.0}})
        async with open_world(hub, PostgresOfMany(url, lambda: hub.running), seed()) as world:
            await world.begin()
            await world.load()
            for _ in range(rounds(8)):
                await _crash(world, server)
            await world.end_load()
            await world.settle()
            outcome = await conclude(world)
            if outcome.duplicates > outcome.unheard:
                outcome.faults.append(f"{outcome.duplicates} duplicates")
            verify("The database crashes", outcome)


async def _crash(world: World, server: PostgresCluster) -> None:
    world.tally.rounds += 1
    chance = world.chance(f"crash {world.tally.rounds}")
    await trio.sleep(chance.uniform(0.5, 2.0))
    await trio.to_thread.run_sync(server.stop, "immediate")
    await trio.sleep(chance.uniform(0.0, 4.0))
    await trio.to_thread.run_sync(server.start)
    goal = world.ledger.answers["202"] + 10
    with trio.fail_after(30):
        while world.ledger.answers["202"] < goal:
            await trio.sleep(0.05)
