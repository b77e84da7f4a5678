"""Replays as rows: which events, exactly once, whoever works on them and whatever happens."""

from __future__ import annotations

from typing import Any

import pytest

from hookhub.contracts.deliveries import DeliveryStatus, EndpointOptions, NewEndpoint, Replay
from hookhub.contracts.errors import Conflict, NotFound
from hookhub.contracts.events import OWN, Draft, new_event_id
from hookhub.store import Store
from hookhub.store.units import deliveries as delivery_units
from hookhub.store.units import replays as units
from hookhub.store.units.audit import audit
from hookhub.store.units.claims import claim_due
from hookhub.store.units.deliveries import AttemptReport
from hookhub.store.units.endpoints import delete_endpoint, endpoint_stats, insert_endpoint
from hookhub.store.units.replays import PastEvent, WantedReplay

LATER = 2**60


async def make(store: Store, name: str, *patterns: str, **options: Any) -> int:
    new = NewEndpoint(name, patterns or ("*",), {}, options=EndpointOptions(**options))
    return (await store.write(lambda tx: insert_endpoint(tx, "webhook", new))).id


async def send(
    store: Store, *types: str, key: str | None = None, source: str | None = None, at: int = 1
) -> None:
    drafts = [Draft(new_event_id(0), name, "{}", at, key, source) for name in types]
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
    await store.write(lambda tx: delivery_units.record_all(tx, records))


async def start(store: Store, endpoint: int, last: int, **wanted: Any) -> Replay:
    values = {"events": ("*",), "only": "all", "after": 0, **wanted}
    asked = WantedReplay(endpoint_id=endpoint, last=last, **values)
    await store.write(lambda tx: units.insert_replay(tx, asked, False))
    [replay] = await store.write(lambda tx: units.claim_replays(tx, "me", LATER))
    return replay


async def found(store: Store, replay: Replay) -> list[int]:
    wanted = units.wanted_by(replay)
    listed = await store.read(lambda r: units.find(r, wanted, 0, replay.last, 100))
    count = await store.read(lambda r: units.count(r, wanted, 0, replay.last))
    assert count == len(listed)
    return [item.sequence for item in listed]


async def step(
    store: Store, replay: Replay, *sequences: int, to: int, owner: str = "me"
) -> Replay | None:
    candidates = [PastEvent(sequence, None) for sequence in sequences]
    return await store.write(lambda tx: units.step(tx, replay, owner, candidates, to, LATER))


async def rows(store: Store, endpoint: int) -> list[tuple[Any, ...]]:
    return await store.read(
        lambda reader: reader.sql(
            "SELECT sequence, status, lease FROM hookhub_deliveries WHERE endpoint_id = ? "
            "ORDER BY id",
            (endpoint,),
        )
    )


async def test_types_are_matched_as_new_events_are(store: Store) -> None:
    """Within what the endpoint subscribes to; the hub's own events must be asked for by name."""
    await send(store, "user.created", "user_x.created", "ticket.a.b", "ticket.c")
    await send(store, "delivery.failed", source=OWN)
    for patterns, events, expected in (
        (("*",), ("*",), [1, 2, 3, 4]),
        (("*",), ("user.*",), [1]),
        (("*",), ("delivery.failed",), []),
        (("*", "delivery.*"), ("*",), [1, 2, 3, 4, 5]),
        (("ticket.*",), ("*",), [3, 4]),
        (("ticket.*",), ("ticket.a.*", "user.created"), [3]),
        (("ticket.c", "user.created"), ("ticket.*",), [4]),
    ):
        endpoint = await make(store, f"{patterns} {events}", *patterns)
        assert await found(store, await start(store, endpoint, 5, events=events)) == expected


async def test_the_endpoints_filter_holds(store: Store) -> None:
    """As for new events: what does not pass it is not replayed, nor counted."""
    drafts = [Draft(f"e{n}", "a.b", f'{{"n": {n}}}', 1) for n in range(1, 251)]
    await store.write(lambda tx: [tx.append(draft) for draft in drafts])
    endpoint = await make(store, "one", filter={"n": {"$gte": 150}})
    replay = await start(store, endpoint, 250)
    wanted = units.wanted_by(replay)
    listed = await store.read(lambda r: units.find(r, wanted, 0, 250, 200))
    assert [item.sequence for item in listed] == list(range(150, 251))
    listed = await store.read(lambda r: units.find(r, wanted, 0, 250, 3))
    assert [item.sequence for item in listed] == [150, 151, 152]
    assert await store.read(lambda r: units.count(r, wanted, 0, 200)) == 51


