"""What claims cost on PostgreSQL, where a row that is changed leaves its old version behind."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest

from hookhub.config import DatabaseSettings
from hookhub.contracts.deliveries import Claim, NewEndpoint
from hookhub.contracts.events import Draft, new_event_id
from hookhub.store import Store, Transaction
from hookhub.store.units.claims import Claimed, claim_due
from hookhub.store.units.deliveries import AttemptReport, record_all
from hookhub.store.units.endpoints import insert_endpoint

LEASED = (
    "EXPLAIN (ANALYZE, FORMAT JSON) "
    "SELECT COUNT(due_at) FROM hookhub_deliveries WHERE status = 0 AND lease > 0"
)


@pytest.fixture
def settings(postgres_url: str) -> DatabaseSettings:
    return DatabaseSettings(url=postgres_url)


def claim(lease: int, tx: Transaction) -> Claimed:
    return claim_due(tx, [(1, 100)], lease=lease, until=tx.now + 60_000_000)


def record(claims: list[Claim], tx: Transaction) -> None:
    done = AttemptReport(claims[0], 1, 0.1, "delivered", "success", None, 200, None, None, None)
    record_all(tx, [replace(done, claim=item) for item in claims])


async def test_leases_of_the_past_are_looked_at_once(store: Store) -> None:
    """Also while nobody vacuums: else each claim would cost more than the one before it."""
    await store.write(lambda tx: insert_endpoint(tx, "w", NewEndpoint("one", ("*",), {})))
    drafts = [Draft(new_event_id(0), "user.created", "{}", 1) for _ in range(4000)]
    await store.write(lambda tx: tx.append_all(drafts))

    for lease in range(1, 21):
        claims = (await store.write(partial(claim, lease))).claims
        await store.write(partial(record, claims))

    def looked_at(tx: Transaction) -> int:
        for name in ("seqscan", "indexscan", "indexonlyscan"):
            tx.sql(f"SET LOCAL enable_{name} = off")
        [(plan,)] = tx.sql(LEASED)
        plan = json.loads(plan) if isinstance(plan, str) else plan
        found: int = plan[0]["Plan"]["Plans"][0]["Plans"][0]["Actual Rows"]
        return found

    assert await store.write(looked_at) <= 500
