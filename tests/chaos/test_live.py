"""A thousand clients of the live feed that drop and resume for a minute, under load."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import trio

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.serving import sqlite_url
from support.chaos.plan import rounds, seed
from support.chaos.viewers import Audience

SETTINGS = {
    "log": {"level": "warning"},
    # A small ring, so that some resume from it and some from the store.
    "live": {"ring_events": 200, "max_connections_per_token": 5_000},
}


@pytest.fixture(autouse=True)
def many_files() -> None:
    """A thousand sockets are more than shells allow by default."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def test_a_thousand_clients_for_a_minute(tmp_path: Path) -> None:
    """They miss nothing and see nothing twice, across stops and kills of the hub."""
    with HubProcess(tmp_path, SETTINGS, deadline=120) as hub:
        audience = Audience([hub], clients=1_000, rate=15, stay=10.0, seed=seed())
        async with audience.watching():
            for number in range(rounds(4)):
                await trio.sleep(12)
                if number % 2:
                    await trio.to_thread.run_sync(hub.restart)
                else:
                    hub.kill()
                    await trio.to_thread.run_sync(hub.start)
            await trio.sleep(12)
        print(f"\nseed {audience.seed}: {audience.summary()}")
        assert audience.wrong == []


async def test_rolling_restarts(tmp_path: Path) -> None:
    """Two processes in turn, again and again: no client loses an event."""
    shared = {**SETTINGS, "database": {"url": sqlite_url(tmp_path)}}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with (
        HubProcess(tmp_path / "a", shared, deadline=120) as first,
        HubProcess(tmp_path / "b", shared, deadline=120) as second,
    ):
        audience = Audience([first, second], clients=300, rate=30, stay=8.0, seed=seed())
        async with audience.watching():
            for number in range(rounds(6)):
                hub = (first, second)[number % 2]
                await trio.sleep(2)
                assert await trio.to_thread.run_sync(hub.terminate) == 0
                await trio.sleep(1)
                await trio.to_thread.run_sync(hub.start)
                await trio.sleep(4)
        print(f"\nseed {audience.seed}: {audience.summary()}")
        assert audience.wrong == []
