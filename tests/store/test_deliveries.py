"""Endpoints, claims, leases, records and counters."""

from __future__ import annotations

from functools import partial

import pytest

from hookhub.contracts.deliveries import (
    Claim,
    DeliveryStatus,
    Endpoint,
    EndpointOptions,
    NewEndpoint,
)
from hookhub.contracts.errors import Conflict, NotFound
from hookhub.contracts.events import Draft, new_event_id
from hookhub.store import Store, Transaction
from hookhub.store.units import deliveries as units
from hookhub.store.units.claims import claim_due
from hookhub.store.units.deliveries import AttemptReport
from hookhub.store.units.endpoints import (
    delete_endpoint,
    disable_endpoint,
    endpoint_stats,
    get_endpoint,
    insert_endpoint,
    list_endpoints,
    rotate_secret,
    update_endpoint,
)
from hookhub.store.units.leases import release_leases

HOUR = 3_600_000_000


async def make(store: Store, name: str = "one", *patterns: str, secret: str | None = None) -> int:
    new = NewEndpoint(name, patterns or ("*",), {"url": "x"}, secret=secret)
    return (await store.write(lambda tx: insert_endpoint(tx, "webhook", new))).id


async def send(store: Store, name: str = "user.created") -> None:
    await store.write(lambda tx: tx.append(Draft(new_event_id(0), name, "{}", 1)))


async def claim(
    store: Store, lease: int = 1, limit: int = 10, until: int | None = None, endpoint: int = 1
) -> list[Claim]:
    found = await store.write(
        lambda tx: claim_due(
            tx, [(endpoint, limit)], lease=lease, until=tx.now + HOUR if until is None else until
        )
    )
    return found.claims


def record(item: Claim, status: DeliveryStatus, due_at: int | None = None) -> AttemptReport:
    outcome = {"success": "delivered", "pending": "retry", "failed": "give_up"}[status]
    return AttemptReport(item, 1, 0.5, outcome, status, due_at, 500, "body", "status", "It failed.")


async def write(store: Store, item: AttemptReport) -> bool:
    [recorded] = await store.write(lambda tx: units.record_all(tx, [item]))
    return recorded.taken


async def stats(store: Store) -> tuple[int, int, int, int]:
    found = await store.read(lambda reader: endpoint_stats(reader, "webhook"))
    return (found.deliveries, found.delivered, found.failed, found.pending)


async def test_a_claim_is_exclusive_until_its_lease_ends(store: Store) -> None:
    """Nobody else gets it; when the lease has run out, it is due again by itself."""
    await make(store)
    await send(store)
    [first] = await claim(store, lease=1)
    assert (first.attempts, first.event.type) == (0, "user.created")
    assert await claim(store, lease=2) == []
    await write(store, record(first, "pending", 0))
    [second] = await claim(store, lease=3, until=0)
    assert second.attempts == 1
    [third] = await claim(store, lease=4)
    assert third.id == second.id


async def test_claims_come_oldest_first_and_not_over_the_limit(store: Store) -> None:
    """In the order in which they fell due."""
    await make(store)
    for _ in range(5):
        await send(store)
    assert [item.event.sequence for item in await claim(store, limit=3)] == [1, 2, 3]
    assert [item.event.sequence for item in await claim(store, limit=3)] == [4, 5]


async def test_a_result_without_the_lease_counts_only_if_delivered(store: Store) -> None:
    """A failure reported too late changes nothing; a delivery is a delivery."""
    await make(store)
    await send(store)
    [old] = await claim(store, lease=1, until=0)
    [new] = await claim(store, lease=2)
    assert not await write(store, record(old, "failed"))
    assert await write(store, record(old, "success"))
    assert not await write(store, record(new, "failed"))
    delivery = await store.read(lambda reader: units.get_delivery(reader, new.id))
    assert delivery.status == "success"
    assert await stats(store) == (1, 1, 0, 0)


async def test_many_are_changed_in_steps(store: Store) -> None:
    """Each goes on where the one before it has ended, and what changes meanwhile is left alone."""
    endpoint = await make(store)
    for _ in range(5):
        await send(store)

    def cancel(tx: Transaction, after: int) -> units.Step:
        return units.cancel_pending(tx, endpoint, after=after, limit=2)

    def retry(tx: Transaction, after: int) -> units.Step:
        return units.retry_failed(tx, endpoint, after=after, limit=2)

    for unit in (cancel, retry):
        steps = [await store.write(partial(unit, after=after)) for after in (0, 2, 4)]
        assert steps == [(2, 2), (2, 4), (1, None)]
    assert await stats(store) == (5, 0, 0, 5)


