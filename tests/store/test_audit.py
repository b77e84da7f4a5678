"""What is there is what was promised, or the audit names the rows."""

from __future__ import annotations

from typing import Any

import pytest

from hookhub.contracts.deliveries import DeliveryStatus, EndpointOptions, NewEndpoint
from hookhub.contracts.events import Draft, new_event_id
from hookhub.store import Store
from hookhub.store.units import audit as audits
from hookhub.store.units import deliveries as units
from hookhub.store.units.audit import audit
from hookhub.store.units.claims import claim_due
from hookhub.store.units.deliveries import AttemptReport
from hookhub.store.units.endpoints import delete_endpoint, insert_endpoint

LATER = 2**60
HOUR = 3_600_000_000


async def make(store: Store, name: str, **options: Any) -> int:
    new = NewEndpoint(name, ("*",), {}, options=EndpointOptions(**options))
    return (await store.write(lambda tx: insert_endpoint(tx, "webhook", new))).id


async def send(store: Store, count: int, key: str | None = None, at: int | None = None) -> None:
    moment = store.clock() if at is None else at
    drafts = [Draft(new_event_id(0), "a.b", "{}", moment, key) for _ in range(count)]
    await store.write(lambda tx: [tx.append(draft) for draft in drafts])


async def settle(store: Store, endpoint: int, *statuses: DeliveryStatus) -> None:
    found = await store.write(
        lambda tx: claim_due(tx, [(endpoint, len(statuses))], lease=1, until=LATER)
    )
    words = {"success": "delivered", "pending": "retry", "failed": "give_up"}
    records = [
        AttemptReport(claim, 1, 0.5, words[status], status, LATER, 500, None, None, None)
        for claim, status in zip(found.claims, statuses, strict=True)
    ]
    await store.write(lambda tx: units.record_all(tx, records))


@pytest.fixture
async def busy(store: Store) -> Store:
    """Two endpoints, six events, every state there is."""
    one = await make(store, "one")
    await make(store, "two", ordered=True)
    await send(store, 4)
    await send(store, 2, key="k")
    await settle(store, one, "success", "success", "failed", "pending")
    await settle(store, 2, "success")
    return store


async def spoil(store: Store, statement: str) -> None:
    assert await store.write(lambda tx: tx.change(statement)) > 0


async def differences(store: Store, **period: Any) -> dict[str, list[int]]:
    found = await audit(store, **period)
    return {item.check: item.rows for item in found.differences.values()}


async def test_what_is_whole_adds_up(busy: Store) -> None:
    """matched + replayed = delivered + pending + failed + skipped + removed."""
    found = await audit(busy)
    assert found.ok
    members = found.members()
    assert (members["first"], members["last"], members["events"]) == (1, 6, 6)
    assert (found.matched, found.replayed, found.removed) == (12, 0, 0)
    assert (found.delivered, found.pending, found.failed) == (3, 8, 1)
    assert found.skipped == {}


async def test_an_empty_database_adds_up(store: Store) -> None:
    """Nothing was promised."""
    assert (await audit(store)).ok


async def test_what_was_given_up_is_told_with_its_reason(busy: Store) -> None:
    """By hand, or because the endpoint is gone."""
    await busy.write(lambda tx: units.cancel_pending(tx, 1))
    await busy.write(lambda tx: units.skip_delivery(tx, 10))
    found = await audit(busy)
    assert (found.ok, found.skipped) == (True, {"cancelled": 3, "skipped": 1})
    assert (found.delivered, found.pending, found.failed) == (3, 4, 1)
    await busy.write(lambda tx: delete_endpoint(tx, "webhook", 2))
    found = await audit(busy)
    assert found.ok
    assert found.skipped == {"cancelled": 3, "skipped": 1, "endpoint_deleted": 4}


