"""When the next delivery of each endpoint is due: one question for all, each second."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hookhub.contracts.deliveries import NewEndpoint
from hookhub.contracts.events import Draft, new_event_id
from hookhub.store import Reader, Store, Transaction
from hookhub.store.schema import HELD
from hookhub.store.units.claims import FIRST_DUE, claim_due, due_of, next_due
from hookhub.store.units.endpoints import insert_endpoint


async def with_backlog(store: Store, endpoints: int, events: int) -> None:
    def make(tx: Transaction) -> None:
        for number in range(endpoints):
            insert_endpoint(tx, "w", NewEndpoint(f"{number}", ("*",), {}))
        tx.append_all([Draft(new_event_id(0), "user.created", "{}", 1) for _ in range(events)])

    await store.write(make)


async def test_only_endpoints_that_have_something_are_told(store: Store) -> None:
    """What is leased is due when its lease ends; what is held back or done is never due."""
    await with_backlog(store, 5, 3)

    def spread(tx: Transaction) -> int:
        claim_due(tx, [(1, 3), (2, 1)], lease=1, until=tx.now + 60_000_000)
        tx.change("UPDATE hookhub_deliveries SET status = 1 WHERE endpoint_id = 3")
        tx.change("UPDATE hookhub_deliveries SET due_at = ? WHERE endpoint_id = 4", (HELD,))
        tx.change("UPDATE hookhub_deliveries SET due_at = sequence * 10 WHERE endpoint_id = 5")
        return tx.now

    now = await store.write(spread)
    due = await store.read(next_due)

    assert set(due) == {1, 2, 5}
    assert (due[1] >= now, due[2] <= now, due[5]) == (True, True, 10)
    for endpoint_id in range(1, 7):
        assert await store.read(lambda r, e=endpoint_id: due_of(r, e)) == due.get(endpoint_id)


async def test_the_backlog_is_not_read(store: Store) -> None:
    """It costs two steps down one index for each endpoint that has something, however much."""
    await with_backlog(store, 20, 400)

    if store.is_sqlite:
        plan = await store.read(lambda reader: reader.sql(f"EXPLAIN QUERY PLAN {FIRST_DUE}"))
        used = [row[-1] for row in plan if "hookhub_deliveries" in row[-1]]
        assert len(used) == 2
        assert all("USING INDEX hookhub_deliveries_due (endpoint_id" in item for item in used)
        return
    assert await store.read(rows_read) <= 3 * 20


def rows_read(reader: Reader) -> int:
    """How many rows PostgreSQL takes from the table or its indexes, those left out included."""
    [(plan,)] = reader.sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {FIRST_DUE}")
    plan = json.loads(plan) if isinstance(plan, str) else plan
    return round(
        sum(
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
            for node in nodes(plan[0]["Plan"])
            if node["Node Type"].endswith(("Index Scan", "Index Only Scan", "Seq Scan"))
        )
    )


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)
