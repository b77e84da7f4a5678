"""A store whose history grows old: a clock that is set by hand, events, and how they went."""

from __future__ import annotations

from typing import Any

from hookhub.contracts.deliveries import Claim, DeliveryStatus, EndpointOptions, NewEndpoint
from hookhub.contracts.events import Draft, new_event_id
from hookhub.store import Store
from hookhub.store.units import deliveries as units
from hookhub.store.units.audit import audit
from hookhub.store.units.claims import claim_due
from hookhub.store.units.deliveries import AttemptReport
from hookhub.store.units.endpoints import insert_endpoint

DAY = 86_400_000_000
HOUR = DAY // 24
START = 1_800_000_000_000_000


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


async def make(store: Store, name: str = "one", **options: Any) -> int:
    new = NewEndpoint(name, ("*",), {}, options=EndpointOptions(**options))
    return (await store.write(lambda tx: insert_endpoint(tx, "webhook", new))).id


async def send(store: Store, count: int = 1, key: str | None = None) -> None:
    drafts = [Draft(new_event_id(0), "a.b", "{}", store.clock(), key) for _ in range(count)]
    await store.write(lambda tx: [tx.append(draft) for draft in drafts])


async def settle(store: Store, *statuses: DeliveryStatus, endpoint: int = 1) -> None:
    """Claim as many deliveries of an endpoint, oldest first, and write down how each went."""
    wanted = [(endpoint, len(statuses))]
    found = await store.write(lambda tx: claim_due(tx, wanted, lease=1, until=store.clock() + DAY))
    records = [record(claim, status) for claim, status in zip(found.claims, statuses, strict=True)]
    await store.write(lambda tx: units.record_all(tx, records))


def record(claim: Claim, status: DeliveryStatus) -> AttemptReport:
    due = claim.until if status == "pending" else None
    outcome = {"success": "delivered", "pending": "retry", "failed": "give_up"}[status]
    return AttemptReport(claim, 1, 0.5, outcome, status, due, 500, "body", "status", "It failed.")


async def column(store: Store, text: str) -> list[Any]:
    return [row[0] for row in await store.read(lambda reader: reader.sql(text))]


async def adds_up(store: Store) -> None:
    # No engine runs here: what is overdue says nothing.
    found = await audit(store, sinks=())
    assert found.ok, found.members()
