"""Clients of the live feed that drop and resume under load; ``tox -e chaos`` has a thousand."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.serving import sqlite_url

sys.path.insert(0, str(Path(__file__).parents[1] / "chaos"))

from hookhub_chaos.viewers import Audience

SETTINGS = {"log": {"level": "warning"}, "live": {"ring_events": 50}}
"""A small ring, so that some resume from it and some from the store."""
SEED = 8128


async def test_nothing_is_missed_or_seen_twice(tmp_path: Path) -> None:
    """With and without filters, across a stop and a kill of the hub."""
    with HubProcess(tmp_path, SETTINGS) as hub:
        audience = Audience([hub], clients=60, rate=40, stay=0.7, seed=SEED)
        async with audience.watching():
            await trio.sleep(2.5)
            await trio.to_thread.run_sync(hub.restart)
            await trio.sleep(2.5)
            hub.kill()
            await trio.to_thread.run_sync(hub.start)
            await trio.sleep(1)
        assert audience.wrong == []
        assert sum(viewer.resumed for viewer in audience.viewers) > 60
        assert sum(viewer.replayed for viewer in audience.viewers) > 60


async def test_a_rolling_restart(tmp_path: Path) -> None:
    """Two processes in turn: clients are told, go to the other one, and lose nothing."""
    shared = {**SETTINGS, "database": {"url": sqlite_url(tmp_path)}}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with HubProcess(tmp_path / "a", shared) as first, HubProcess(tmp_path / "b", shared) as second:
        await trio.to_thread.run_sync(second.terminate)
        audience = Audience([first, second], clients=30, rate=30, stay=1e9, seed=SEED)
        async with audience.watching():
            for old, new in ((first, second), (second, first)):
                await trio.sleep(0.5)
                await trio.to_thread.run_sync(new.start)
                await trio.sleep(0.5)
                assert await trio.to_thread.run_sync(old.terminate) == 0
                await trio.sleep(2)
        assert audience.wrong == []
        assert all(viewer.restarts >= 2 for viewer in audience.viewers)
        assert all(viewer.resumed >= 2 for viewer in audience.viewers)
