"""One of two nodes freezes under load, or its network does: the other one goes on."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from support.chaos.cluster import Cluster
from support.chaos.database import PostgresOfMany
from support.chaos.frozen import freezes, settings
from support.chaos.plan import rounds, seed
from support.chaos.world import open_world
from support.frozen import FreezingProxy


async def test_nodes_are_stopped(tmp_path: Path, postgres_url: str) -> None:
    """SIGSTOP of either, fifty times: the other accepts again within the timeout, says that it is
    not ready as long as it does not, and the stopped one is back by itself after SIGCONT."""
    hub = Cluster(tmp_path, settings(postgres_url))
    database = PostgresOfMany(postgres_url, lambda: hub.running)
    async with open_world(hub, database, seed()) as world:
        async with freezes(world) as found:
            for _ in range(rounds(50)):
                await found.stop_one()
        await found.conclude("Stopped nodes")


async def test_connections_freeze(tmp_path: Path, postgres_url: str) -> None:
    """Between either and the database nothing passes any more, twenty times: the other one goes on,
    and the one behind says that it is not ready, as fast as ever, and is back when it thaws."""
    hub = Cluster(tmp_path, settings(postgres_url))
    database = PostgresOfMany(postgres_url, lambda: hub.running)
    with ExitStack() as stack:
        proxies = [stack.enter_context(FreezingProxy(postgres_url)) for _ in hub.nodes]
        for node, proxy in zip(hub.nodes, proxies, strict=True):
            node.configure({"database": {"url": proxy.url}})
        async with open_world(hub, database, seed()) as world:
            async with freezes(world) as found:
                for _ in range(rounds(20)):
                    await found.cut_one(proxies)
            await found.conclude("Frozen connections")
