"""The wall clock is set: nothing is made twice by the one who holds it, nothing waits for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from hookhub.config import DatabaseSettings
from hookhub.contracts.sinks import AttemptResult, Outcome
from hookhub.delivery.clock import ClockWatch, latest_due
from hookhub.store import Store, open_store
from hookhub.store.units.postponed import Waiting
from support.scripted import (
    DELIVERED,
    RETRY,
    MovedClock,
    Scripted,
    all_delivered,
    delivery_when,
    running,
    send,
    send_more,
)

HOUR = 3_600.0
SECOND = 1_000_000
LEASE = 95.0
"""Seconds: the longest attempt, and the margin."""


@pytest.fixture
def clock() -> MovedClock:
    """The store's clock, and so the engine's."""
    return MovedClock()


@pytest.fixture
async def store(any_database: str, clock: MovedClock) -> AsyncIterator[Store]:
    """A store that goes by it."""
    async with open_store(DatabaseSettings(url=any_database), clock) as opened:
        yield opened


def test_only_a_step_back_is_one() -> None:
    """Not the first look, not the time that passes, not a small adjustment, not a step forward."""
    watch = ClockWatch()
    assert watch.look(50 * SECOND, 1.0) == 0
    assert watch.look(60 * SECOND, 11.0) == 0
    assert watch.look(60 * SECOND, 11.5) == 0
    assert watch.look(90 * SECOND, 11.5) == 0
    assert watch.look(31 * SECOND, 12.5) == pytest.approx(60)
    assert watch.look(32 * SECOND, 13.5) == 0


@pytest.mark.parametrize(
    ("due_in", "attempts", "schedule_from", "wait", "expected"),
    [
        (4, 1, 0, 5, 4),  # nothing is wrong
        (-5, 1, 0, 5, -5),
        (3_604, 1, 0, 5, 5),
        (90_000, 1, 0, 7_200, 7_200),  # a long Retry-After stays one
        (3_600, 0, 0, None, 0),  # never tried: it was due when it was made
        (3_600, 2, 2, 300, 0),  # put back by hand: likewise
        (500_000, 1, 0, None, 86_400),  # longer than a receiver can ask for
    ],
)
def test_when_a_delivery_may_be_due_at_the_latest(
    due_in: int, attempts: int, schedule_from: int, wait: int | None, expected: int
) -> None:
    """Its last attempt ended before now, so what it was to wait begins before now."""
    now = 10**15
    micro = None if wait is None else wait * SECOND
    item = Waiting(1, now + due_in * SECOND, attempts, schedule_from, micro)
    assert latest_due(item, now) - now == expected * SECOND


async def test_set_forward_and_back_while_an_attempt_is_under_way(
    store: Store, clock: MovedClock
) -> None:
    """It began by one time and ended by another; its retry waits for neither."""
    sink = Scripted(RETRY)
    sink.gate = trio.Event()
    async with running(store, sink, retry_schedule=[1.0], jitter=0.0):
        await send(store)
        await sink.entered.wait()
        clock.ahead = HOUR
        sink.gate.set()
        await delivery_when(store, lambda d: d.attempt_number == 1)
        clock.ahead = 0
        delivery = await delivery_when(store, lambda d: d.status == "success")
    assert delivery.attempt_number == 2


async def test_set_back_while_it_runs(store: Store, clock: MovedClock) -> None:
    """A retry that waits is due after its wait, not when the old time comes again."""
    async with running(store, Scripted(RETRY), retry_schedule=[1.0], jitter=0.0):
        await send(store)
        await delivery_when(store, lambda d: d.attempt_number == 1)
        clock.ahead = -HOUR
        delivery = await delivery_when(store, lambda d: d.status == "success")
    assert delivery.attempt_number == 2


async def test_set_back_while_nobody_runs(store: Store, clock: MovedClock) -> None:
    """The next start sees that the newest attempt was later than now."""
    async with running(store, Scripted(RETRY), retry_schedule=[1.0], jitter=0.0):
        await send(store)
        await delivery_when(store, lambda d: d.attempt_number == 1)
    clock.ahead = -HOUR
    async with running(store, Scripted()):
        await delivery_when(store, lambda d: d.status == "success")


async def test_what_a_receiver_asked_for_is_still_granted(store: Store, clock: MovedClock) -> None:
    """``Retry-After`` of two hours: not sooner than that, and not three hours later."""
    later = AttemptResult(Outcome.RETRY, 503, error="status", retry_after=2 * HOUR)
    async with running(store, Scripted(later), retry_schedule=[1.0], jitter=0.0):
        await send(store)
        before = await delivery_when(store, lambda d: d.attempt_number == 1)
        assert before.next_retry_at is not None
        clock.ahead = -HOUR
        after = await delivery_when(store, lambda d: d.next_retry_at != before.next_retry_at)
        assert after.next_retry_at is not None
        assert after.next_retry_at - store.clock() == pytest.approx(2 * HOUR * SECOND, rel=0.01)


async def test_leases_do_not_outlast_a_step_back(store: Store, clock: MovedClock) -> None:
    """Who is killed after it has left nothing that waits for the old time."""
    sink = Scripted()
    sink.gate = trio.Event()
    async with running(store, sink):
        await send(store)
        await sink.entered.wait()
        clock.ahead = -HOUR
        with trio.fail_after(10):
            while (await _lease_end(store) - store.clock()) / SECOND > LEASE:
                await trio.sleep(0.005)
        sink.gate.set()
        await delivery_when(store, lambda d: d.status == "success")
    assert len(sink.attempts) == 1


@pytest.mark.parametrize("result", [DELIVERED, RETRY], ids=["delivered", "retry"])
async def test_set_forward_while_an_attempt_is_under_way(
    store: Store, clock: MovedClock, result: AttemptResult
) -> None:
    """Its lease is over, says the clock; the one who makes the attempt does not make it twice."""
    sink = Scripted(result)
    sink.gate = trio.Event()
    async with running(store, sink, retry_schedule=[3 * HOUR]):
        await send(store)
        await sink.entered.wait()
        clock.ahead = HOUR
        with trio.fail_after(10):
            while await _lease_end(store) < store.clock():
                await trio.sleep(0.005)
        sink.gate.set()
        delivery = await delivery_when(store, lambda d: d.attempt_number == 1)
        assert delivery.attempts is not None
        assert [item.number for item in delivery.attempts] == [1]
        assert (delivery.status == "success") == (result is DELIVERED)
        # It was taken, so nobody holds it any more.
        assert await _leases(store) == []
    assert len(sink.attempts) == 1


async def test_set_forward_while_claims_wait_for_their_turn(
    store: Store, clock: MovedClock
) -> None:
    """Each is attempted once."""
    sink = Scripted()
    sink.gate = trio.Event()
    async with running(store, sink, concurrency=1):
        await send(store)
        await sink.entered.wait()
        await send_more(store, 3)
        clock.ahead = HOUR
        assert await _lease_end(store) < store.clock()
        await send_more(store, 1)
        sink.gate.set()
        await all_delivered(store, 5)
    assert sorted(attempt.delivery_id for attempt in sink.attempts) == [1, 2, 3, 4, 5]


async def test_a_claim_that_waited_too_long_is_renewed(store: Store, clock: MovedClock) -> None:
    """Its lease could end under way; it is prolonged when its turn comes, and does not run out."""
    sink = Scripted()
    sink.gate = trio.Event()
    async with running(store, sink, concurrency=1):
        await send(store)
        await sink.entered.wait()
        await send_more(store, 2)
        # The attempt takes long: not so long that leases end, but beyond their margin.
        clock.ahead = LEASE / 2
        sink.gate.set()
        await all_delivered(store, 3)
    assert len(sink.attempts) == 3


async def test_a_claim_that_another_has_by_now_is_left_to_it(
    store: Store, clock: MovedClock
) -> None:
    """Too long in the queue, and taken over: not attempted here."""
    sink = Scripted()
    sink.gate = trio.Event()
    async with running(store, sink, concurrency=1):
        await send(store)
        await sink.entered.wait()
        await send_more(store, 1)
        await store.write(
            lambda tx: tx.change(
                "UPDATE hookhub_deliveries SET lease = 7, due_at = ? WHERE id = 2",
                (tx.now + round(HOUR) * SECOND,),
            )
        )
        clock.ahead = LEASE / 2
        sink.gate.set()
        await delivery_when(store, lambda d: d.status == "success")
        await send_more(store, 1)
        with trio.fail_after(10):
            while len(sink.attempts) < 2:
                await trio.sleep(0.005)
    assert [attempt.delivery_id for attempt in sink.attempts] == [1, 3]


async def _lease_end(store: Store) -> int:
    """When the lease of the first delivery ends."""
    rows = await store.read(
        lambda reader: reader.sql("SELECT due_at FROM hookhub_deliveries WHERE id = 1")
    )
    found: int = rows[0][0]
    return found


async def _leases(store: Store) -> list[int]:
    rows = await store.read(
        lambda reader: reader.sql(
            "SELECT id FROM hookhub_deliveries WHERE status = 0 AND lease IS NOT NULL"
        )
    )
    return [row[0] for row in rows]
