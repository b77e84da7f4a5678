"""The engine: every delivery is attempted until it ends, whatever the sink does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from hookhub.contracts.deliveries import EndpointOptions
from hookhub.contracts.events import Draft, Event, new_event_id
from hookhub.contracts.sinks import Attempt, AttemptResult, Outcome
from hookhub.delivery.attempts import run_attempt
from hookhub.store import Store, Transaction
from hookhub.store.units.deliveries import get_delivery
from hookhub.store.units.endpoints import get_endpoint, update_endpoint
from support.scripted import (
    RETRY,
    Scripted,
    all_delivered,
    counts,
    delivery_when,
    make_endpoint,
    running,
    send,
    send_more,
    until,
)


async def test_it_is_attempted_until_it_is_delivered(store: Store) -> None:
    """Each attempt is numbered and recorded; the event and its id stay the same."""
    sink = Scripted(RETRY, RETRY)
    async with running(store, sink):
        await send(store)
        delivery = await delivery_when(store, lambda d: d.status == "success")
    assert [attempt.number for attempt in sink.attempts] == [1, 2, 3]
    assert len({attempt.event.id for attempt in sink.attempts}) == 1
    assert sink.attempts[0].secrets == ("s",)
    assert delivery.attempts is not None
    assert [a.outcome for a in delivery.attempts] == ["retry", "retry", "delivered"]
    assert (delivery.response_status, delivery.response_body) == (200, "ok")
    assert delivery.delivered_at is not None
    assert delivery.next_retry_at is None


async def test_out_of_attempts_it_ends_failed(store: Store) -> None:
    """With the last reason, where a person can see it."""
    sink = Scripted(RETRY, RETRY, RETRY)
    async with running(store, sink):
        await send(store)
        delivery = await delivery_when(store, lambda d: d.status == "failed")
    assert delivery.attempt_number == 3
    assert delivery.error_message == "It answered 500."


async def test_between_attempts_it_is_pending_with_a_time(store: Store) -> None:
    """``next_retry_at`` says when."""
    sink = Scripted(RETRY)
    async with running(store, sink, retry_schedule=[3600.0], jitter=0.0):
        await send(store)
        delivery = await delivery_when(store, lambda d: d.attempt_number == 1)
    assert delivery.status == "pending"
    assert delivery.next_retry_at is not None
    assert 3500 < (delivery.next_retry_at - store.clock()) / 1e6 <= 3600


async def test_an_endpoint_may_have_a_schedule_of_its_own(store: Store) -> None:
    """``retry_schedule`` of its options wins."""
    sink = Scripted(RETRY, RETRY)
    async with running(store, sink, retry_schedule=[3600.0]):
        await send(store, EndpointOptions(retry_schedule=(0.0,)))
        await delivery_when(store, lambda d: d.status == "failed")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("boom"),
        SystemExit("no"),
        asyncio.CancelledError(),
        BaseExceptionGroup("of a nursery", [SystemExit(), ValueError()]),
    ],
    ids=repr,
)
async def test_a_sink_that_raises_is_retried(store: Store, error: BaseException) -> None:
    """Its exception, of whatever kind, is a failed attempt, not the end of the engine."""
    sink = Scripted(error)
    async with running(store, sink):
        await send(store)
        delivery = await delivery_when(store, lambda d: d.status == "success")
    assert delivery.attempts is not None
    assert delivery.attempts[0].error == "sink_error"


async def test_a_hanging_sink_is_cut_off(store: Store) -> None:
    """The core's deadline ends the attempt."""
    sink = Scripted()
    sink.gate = trio.Event()
    async with running(store, sink, timeout=0.05, retry_schedule=[]):
        await send(store)
        delivery = await delivery_when(store, lambda d: d.status == "failed")
    assert delivery.error == "timeout"


class FailsAtTheEnd(Scripted):
    """Has a task of its own that fails when it is cut off."""

    async def attempt(self, attempt: Attempt) -> AttemptResult:
        async def clean_up() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise OSError("the connection is gone")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(clean_up)
            await trio.sleep_forever()
        raise AssertionError("unreachable")


async def test_a_sink_that_fails_when_it_is_cut_off_is_a_failure(store: Store) -> None:
    """What it raises comes with the cancellation, and is its failure all the same."""
    async with running(store, FailsAtTheEnd(), timeout=0.05, retry_schedule=[]):
        await send(store)
        delivery = await delivery_when(store, lambda d: d.status == "failed")
    assert delivery.error == "sink_error"


async def test_no_attempt_swallows_an_interrupt(store: Store) -> None:
    """Ctrl-C ends the program, and a cancelled attempt did not happen."""
    event = Event(1, "e1", "user.created", "{}", 1)
    attempt = Attempt(1, 1, 1, event, {}, (), 1)
    with pytest.raises(KeyboardInterrupt):
        await run_attempt(Scripted(KeyboardInterrupt()), attempt, 1.0)
    with trio.move_on_after(0.05) as scope:
        await run_attempt(FailsAtTheEnd(), attempt, 60.0)
    assert scope.cancelled_caught


