"""kill -9 of a hub that drops what is old: each range is there as a whole, or gone and counted."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

import trio

from hookhub.config import DatabaseSettings
from hookhub.store import Store, open_store
from hookhub.store.units.audit import audit
from hookhub.store.units.ranges import DELIVERIES, ranges

ROUNDS = 40
AGING = """
import random, sys, trio
from hookhub.background.retention import Retention
from hookhub.config import DatabaseSettings, RetentionSettings
from hookhub.store import open_store
from hookhub.store.units.claims import claim_due
from hookhub.store.units.deliveries import record_all
from support.aging import DAY, HOUR, Clock, make, record, send

RESULTS = ("success", "success", "success", "failed", "pending")

def attempt(tx):
    found = claim_due(tx, [(1, 2)], lease=1, until=tx.now + DAY)
    record_all(tx, [record(claim, random.choice(RESULTS)) for claim in found.claims])

async def main(url):
    clock = Clock()
    async with open_store(DatabaseSettings(url=url), clock) as store:
        for (newest,) in await store.read(
            lambda reader: reader.sql("SELECT MAX(timestamp) FROM hookhub_events")
        ):
            clock.now = newest or clock.now
        if store.seen.sequence == 0:
            await make(store)
        print("ready", flush=True)
        while True:
            retention = Retention(
                store, RetentionSettings(failed_deliveries=60 * 86_400), least=10
            )
            for _ in range(24):
                clock.now += 3 * HOUR
                await send(store, 2)
                await store.write(attempt)
            await retention.ranges.make()
            await retention.sweep()

trio.run(main, sys.argv[1])
"""


def start(url: str) -> subprocess.Popen[bytes]:
    """A process that ages the database, at work."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", AGING, url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    while process.stdout.readline().strip() not in (b"ready", b""):
        pass
    assert process.poll() is None
    return process


async def verify(store: Store) -> int:
    """Everything adds up; returns where the ranges begin."""
    found = await audit(store, sinks=())
    assert found.ok, found.members()
    there = await store.read(partial(ranges, tables=DELIVERIES))
    return there[0].first if there else 0


async def test_kills_between_the_drops(postgres_url: str) -> None:
    """Retention works all the time here, and every day of the hub takes a moment."""
    begin = 0
    chance = random.Random(12)
    for _ in range(ROUNDS):
        process = start(postgres_url)
        await trio.sleep(chance.uniform(0.2, 2.0))
        assert process.poll() is None
        process.kill()
        process.communicate()
        async with open_store(DatabaseSettings(url=postgres_url)) as store:
            first = await verify(store)
            assert first >= begin
            begin = first
    assert begin > 0
    print(f"{ROUNDS} kills; ranges begin at {begin}")
