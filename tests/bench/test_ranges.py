"""What it costs the usual work that tables are in ranges: medians of one delivery's steps.

Prints a table. Nothing is asserted about time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from functools import partial

from hookhub.background.ranges import Ranges
from hookhub.config import DatabaseSettings
from hookhub.store import open_store
from hookhub.store.units import deliveries as units
from hookhub.store.units.claims import claim_due
from hookhub.store.units.ranges import DELIVERIES, ranges
from hookhub.testing.postgres import PostgresCluster
from support.aging import DAY, Clock, make, record, send

ROUNDS = 400
COUNT = 4_000
"""Deliveries that there are."""


async def steps(url: str, least: int) -> tuple[int, dict[str, float]]:
    """How many ranges there are, and the median milliseconds of each step."""
    clock = Clock()
    times: dict[str, list[float]] = {}

    async def timed(name: str, unit: Callable[[], Awaitable[object]]) -> object:
        began = time.perf_counter()
        result = await unit()
        times.setdefault(name, []).append(time.perf_counter() - began)
        return result

    async with open_store(DatabaseSettings(url=url), clock) as store:
        await make(store)
        made = Ranges(store, least)
        for _ in range(COUNT // 50):
            await send(store, 50)
            await made.make()
        found = await store.write(
            lambda tx: claim_due(tx, [(1, COUNT)], lease=1, until=clock() + DAY)
        )
        await store.write(
            lambda tx: units.record_all(tx, [record(claim, "success") for claim in found.claims])
        )
        for number in range(ROUNDS):
            clock.now += 1
            await timed("commit an event with a delivery", lambda: send(store))

            async def claim() -> None:
                nonlocal found
                found = await store.write(
                    lambda tx: claim_due(tx, [(1, 10)], lease=2, until=clock() + DAY), locks=False
                )

            await timed("claim it", claim)
            records = [record(item, "success") for item in found.claims]

            async def write(records: list[units.AttemptReport] = records) -> None:
                await store.write(lambda tx: units.record_all(tx, records))

            await timed("record its success", write)
            await timed("claim nothing", claim)
            last = COUNT + number + 1
            get = partial(units.get_delivery, delivery_id=last)
            await timed("read it", partial(store.read, get))
        count = len(await store.read(lambda reader: ranges(reader, DELIVERIES)))
    return count, {name: 1000 * statistics.median(values) for name, values in times.items()}


async def test_ranges(postgres_cluster: PostgresCluster) -> None:
    """One partition against some tens of them."""
    for least in (10**9, 100):
        url = postgres_cluster.new_database()
        count, medians = await steps(url, least)
        print(f"\n{count} ranges and the default partition")
        for name, value in medians.items():
            print(f"{name:40} {value:8.2f} ms")
