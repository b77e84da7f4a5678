"""A full disk: the hub refuses, says so, and goes on by itself as soon as there is room."""

from __future__ import annotations

from pathlib import Path

import trio

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.serving import sqlite_url
from hookhub.testing.waiting import wait_until_async
from support.chaos.checks import conclude
from support.chaos.database import Sqlite
from support.chaos.disk import no_growth, small_disk
from support.chaos.plan import seed
from support.chaos.report import verify
from support.chaos.world import SETTINGS, World, open_world

FULL = 3.0
"""Seconds; attempts that were made meanwhile are recorded afterwards."""


async def _refused(world: World, more: int) -> None:
    """Return when requests were answered 503, and the hub says why."""
    goal = world.ledger.answers["503"] + more

    async def many() -> bool:
        return world.ledger.answers["503"] >= goal

    await wait_until_async(many, 20)
    async with world.hub.async_client() as http:
        health = await http.get("/health/ready")
    assert health.status_code == 503, health.text
    assert "full" in health.text or "I/O" in health.text, health.text


async def _accepted(world: World, more: int) -> None:
    """Return when requests are answered 202 again."""
    goal = world.ledger.answers["202"] + more

    async def many() -> bool:
        return world.ledger.answers["202"] >= goal

    await wait_until_async(many, 10)


async def _ready(world: World) -> None:
    async with world.hub.async_client() as http:

        async def ready() -> bool:
            return (await http.get("/health/ready")).status_code == 200

        await wait_until_async(ready, 5)


async def test_the_disk_is_full_for_a_while(tmp_path: Path) -> None:
    """ENOSPC: 503 and nothing stored, then on without a restart; also with a kill in it."""
    with small_disk(tmp_path / "disk") as disk:
        settings = {**SETTINGS, "database": {"url": sqlite_url(disk.path)}}
        database = Sqlite(disk.path / "hookhub.db")
        hub = HubProcess(tmp_path, settings)
        async with open_world(hub, database, seed()) as world:
            await world.begin()
            await world.load()
            await trio.sleep(1)
            for killed in (False, True, False):
                pid = hub.pid
                disk.fill()
                await _refused(world, 20)
                await trio.sleep(FULL)
                if killed:
                    await world.kill("disk full")
                disk.free()
                if killed:
                    await world.start()
                await _accepted(world, 20)
                assert killed or hub.pid == pid
                await _ready(world)
            await world.end_load()
            await world.settle()
            verify("The disk is full", await conclude(world))


async def test_files_may_not_grow_for_a_while(tmp_path: Path) -> None:
    """EFBIG, which needs no root: the same."""
    hub, database = HubProcess(tmp_path, SETTINGS), Sqlite(tmp_path / "hookhub.db")
    async with open_world(hub, database, seed()) as world:
        await world.begin()
        await world.load()
        await trio.sleep(1)
        for _ in range(2):
            pid = hub.pid
            with no_growth(pid, 64 * 1024):
                await _refused(world, 20)
                await trio.sleep(FULL)
            await _accepted(world, 20)
            assert hub.pid == pid
            await _ready(world)
        await world.end_load()
        await world.settle()
        verify("Files may not grow", await conclude(world))
