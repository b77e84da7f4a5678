"""Looking for deliveries: what is found, in which order, and with how much work."""

from __future__ import annotations

from typing import Any

import pytest

from hookhub.contracts.deliveries import Delivery, DeliveryFilter, SearchPage
from hookhub.store import Reader, Store, Transaction
from hookhub.store.units import delivery_search
from hookhub.store.units.delivery_search import CLOCKS, search_deliveries

SECOND = 1_000_000
EVENTS = 30
ENDPOINTS = 3
FIRST = 1_000_000 * SECOND


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows are many steps; and clocks that keep good time."""
    monkeypatch.setattr(delivery_search, "STEP", 4)
    monkeypatch.setattr(delivery_search, "STEPS", 2)


def fill(tx: Transaction) -> None:
    """Thirty events a second apart, each to three endpoints; the last endpoint is deleted.

    Delivery 3·n+e is of event n to endpoint e: its status is n mod 3, its type by n mod 5.
    """
    for number in range(1, ENDPOINTS + 1):
        deleted_at = 5 if number == ENDPOINTS else None
        tx.insert_rows(
            "INSERT INTO hookhub_endpoints (sink, name, event_types, config, options, secrets, "
            "is_active, created_at, updated_at, deleted_at)",
            [("webhook", f"w{number}", '["*"]', "{}", "{}", "[]", True, 1, 1, deleted_at)],
        )
    for number in range(EVENTS):
        moment = FIRST + number * 100 * SECOND
        type_ = "rare.one" if number % 5 == 0 else "user.created"
        tx.insert_rows(
            "INSERT INTO hookhub_events (sequence, id, type, payload, timestamp, deliveries)",
            [(number + 1, f"evt_{number}", type_, "{}", moment, ENDPOINTS)],
        )
        tx.insert_rows(
            "INSERT INTO hookhub_deliveries "
            "(id, endpoint_id, sequence, status, due_at, created_at)",
            [
                (3 * number + endpoint, endpoint, number + 1, number % 3, 1, moment)
                for endpoint in range(1, ENDPOINTS + 1)
            ],
        )


async def pages(store: Store, wanted: DeliveryFilter, limit: int = 7) -> list[SearchPage[Delivery]]:
    """All pages of a search."""
    found: list[SearchPage[Delivery]] = []
    while not found or found[-1].before is not None:
        before = found[-1].before if found else None

        def unit(reader: Reader, before: int | None = before) -> SearchPage[Delivery]:
            return search_deliveries(reader, wanted, before=before, limit=limit)

        found.append(await store.read(unit))
        assert len(found) < 100
    return found


def expected(**wanted: Any) -> list[int]:
    """The ids that a filter should find, newest first."""
    return [
        3 * number + endpoint
        for number in reversed(range(EVENTS))
        for endpoint in (2, 1)
        if wanted.get("endpoint", endpoint) == endpoint
        and wanted.get("status", number % 3) == number % 3
        and (not wanted.get("rare") or number % 5 == 0)
        and wanted.get("since", 0) <= number < wanted.get("until", EVENTS)
    ]


def at(number: int) -> int:
    return FIRST + number * 100 * SECOND


CASES: dict[str, tuple[DeliveryFilter, list[int]]] = {
    "all": (DeliveryFilter(), expected()),
    "failed": (DeliveryFilter(status="failed"), expected(status=2)),
    "pending": (DeliveryFilter(status="pending"), expected(status=0)),
    "success": (DeliveryFilter(status="success"), expected(status=1)),
    "endpoint": (DeliveryFilter(endpoint_id=1), expected(endpoint=1)),
    "failed of one": (
        DeliveryFilter(endpoint_id=2, status="failed"),
        expected(endpoint=2, status=2),
    ),
    "success of one": (
        DeliveryFilter(endpoint_id=2, status="success"),
        expected(endpoint=2, status=1),
    ),
    "type": (DeliveryFilter(event_types=("rare.one",)), expected(rare=True)),
    "pattern": (DeliveryFilter(event_types=("no.such", "rare.*")), expected(rare=True)),
    "every type": (DeliveryFilter(event_types=("*",)), expected()),
    "pattern of one": (
        DeliveryFilter(endpoint_id=1, event_types=("rare.*",)),
        expected(endpoint=1, rare=True),
    ),
    "no such type": (DeliveryFilter(event_types=("no.such",)), []),
    "since": (DeliveryFilter(since=at(20)), expected(since=20)),
    "until": (DeliveryFilter(until=at(4)), expected(until=4)),
    "period": (DeliveryFilter(since=at(7), until=at(9)), expected(since=7, until=9)),
    "no time at all": (DeliveryFilter(since=at(9), until=at(7)), []),
    "before everything": (DeliveryFilter(until=at(-3)), []),
    "after everything": (DeliveryFilter(since=at(99)), []),
    "everything at once": (
        DeliveryFilter(1, "failed", ("rare.*",), None, at(1), at(26)),
        expected(endpoint=1, status=2, rare=True, since=1, until=26),
    ),
    "event": (DeliveryFilter(event_id="evt_5"), [17, 16]),
    "event of one": (DeliveryFilter(endpoint_id=1, event_id="evt_5"), [16]),
    "event of another type": (DeliveryFilter(event_id="evt_5", event_types=("user.*",)), []),
    "event of another status": (DeliveryFilter(event_id="evt_5", status="pending"), []),
    "event of another time": (DeliveryFilter(event_id="evt_5", since=at(6)), []),
    "no such event": (DeliveryFilter(event_id="evt_none"), []),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("limit", [1, 7, 200])
async def test_every_filter(store: Store, small_steps: None, case: str, limit: int) -> None:
    """The pages together are exactly the deliveries that match, newest first, each once."""
    wanted, ids = CASES[case]
    await store.write(fill)
    found = await pages(store, wanted, limit)
    assert [item.id for page in found for item in page.items] == ids
    assert all(len(page.items) <= limit for page in found)


async def test_a_search_says_how_far_it_came(store: Store, small_steps: None) -> None:
    """A call looks at so many deliveries and no more; then it may have found none, and goes on."""
    await store.write(fill)
    [first, *rest] = await pages(store, DeliveryFilter(event_types=("no.such",)))
    assert (first.items, first.before) == ([], 3 * EVENTS - 4 * 2 + 1)
    assert len(rest) > 5


async def test_a_clock_that_was_set_back_a_little(store: Store) -> None:
    """Times that are out of the order of ids by less than the allowance are found all the same."""
    await store.write(fill)

    def shift(tx: Transaction) -> None:
        for number in (8, 9):
            tx.change(
                "UPDATE hookhub_deliveries SET created_at = ? WHERE sequence = ?",
                (at(10) + CLOCKS // 2 - number, number),
            )

    await store.write(shift)
    found = await pages(store, DeliveryFilter(endpoint_id=1, since=at(10), until=at(11)))
    assert [item.id for page in found for item in page.items] == [31, 25, 22]


async def test_an_empty_store(store: Store) -> None:
    """Nothing is found where nothing is."""
    for wanted, _ in CASES.values():
        [page] = await pages(store, wanted)
        assert (page.items, page.before) == ([], None)