async def test_times_bound_a_range_exactly(store: Store) -> None:
    """From the first moment on, before the second."""
    for at in (10, 30, 20, 40):
        await send(store, "a.b", at=at)
    endpoint = await make(store, "one")
    assert await found(store, await start(store, endpoint, 4, since=20, until=40)) == [2, 3]


async def test_only_what_failed_or_was_never_sent(store: Store) -> None:
    """An event that arrived, or is on its way, is neither."""
    await send(store, "a.b")
    endpoint = await make(store, "one")
    await make(store, "other")
    await send(store, "a.b", "a.b", "a.b")
    await settle(store, endpoint, "success", "failed", "pending")
    assert await found(store, await start(store, endpoint, 4, only="failed")) == [3]
    replay = await start(store, endpoint, 4, only="never_sent")
    assert await found(store, replay) == [1]
    assert await found(store, await start(store, endpoint, 4)) == [1, 2, 3, 4]
    await step(store, replay, 1, to=4)
    assert await found(store, replay) == []


async def test_a_replayed_delivery_is_one_like_any_other(store: Store) -> None:
    """A new row of the same event; counters and the audit know of it."""
    endpoint = await make(store, "one")
    await send(store, "a.b", "a.b")
    await settle(store, endpoint, "success", "success")
    replay = await start(store, endpoint, 2)
    done = await step(store, replay, 1, 2, to=2)
    assert done is not None
    assert (done.state, done.done, done.position) == ("done", 2, 2)
    assert done.finished_at is not None
    assert await rows(store, endpoint) == [(1, 1, None), (2, 1, None), (1, 0, None), (2, 0, None)]
    stats = await store.read(lambda reader: endpoint_stats(reader, "webhook"))
    assert (stats.deliveries, stats.delivered, stats.pending) == (4, 2, 2)
    checked = await audit(store)
    assert (checked.ok, checked.matched, checked.replayed) == (True, 2, 2)
    await send(store, "a.b")
    assert [row[0] for row in await rows(store, endpoint)] == [1, 2, 1, 2, 3]


async def test_a_step_is_done_once(store: Store) -> None:
    """Whoever comes from a position that is no longer the last, or lost the lease, does nothing."""
    endpoint = await make(store, "one")
    await send(store, "a.b", "a.b", "a.b")
    before = await start(store, endpoint, 3)
    assert await step(store, before, 1, to=1, owner="somebody") is None
    assert await step(store, before, 1, to=1) is not None
    assert await step(store, before, 1, to=1) is None
    owned = await store.read(lambda reader: units.owned(reader, before.id, "me"))
    assert owned is not None
    assert (owned.position, owned.done) == (1, 1)
    assert await store.read(lambda reader: units.owned(reader, before.id, "somebody")) is None
    assert len(await rows(store, endpoint)) == 4


async def test_what_changed_since_it_was_found_is_left_out(store: Store) -> None:
    """A retry that is under way by now; an event that retention has deleted."""
    endpoint = await make(store, "one")
    await send(store, "a.b", "a.b", "a.b")
    await settle(store, endpoint, "failed", "failed", "failed")
    replay = await start(store, endpoint, 3, only="failed")
    await store.write(lambda tx: delivery_units.retry_delivery(tx, 1))
    await store.write(
        lambda tx: [
            tx.change("DELETE FROM hookhub_deliveries WHERE sequence = 2"),
            tx.change("DELETE FROM hookhub_events WHERE sequence = 2"),
        ]
    )
    done = await step(store, replay, 1, 2, 3, to=3)
    assert done is not None
    assert done.done == 1
    assert [row[0] for row in await rows(store, endpoint)] == [1, 3, 3]


async def test_strict_order_holds_for_replayed_events(store: Store) -> None:
    """One of a key goes at a time, behind what is on its way already."""
    await send(store, "a.b", key="k")
    await send(store, "a.b", key="k")
    endpoint = await make(store, "one", ordered=True)
    await send(store, "a.b", key="k")
    replay = await start(store, endpoint, 2)
    candidates = [PastEvent(1, "k"), PastEvent(2, "k")]
    await store.write(lambda tx: units.step(tx, replay, "me", candidates, 2, LATER))
    going: list[int] = []
    for _ in range(3):
        claimed = await store.write(lambda tx: claim_due(tx, [(endpoint, 9)], lease=1, until=LATER))
        [claim] = claimed.claims
        going.append(claim.event.sequence)
        record = AttemptReport(claim, 1, 0.1, "delivered", "success", None, 200, None, None, None)
        await store.write(lambda tx, item=record: delivery_units.record_all(tx, [item]))
    assert going == [3, 1, 2]
    assert (await audit(store)).ok


