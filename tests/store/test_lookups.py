"""What a group finds out for its units before they run is what each would have found by itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest

from hookhub.config import DatabaseSettings
from hookhub.contracts.deliveries import Claim, EndpointOptions, NewEndpoint
from hookhub.contracts.errors import IdempotencyMismatch
from hookhub.contracts.events import Draft, new_event_id
from hookhub.store import Appends, Store, Transaction, open_store
from hookhub.store.units.claims import claim_due
from hookhub.store.units.deliveries import AttemptReport, record_all
from hookhub.store.units.endpoints import insert_endpoint, update_endpoint
from hookhub.store.units.events import accept
from support.grouped import Planned, together


def own(event_id: str, payload: str = "{}") -> Draft:
    """An event with an id of its producer's."""
    return Draft(event_id, "a.b", payload, 1, own_id=True)


def keyed() -> Draft:
    return Draft(new_event_id(0), "a.b", "{}", 1, "k")


def planned(*drafts: Draft, key: str | None = None) -> Planned:
    return Planned(partial(accept, drafts=drafts, idempotency_key=key), Appends(drafts, key))


async def make(store: Store, **options: object) -> int:
    new = NewEndpoint("one", ("*",), {}, options=EndpointOptions(**options))  # type: ignore[arg-type]
    return (await store.write(lambda tx: insert_endpoint(tx, "webhook", new))).id


async def claimed(store: Store) -> Sequence[Claim]:
    now = store.clock()
    found = await store.write(lambda tx: claim_due(tx, [(1, 10)], lease=7, until=now + 10**9))
    return found.claims


def delivered(tx: Transaction, claim: Claim) -> None:
    [recorded] = record_all(
        tx, [AttemptReport(claim, tx.now, 0.1, "delivered", "success", None, 200, "", None, None)]
    )
    assert recorded.taken


async def test_a_repeat_in_the_same_group_is_a_repeat(store: Store) -> None:
    """By its own id as by an idempotency key."""
    outcomes = await together(
        store,
        planned(own("one")),
        planned(own("one")),
        planned(own("two"), own("two"), key="key"),
        planned(own("two"), own("two"), key="key"),
        planned(own("one", '{"a":1}')),
    )
    assert [[item.repeated for item in outcome] for outcome in outcomes[:-1]] == [
        [False],
        [True],
        [False, True],
        [True, True],
    ]
    assert isinstance(outcomes[-1], IdempotencyMismatch)


async def test_what_was_committed_before_is_a_repeat(store: Store) -> None:
    """Among many that are asked about at once."""
    [first] = await together(store, planned(own("one"), own("two"), key="key"))
    by_id, by_key, other = await together(
        store,
        planned(own("three"), own("two")),
        planned(own("one"), own("two"), key="key"),
        planned(own("one"), key="key"),
    )
    assert [(item.sequence, item.repeated) for item in by_id] == [(3, False), (2, True)]
    assert [item.sequence for item in by_key] == [item.sequence for item in first]
    assert isinstance(other, IdempotencyMismatch)


@pytest.mark.parametrize("record_first", [True, False])
async def test_a_key_that_is_released_meanwhile_holds_back_nothing(
    store: Store, record_first: bool
) -> None:
    """The next delivery of a key is due, whether its event or the end of the one before it came
    first; it would wait for ever if it were held back by what is over."""
    await make(store, ordered=True)
    await together(store, planned(keyed()))
    [claim] = await claimed(store)
    units = [partial(delivered, claim=claim), planned(keyed())]
    await together(store, *(units if record_first else reversed(units)))
    assert [item.event.sequence for item in await claimed(store)] == [2]


async def test_a_key_that_is_busy_holds_back(store: Store) -> None:
    """Both that of an earlier group and that of an earlier unit."""
    await make(store, ordered=True)
    await together(store, planned(keyed()), planned(keyed()))
    await together(store, planned(keyed()))
    assert [item.event.sequence for item in await claimed(store)] == [1]


async def test_a_filter_that_another_process_changed_counts(
    store: Store, settings: DatabaseSettings
) -> None:
    """What was found out by the old one before the state row was taken does not."""
    endpoint = await make(store, filter={"a": 1})
    event = Draft("x", "a.b", '{"a":1}', 1)
    [[before]] = await together(store, planned(event))
    async with open_store(settings) as other:
        changes = {"options": EndpointOptions(filter={"a": 2})}
        await other.write(lambda tx: update_endpoint(tx, "webhook", endpoint, changes))
    [[after]] = await together(store, planned(event._replace(id="y")))
    assert (before.deliveries, after.deliveries) == (1, 0)
