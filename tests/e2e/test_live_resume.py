"""Clients of the live feed that drop and resume under load; ``tox -e chaos`` has a thousand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import trio

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.serving import sqlite_url
from support.chaos.viewers import Audience

SETTINGS = {"log": {"level": "warning"}, "live": {"ring_events": 50}}
"""A small ring, so that some resume from it and some from the store."""
SEED = 8128


async def until(condition: Callable[[], bool]) -> None:
    """Let the audience go on until this is so."""
    with trio.fail_after(60):
        while not condition():
            await trio.sleep(0.05)


def resumed(audience: Audience) -> int:
    """How often clients have gone on so far."""
    return sum(viewer.resumed for viewer in audience.viewers)


def came_back(audience: Audience, times: int) -> bool:
    """Whether every client has gone on so often after a restart."""
    return all(viewer.resumed >= times for viewer in audience.viewers)


async def test_nothing_is_missed_or_seen_twice(tmp_path: Path) -> None:
    """With and without filters, across a stop and a kill of the hub."""
    with HubProcess(tmp_path, SETTINGS) as hub:
        audience = Audience([hub], clients=60, rate=40, stay=0.7, seed=SEED)

        async def some_more(count: int) -> None:
            enough = resumed(audience) + count
            await until(lambda: resumed(audience) >= enough)

        async with audience.watching():
            await some_more(100)
            await trio.to_thread.run_sync(hub.restart)
            await some_more(100)
            hub.kill()
            await trio.to_thread.run_sync(hub.start)
            await some_more(60)
        assert audience.wrong == []
        assert sum(viewer.replayed for viewer in audience.viewers) > 60


async def test_a_rolling_restart(tmp_path: Path) -> None:
    """Two processes in turn: clients are told, go to the other one, and lose nothing."""
    shared = {**SETTINGS, "database": {"url": sqlite_url(tmp_path)}}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    # The second one starts when its turn comes.
    second = HubProcess(tmp_path / "b", shared)
    with HubProcess(tmp_path / "a", shared) as first, ExitStack() as stack:
        stack.callback(second.kill)
        audience = Audience([first, second], clients=30, rate=30, stay=1e9, seed=SEED)
        async with audience.watching():
            for number, (old, new) in enumerate(((first, second), (second, first)), 1):
                await trio.to_thread.run_sync(new.start)
                assert await trio.to_thread.run_sync(old.terminate) == 0
                await until(partial(came_back, audience, number))
        assert audience.wrong == []
        assert all(viewer.restarts >= 2 for viewer in audience.viewers)