async def test_a_replay_can_be_paused_resumed_and_cancelled(store: Store) -> None:
    """Whoever works on it finds out with the next step; an end is an end."""
    endpoint = await make(store, "one")
    await send(store, "a.b", "a.b")
    replay = await start(store, endpoint, 2)
    paused = await store.write(lambda tx: units.change_state(tx, replay.id, "paused"))
    assert (paused.state, paused.finished_at) == ("paused", None)
    assert await step(store, replay, 1, to=1) is None
    assert not await store.read(units.claimable)
    again = await store.write(lambda tx: units.change_state(tx, replay.id, "paused"))
    assert again.state == "paused"
    await store.write(lambda tx: units.change_state(tx, replay.id, "running"))
    assert await store.read(units.claimable)
    [replay] = await store.write(lambda tx: units.claim_replays(tx, "me", LATER))
    cancelled = await store.write(lambda tx: units.change_state(tx, replay.id, "cancelled"))
    assert cancelled.finished_at is not None
    assert await step(store, replay, 1, to=1) is None
    with pytest.raises(Conflict, match="is cancelled; only one that is paused or failed"):
        await store.write(lambda tx: units.change_state(tx, replay.id, "running"))
    with pytest.raises(NotFound):
        await store.write(lambda tx: units.change_state(tx, 99, "paused"))


async def test_a_lease_that_ends_makes_it_claimable(store: Store) -> None:
    """And one that is kept does not."""
    endpoint = await make(store, "one")
    await send(store, "a.b")
    replay = await start(store, endpoint, 1)
    assert await store.write(lambda tx: units.claim_replays(tx, "other", LATER)) == []
    assert await store.write(lambda tx: units.keep(tx, replay.id, "me", 5, 17))
    assert not await store.write(lambda tx: units.keep(tx, replay.id, "other", LATER, None))
    [taken] = await store.write(lambda tx: units.claim_replays(tx, "other", LATER))
    assert (taken.id, taken.total) == (replay.id, 17)
    assert not await store.write(lambda tx: units.keep(tx, replay.id, "me", LATER, None))
    assert await store.write(units.release_replays) == 1
    assert await store.read(units.claimable)


async def test_a_replay_to_a_deleted_endpoint_fails(store: Store) -> None:
    """It says why."""
    endpoint = await make(store, "one")
    await send(store, "a.b")
    replay = await start(store, endpoint, 1)
    await store.write(lambda tx: delete_endpoint(tx, "webhook", endpoint))
    failed = await step(store, replay, 1, to=1)
    assert failed is not None
    assert (failed.state, failed.error, failed.done) == ("failed", "The endpoint was deleted.", 0)


async def test_never_sent_leaves_out_what_nobody_knows_any_more(store: Store) -> None:
    """Retention has deleted deliveries to this endpoint up to there."""
    await send(store, "a.b", "a.b", "a.b")
    endpoint = await make(store, "one")
    await store.write(lambda tx: tx.change("UPDATE hookhub_endpoints SET removed_to = 2"))
    assert await found(store, await start(store, endpoint, 3, only="never_sent")) == [3]


async def test_lists_are_newest_first(store: Store) -> None:
    """By endpoint and by state."""
    one, two = await make(store, "one"), await make(store, "two")
    for endpoint in (one, two, one):
        await start(store, endpoint, 0)
    await store.write(lambda tx: units.change_state(tx, 3, "paused"))

    async def ids(**filters: Any) -> list[int]:
        page = await store.read(lambda reader: units.list_replays(reader, **filters))
        return [item.id for item in page.items]

    assert await ids() == [3, 2, 1]
    assert await ids(endpoint_id=one) == [3, 1]
    assert await ids(state="paused") == [3]
    page = await store.read(lambda reader: units.list_replays(reader, limit=1, offset=1))
    assert ([item.id for item in page.items], page.total) == ([2], 3)