LOSSES = {
    "an event": ("DELETE FROM hookhub_events WHERE sequence = 3", "event_missing", [3]),
    "the last event": ("DELETE FROM hookhub_events WHERE sequence = 6", "event_missing", [6]),
    "a delivery": ("DELETE FROM hookhub_deliveries WHERE id = 3", "delivery_missing", [2]),
    "a state": ("UPDATE hookhub_deliveries SET status = 7 WHERE id = 5", "state", [5]),
    "a time": ("UPDATE hookhub_deliveries SET delivered_at = NULL WHERE id = 1", "state", [1]),
    "an attempt": ("DELETE FROM hookhub_attempts WHERE delivery_id = 1", "attempts", [1]),
    "a success": (
        "UPDATE hookhub_deliveries SET status = 2 WHERE id = 1",
        "attempts",
        [1],
    ),
    "a delivered attempt": (
        "UPDATE hookhub_attempts SET outcome = 'retry' WHERE delivery_id = 1",
        "attempts",
        [1],
    ),
    "a head": ("UPDATE hookhub_deliveries SET order_key = NULL WHERE id = 10", "held", [12]),
    "a counter": (
        "UPDATE hookhub_endpoints SET success_count = success_count + 1 WHERE id = 1",
        "counters",
        [1],
    ),
    "an endpoint": (
        "DELETE FROM hookhub_endpoints WHERE id = 2",
        "endpoint_missing",
        [2, 4, 6, 8, 10, 12],
    ),
    "a number": ("UPDATE hookhub_state SET last_delivery = 11", "numbers", [12]),
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_what_is_lost_is_named(busy: Store, loss: str) -> None:
    """By the check that finds it, with the rows."""
    statement, check, rows = LOSSES[loss]
    await spoil(busy, statement)
    found = await differences(busy)
    assert found[check] == rows


async def test_a_delivery_of_a_lost_event_is_named(busy: Store) -> None:
    """It can never be sent."""
    await spoil(busy, "DELETE FROM hookhub_events WHERE sequence = 3")
    assert (await differences(busy))["event_of_delivery_missing"] == [5, 6]


async def test_what_retention_deleted_is_not_lost(busy: Store) -> None:
    """The history begins later: that is all."""
    await send(busy, 3)
    await busy.write(
        lambda tx: [
            tx.change("DELETE FROM hookhub_deliveries WHERE sequence <= 2"),
            tx.change("DELETE FROM hookhub_attempts WHERE delivery_id <= 4"),
            tx.change("DELETE FROM hookhub_events WHERE sequence <= 2"),
            tx.change("UPDATE hookhub_state SET events_from = 5"),
            tx.change(
                "UPDATE hookhub_endpoints SET removed_delivered = CASE id WHEN 1 THEN 2 ELSE 1 END,"
                " deliveries_total = deliveries_total - CASE id WHEN 1 THEN 0 ELSE 1 END"
            ),
        ]
    )
    found = await audit(busy)
    assert (found.ok, found.first, found.expired) == (True, 3, 2), found.members()


async def test_a_period_is_looked_at_alone(store: Store) -> None:
    """Events of its time; the whole of the counters."""
    await make(store, "one")
    for at in (HOUR, 2 * HOUR, 3 * HOUR):
        await send(store, 2, at=at)
    found = await audit(store, since=2 * HOUR, until=3 * HOUR)
    assert (found.first, found.last, found.events, found.matched) == (3, 4, 2, 2)
    await spoil(store, "DELETE FROM hookhub_deliveries WHERE id = 6")
    assert await differences(store, since=2 * HOUR, until=3 * HOUR) == {"counters": [1]}
    assert (await differences(store, since=3 * HOUR))["delivery_missing"] == [6]
    assert (await audit(store, since=9 * HOUR)).events == 0


async def test_what_nobody_attempts_is_named(store: Store) -> None:
    """An active endpoint, an installed sink, nothing done for long: something stands still."""
    endpoint = await make(store, "one")
    await send(store, 2)
    now = store.clock()
    assert (await audit(store, as_of=now + 30 * HOUR // 60)).ok
    assert await differences(store, as_of=now + 2 * HOUR) == {"overdue": [1, 2]}
    assert (await audit(store, as_of=now + 2 * HOUR, sinks={"other"})).ok
    # One that stands still with the whole hub is not overdue.
    assert (await audit(store)).ok
    await spoil(store, "UPDATE hookhub_endpoints SET last_triggered_at = " + str(now + 2 * HOUR))
    assert (await audit(store, as_of=now + 2 * HOUR)).ok
    await spoil(store, f"UPDATE hookhub_endpoints SET last_triggered_at = {now}")
    for rate in ("0.0001", "5e-324"):
        options = f"UPDATE hookhub_endpoints SET options = '{{\"rate_limit\": {rate}}}'"
        await spoil(store, options)
        assert (await audit(store, as_of=now + 2 * HOUR)).ok
    await spoil(store, f"UPDATE hookhub_endpoints SET is_active = {False!s}, options = '{{}}'")
    assert (await audit(store, as_of=now + 2 * HOUR)).ok
    assert endpoint == 1


async def test_many_rows_are_read_in_ranges(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """No transaction looks at many; a loss in any of them is found, and the first rows named."""
    await make(store, "one")
    await send(store, 3_000)
    ranges: list[int] = []
    check = audits._check_range

    def noting(reader: Any, found: Any, first: int, last: int) -> None:
        ranges.append(last - first + 1)
        check(reader, found, first, last)

    monkeypatch.setattr(audits, "_check_range", noting)
    assert (await audit(store)).matched == 3_000
    assert sum(ranges) == 3_000
    assert len(ranges) > 3
    await spoil(store, "DELETE FROM hookhub_deliveries WHERE id > 1000 AND id <= 1100")
    found = await audit(store)
    lost = found.differences["delivery_missing"]
    assert (lost.count, lost.rows) == (100, list(range(1001, 1021)))


async def test_a_late_success_counts(store: Store) -> None:
    """Given up meanwhile, and then the receiver had it: that is a success, and all adds up."""
    await make(store, "one")
    await send(store, 1)
    claimed = await store.write(lambda tx: claim_due(tx, [(1, 1)], lease=1, until=0))
    await store.write(lambda tx: units.cancel_pending(tx, 1))
    late = AttemptReport(
        claimed.claims[0], 1, 0.5, "delivered", "success", None, 200, None, None, None
    )
    [recorded] = await store.write(lambda tx: units.record_all(tx, [late]))
    assert (recorded.taken, recorded.late) == (True, True)
    found = await audit(store)
    assert (found.ok, found.delivered, found.failed) == (True, 1, 0)