async def test_an_endpoint_that_is_gone_is_disabled(store: Store) -> None:
    """HTTP 410: with a reason that a person can see; the delivery ends failed."""
    gone = AttemptResult(Outcome.GIVE_UP, 410, None, "status", "It is gone.", None, True)
    sink = Scripted(gone)
    async with running(store, sink):
        await send(store)
        await delivery_when(store, lambda d: d.status == "failed")
    endpoint = await store.read(lambda reader: get_endpoint(reader, "scripted", 1))
    assert (endpoint.is_active, endpoint.disabled_reason) == (False, "It is gone.")


async def test_stopping_finishes_what_is_in_flight_and_starts_nothing(store: Store) -> None:
    """The attempt is recorded; the next event waits for the next start."""
    sink = Scripted()
    sink.gate = trio.Event()
    async with running(store, sink) as engine:
        await send(store)
        await sink.entered.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.stop)
            await trio.testing.wait_all_tasks_blocked()
            await store.write(lambda tx: tx.append(Draft("later", "user.created", "{}", 1)))
            sink.gate.set()
    assert (await store.read(lambda reader: get_delivery(reader, 1))).status == "success"
    assert (await store.read(lambda reader: get_delivery(reader, 2))).status == "pending"
    assert len(sink.attempts) == 1


async def test_a_killed_engines_claims_come_back(store: Store) -> None:
    """Cancelled in the middle: not an attempt; after the lease, another engine delivers."""
    sink = Scripted()
    sink.gate = trio.Event()
    async with running(store, sink):
        await send(store)
        await sink.entered.wait()
    delivery = await store.read(lambda reader: get_delivery(reader, 1))
    assert (delivery.status, delivery.attempt_number) == ("pending", 0)
    sink.gate.set()
    await store.write(lambda tx: tx.change("UPDATE hookhub_deliveries SET due_at = 0"))
    async with running(store, sink):
        await delivery_when(store, lambda d: d.status == "success")


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {"outcome": "delivered"},
        AttemptResult(Outcome.RETRY, error_message=b"bytes"),  # type: ignore[arg-type]
        AttemptResult(Outcome.RETRY, response_status=10**30),
        AttemptResult(Outcome.DELIVERED, timings={"wait": None}),  # type: ignore[dict-item]
        AttemptResult(Outcome.RETRY, retry_after=float("nan")),
        AttemptResult(Outcome.RETRY, error="a\x00b"),
        AttemptResult(Outcome.RETRY, error="half a \ud800"),
        AttemptResult(Outcome.DELIVERED, timings={("wait",): 1.0}),  # type: ignore[dict-item]
        AttemptResult(Outcome.RETRY, response_headers=[("X", "text")]),  # type: ignore[list-item]
        AttemptResult(Outcome.RETRY, response_headers=[b"X"]),  # type: ignore[list-item]
    ],
)
async def test_a_sink_that_returns_nonsense_is_retried(store: Store, wrong: Any) -> None:
    """What cannot be written down is a failed attempt, not the end of the hub."""
    sink = Scripted(wrong)
    async with running(store, sink):
        await send(store)
        delivery = await delivery_when(store, lambda d: d.status == "success")
    assert delivery.attempts is not None
    assert [item.error for item in delivery.attempts] == ["sink_error", None]


class Timeless(Scripted):
    """Cannot say how long it takes."""

    def __init__(self, says: Any) -> None:
        super().__init__()
        self._says = says

    def timeout(self, config: Mapping[str, Any], default: float) -> float:
        if isinstance(self._says, BaseException):
            raise self._says
        return self._says  # type: ignore[no-any-return]


@pytest.mark.parametrize("says", [RuntimeError("no idea"), SystemExit(), "5", float("nan")])
async def test_a_sink_that_cannot_say_its_timeout_is_a_failure(store: Store, says: Any) -> None:
    """The same for what it is asked before the attempt."""
    async with running(store, Timeless(says), retry_schedule=[]):
        await send(store)
        delivery = await delivery_when(store, lambda d: d.status == "failed")
    assert delivery.error == "sink_error"


async def test_a_rate_limit_that_is_lifted_holds_nothing_back(store: Store) -> None:
    """What was claimed while it was in force does not wait until that would have let it go."""
    sink = Scripted()
    async with running(store, sink) as engine:
        await send(store, EndpointOptions(rate_limit=0.001))
        await delivery_when(store, lambda d: d.status == "success")
        await send_more(store, 1)
        await until(lambda: engine.statistics()["queued"] == 1)
        free = {"options": EndpointOptions()}
        changed = await store.write(lambda tx: update_endpoint(tx, "scripted", 1, free))
        await engine.endpoint_changed(1, changed)
        await all_delivered(store, 2)


async def test_a_commit_that_outlives_the_engine(store: Store) -> None:
    """When a crash takes the engine, what is being committed is kept, and nothing else fails."""
    begun, go_on = trio.Event(), threading.Event()
    token = trio.lowlevel.current_trio_token()

    def slowly(tx: Transaction) -> None:
        tx.append(Draft(new_event_id(0), "user.created", "{}", 1))
        token.run_sync_soon(begun.set)
        assert go_on.wait(10)

    with capture_logs() as logs:
        async with trio.open_nursery() as outer:
            async with running(store, Scripted()) as engine:
                await make_endpoint(store, engine)
                outer.start_soon(store.write, slowly)
                await begun.wait()
            go_on.set()
    assert engine.statistics()["handed_over_total"] == 1
    assert [entry for entry in logs if entry["log_level"] == "error"] == []
    assert await counts(store) == {0: 1}