async def test_counters_are_kept(store: Store) -> None:
    """Totals follow every change of state without counting rows."""
    endpoint = await make(store)
    for _ in range(4):
        await send(store)
    one, two, three, _ = await claim(store)
    await write(store, record(one, "success"))
    await write(store, record(two, "failed"))
    await write(store, record(three, "pending", 0))
    assert await stats(store) == (4, 1, 1, 2)
    found = await store.read(lambda reader: get_endpoint(reader, "webhook", endpoint))
    assert (found.success_count, found.failure_count) == (1, 2)
    assert found.last_triggered_at is not None
    assert await store.write(lambda tx: units.retry_failed(tx, endpoint)) == (1, None)
    assert await stats(store) == (4, 1, 0, 3)
    # One of the three is being attempted (its lease runs): it ends by its own result.
    assert await store.write(lambda tx: units.cancel_pending(tx, endpoint)) == (2, None)
    assert await stats(store) == (4, 1, 2, 1)
    for status, total in (("pending", 1), ("failed", 2), ("success", 1), (None, 4)):
        page = await store.read(
            lambda reader, status=status: units.list_deliveries(
                reader, endpoint, status=status, limit=10, offset=0
            )
        )
        assert page.total == len(page.items) == total


async def test_a_delivery_shows_its_attempts(store: Store) -> None:
    """Oldest first, with what each answered."""
    await make(store)
    await send(store)
    [item] = await claim(store)
    await write(store, record(item, "pending", 0))
    [item] = await claim(store)
    await write(store, record(item, "failed"))
    delivery = await store.read(lambda reader: units.get_delivery(reader, item.id))
    assert delivery.attempts is not None
    assert [(a.number, a.outcome) for a in delivery.attempts] == [(1, "retry"), (2, "give_up")]
    assert (delivery.status, delivery.attempt_number) == ("failed", 2)
    assert (delivery.response_status, delivery.error) == (500, "status")
    with pytest.raises(NotFound):
        await store.read(lambda reader: units.get_delivery(reader, 99))


async def test_a_retry_by_hand_starts_the_schedule_anew(store: Store) -> None:
    """Attempts go on counting; what was delivered is not sent again."""
    await make(store)
    await send(store)
    [item] = await claim(store)
    await write(store, record(item, "failed"))
    delivery = await store.write(lambda tx: units.retry_delivery(tx, item.id))
    assert (delivery.status, delivery.attempt_number) == ("pending", 1)
    [again] = await claim(store)
    assert (again.attempts, again.schedule_from) == (1, 1)
    await write(store, record(again, "success"))
    with pytest.raises(Conflict, match="delivered already"):
        await store.write(lambda tx: units.retry_delivery(tx, item.id))


async def test_leases_are_released_when_nobody_else_is_there(store: Store) -> None:
    """After a crash of the only process, everything is due at once."""
    await make(store)
    await send(store)
    await claim(store)
    assert await store.write(release_leases) == 1
    assert len(await claim(store)) == 1


async def test_an_endpoint_that_is_off_gets_nothing_and_keeps_what_waits(store: Store) -> None:
    """Pending deliveries wait; new events make none; on again, they go out."""
    endpoint = await make(store)
    await send(store)
    assert await store.write(lambda tx: disable_endpoint(tx, endpoint, "It said 410."))
    assert not await store.write(lambda tx: disable_endpoint(tx, endpoint, "Again."))
    await send(store)
    found = await store.read(lambda reader: get_endpoint(reader, "webhook", endpoint))
    assert (found.is_active, found.disabled_reason) == (False, "It said 410.")
    changed = await store.write(
        lambda tx: update_endpoint(tx, "webhook", endpoint, {"is_active": True})
    )
    assert changed.disabled_reason is None
    assert [item.event.sequence for item in await claim(store)] == [1]


async def test_a_deleted_endpoint_is_gone(store: Store) -> None:
    """From lists, look-ups, deliveries and claims; its name is free again."""
    endpoint = await make(store, "gone", secret="s")
    await send(store)
    await store.write(lambda tx: delete_endpoint(tx, "webhook", endpoint))
    await send(store)
    for call in (
        lambda reader: get_endpoint(reader, "webhook", endpoint),
        lambda reader: units.get_delivery(reader, 1),
    ):
        with pytest.raises(NotFound):
            await store.read(call)
    with pytest.raises(NotFound):
        await store.write(lambda tx: delete_endpoint(tx, "webhook", endpoint))
    assert await make(store, "gone") != endpoint


async def test_names_need_not_be_unique(store: Store) -> None:
    """An endpoint is told by its id: several may have one name, made so or renamed so."""
    first = await make(store, "a")
    second = await make(store, "a")
    third = await make(store, "b")
    await store.write(lambda tx: update_endpoint(tx, "webhook", third, {"name": "a"}))
    found = await store.read(lambda reader: list_endpoints(reader, "webhook"))
    assert [(item.id, item.name) for item in found.items] == [
        (number, "a") for number in (first, second, third)
    ]


async def test_rotated_secrets_sign_until_their_time_is_over(store: Store) -> None:
    """Newest first; the old one has an end; the same secret is not kept twice."""
    endpoint = await make(store, secret="old")

    async def rotate(secret: str, overlap: float) -> Endpoint:
        return await store.write(lambda tx: rotate_secret(tx, "webhook", endpoint, secret, overlap))

    found = await rotate("new", 60.0)
    assert [item.value for item in found.secrets] == ["new", "old"]
    assert found.secrets[0].expires_at is None
    assert found.secrets[1].expires_at is not None
    found = await rotate("newer", 0.0)
    assert [item.value for item in found.secrets] == ["newer"]
    assert "newer" not in repr(found)


