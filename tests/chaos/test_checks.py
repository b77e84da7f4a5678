"""The checks themselves: what is taken away or put there by hand does not go unseen."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
import trio

from hookhub.testing.hub_process import HubProcess
from support.chaos.checks import Outcome, conclude
from support.chaos.database import Sqlite
from support.chaos.plan import seed
from support.chaos.world import SETTINGS, World, open_world

DAMAGE = {
    "event": "DELETE FROM hookhub_events WHERE sequence = "
    "(SELECT MIN(sequence) FROM hookhub_events WHERE source = 'chaos')",
    "delivery": "DELETE FROM hookhub_deliveries WHERE id = 7",
    "user": "DELETE FROM hookhub_users WHERE id = 1",
    "status": "UPDATE hookhub_deliveries SET status = 0 WHERE id = 9",
    "attempt": "DELETE FROM hookhub_attempts WHERE delivery_id = 8",
}
SEEN = {
    "event": ("was answered 202", "gaps", "differences"),
    "delivery": ("acknowledged other deliveries", "differences"),
    "user": ("user", "differ"),
    "status": ("not delivered to", "differences"),
    "attempt": ("differences",),
    "answer": ("never arrived", "acknowledged other deliveries", "never acknowledged"),
    "twice": ("was acknowledged 2 times",),
}


@pytest.mark.parametrize("what", SEEN)
async def test_damage_is_seen(tmp_path: Path, what: str) -> None:
    """Each kind of damage makes the run fail, and it is named."""
    hub, database = HubProcess(tmp_path, SETTINGS), Sqlite(tmp_path / "hookhub.db")
    async with open_world(hub, database, seed()) as world:
        await world.begin()
        await world.load(3, trouble=False)
        await trio.sleep(1)
        await world.end_load()
        await world.settle()
        _damage(world, database, what)
        found = _texts(await conclude(world))
    assert found
    for words in SEEN[what]:
        assert any(words in text for text in found), (words, found)


def _texts(outcome: Outcome) -> list[str]:
    return [*outcome.losses, *outcome.faults]


def _damage(world: World, database: Sqlite, what: str) -> None:
    got = world.receivers["healthy"].acknowledged
    if what == "answer":
        got.pop()
    elif what == "twice":
        got.append(got[0])
    else:
        with contextlib.closing(sqlite3.connect(database.path)) as connection:
            assert connection.execute(DAMAGE[what]).rowcount >= 1
            connection.commit()