async def test_lists_filter_by_type_and_state(store: Store) -> None:
    """A type finds the endpoints that would get it; pages have the whole total."""
    await make(store, "a", "user.*")
    await make(store, "b", "ticket.created")
    off = await make(store, "c", "*")
    await store.write(lambda tx: update_endpoint(tx, "webhook", off, {"is_active": False}))

    async def names(**filters: object) -> list[str]:
        page = await store.read(lambda reader: list_endpoints(reader, "webhook", **filters))
        return [item.name for item in page.items]

    assert await names() == ["a", "b", "c"]
    assert await names(event_type="user.created") == ["a", "c"]
    assert await names(event_type="user.*") == ["a", "c"]
    assert await names(is_active=True) == ["a", "b"]
    assert await names(is_active=False) == ["c"]
    page = await store.read(lambda reader: list_endpoints(reader, "webhook", limit=1, offset=1))
    assert ([item.name for item in page.items], page.total) == (["b"], 3)


async def send_keyed(store: Store, *keys: str | None) -> None:
    await store.write(
        lambda tx: [tx.append(Draft(new_event_id(0), "a.b", "{}", 1, key)) for key in keys]
    )


async def claimed(store: Store) -> list[int]:
    return [item.event.sequence for item in await claim(store)]


async def make_ordered(store: Store) -> int:
    new = NewEndpoint("one", ("*",), {}, options=EndpointOptions(ordered=True))
    return (await store.write(lambda tx: insert_endpoint(tx, "webhook", new))).id


async def test_strict_order_lets_one_delivery_of_a_key_go_at_a_time(store: Store) -> None:
    """The next one is due when the one before it is delivered; events without a key are free."""
    await make_ordered(store)
    await send_keyed(store, "a", "b", "a", None)
    await send_keyed(store, "a", None)
    first = await claim(store)
    assert [item.event.sequence for item in first] == [1, 2, 4, 6]
    held = await store.read(lambda reader: units.get_delivery(reader, 3))
    assert (held.held, held.next_retry_at) == (True, None)
    await write(store, record(first[0], "success"))
    second = await claim(store)
    assert [item.event.sequence for item in second] == [3]
    await write(store, record(second[0], "success"))
    assert await claimed(store) == [5]


async def test_a_failed_head_holds_back_its_key_until_it_is_skipped(store: Store) -> None:
    """Also an event that comes later; the others of the endpoint go on."""
    await make_ordered(store)
    await send_keyed(store, "a", "a")
    [head] = await claim(store)
    await write(store, record(head, "failed"))
    await send_keyed(store, "a", "b")
    assert await claimed(store) == [4]
    with pytest.raises(Conflict, match="earlier one of its key"):
        await store.write(lambda tx: units.retry_delivery(tx, 2))
    with pytest.raises(Conflict, match="holds back nothing"):
        await store.write(lambda tx: units.skip_delivery(tx, 3))
    skipped = await store.write(lambda tx: units.skip_delivery(tx, head.id))
    assert (skipped.status, skipped.error) == ("failed", "skipped")
    assert await claimed(store) == [2]


async def test_a_pending_head_can_be_skipped_too(store: Store) -> None:
    """It ends failed, and counts as that."""
    await make_ordered(store)
    await send_keyed(store, "a", "a")
    [head] = await claim(store)
    await write(store, record(head, "pending", 0))
    await store.write(lambda tx: units.skip_delivery(tx, head.id))
    assert await stats(store) == (2, 0, 1, 1)
    assert await claimed(store) == [2]


async def test_a_head_that_is_cancelled_in_the_same_transaction_holds_back_nothing(
    store: Store,
) -> None:
    """What a key waits for is what the rows say, not what was appended."""
    await make_ordered(store)

    def unit(tx: Transaction) -> int:
        tx.append(Draft(new_event_id(0), "a.b", "{}", 1, "k"))
        cancelled = units.cancel_pending(tx, 1).changed
        tx.append(Draft(new_event_id(0), "a.b", "{}", 1, "k"))
        return cancelled

    assert await store.write(unit) == 1
    assert await claimed(store) == [2]


async def test_a_success_lets_its_key_go_whatever_the_engine_knows(store: Store) -> None:
    """Another node may have made the endpoint ordered a moment ago."""
    await make_ordered(store)
    await send_keyed(store, "a", "a")
    [head] = await claim(store)
    await write(store, record(head, "success"))
    assert await claimed(store) == [2]


async def test_order_switched_off_releases_what_is_held(store: Store) -> None:
    """Nothing waits for anything any more."""
    endpoint = await make_ordered(store)
    await send_keyed(store, "a", "a", "a")
    assert await claimed(store) == [1]
    free = {"options": EndpointOptions()}
    await store.write(lambda tx: update_endpoint(tx, "webhook", endpoint, free))
    assert await claimed(store) == [2, 3]
