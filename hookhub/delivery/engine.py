"""The delivery engine: claims what is due, lets the sinks attempt it, writes down what came of it.

It knows no webhook. Whatever happens between claim and record (a crash, a lost database), the
lease runs out and the delivery is attempted again: at least once, always.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

import structlog
import trio

from hookhub.config import DeliverySettings
from hookhub.delivery.model import Endpoint
from hookhub.delivery.policy import decide
from hookhub.errors import StoreUnavailable
from hookhub.events import Event
from hookhub.sinks import Attempt, AttemptResult, DurableSink, Outcome
from hookhub.store import NewDelivery, Store, Transaction
from hookhub.store.deliveries import Claim, Record, claim_due, next_due, record
from hookhub.store.endpoints import disable_endpoint, endpoints_generation, load_endpoints

CLAIM_LIMIT = 100
LEASE_MARGIN = 30.0
"""Seconds that a lease outlives the longest attempt: time to write down what came of it."""
MAX_TIMEOUT = 60.0
RECORD_DEADLINE = 10.0
MESSAGE_MAX = 1_000

log = structlog.get_logger("hookhub.delivery")


class Engine:
    """Owns every attempt that is in flight.

    Args:
        sinks: durable sinks by name; deliveries of a sink that is not here stay pending.
        poll: seconds between looks for work that nobody announced (retries that fell due are
            announced by their own time; this is for other processes' work).
    """

    def __init__(
        self,
        store: Store,
        sinks: Mapping[str, DurableSink],
        settings: DeliverySettings,
        poll: float,
        chance: random.Random | None = None,
    ) -> None:
        self._store = store
        self._sinks = sinks
        self._settings = settings
        self._poll = poll
        self._chance = chance or random.Random()
        self._bell = trio.Event()
        self._stopping = False
        self._idle = trio.Event()
        self._in_flight = 0
        self._lease = time.time_ns()
        self._endpoints: dict[int, Endpoint] = {}
        self._generation = -1
        self._outcomes = dict.fromkeys(Outcome, 0)
        self._unrecorded = 0
        self._failing: str | None = None

    def ring(self) -> None:
        """Something may be due."""
        self._bell.set()

    def committed(self, events: list[Event], deliveries: list[NewDelivery]) -> None:
        """Deliveries were committed by this process."""
        if deliveries:
            self._bell.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver until :meth:`stop`, then wait for the attempts in flight."""
        try:
            async with trio.open_nursery() as nursery:
                task_status.started()
                while not self._stopping:
                    await self._round(nursery)
        finally:
            self._idle.set()

    async def _round(self, nursery: trio.Nursery) -> None:
        self._bell = trio.Event()
        try:
            claims = await self._claim()
            self._failing = None
        except StoreUnavailable as error:
            self._failing = error.detail
            claims = []
        for claim in claims:
            self._in_flight += 1
            nursery.start_soon(self._deliver, claim)
        if not claims or self._in_flight >= self._settings.concurrency:
            await self._wait()

    async def stop(self) -> None:
        """Start no more attempts; return when those in flight are recorded."""
        self._stopping = True
        self._bell.set()
        await self._idle.wait()

    async def _wait(self) -> None:
        timeout = self._poll
        if self._failing is None and self._in_flight < self._settings.concurrency:
            due = await self._next_due()
            if due is not None:
                timeout = min(timeout, max(0.001, (due - self._store.clock()) / 1_000_000))
        with trio.move_on_after(timeout):
            await self._bell.wait()

    async def _next_due(self) -> int | None:
        try:
            return await self._store.read(next_due)
        except StoreUnavailable as error:
            self._failing = error.detail
            return None

    async def _claim(self) -> list[Claim]:
        limit = min(CLAIM_LIMIT, self._settings.concurrency - self._in_flight)
        if limit <= 0:
            return []
        self._lease += 1
        lease = self._lease
        span = max(MAX_TIMEOUT, self._settings.timeout) + LEASE_MARGIN
        known = self._generation

        def unit(tx: Transaction) -> tuple[list[Claim], int, dict[int, Endpoint] | None]:
            until = tx.now + round(span * 1_000_000)
            claims = claim_due(tx, limit=limit, lease=lease, until=until)
            generation = endpoints_generation(tx)
            fresh = load_endpoints(tx) if claims and generation != known else None
            return claims, generation if fresh is not None else known, fresh

        claims, self._generation, fresh = await self._store.write(unit, locks=False)
        if fresh is not None:
            self._endpoints = fresh
        return claims

    async def _deliver(self, claim: Claim) -> None:
        try:
            endpoint = self._endpoints.get(claim.endpoint_id)
            sink = self._sinks.get(endpoint.sink) if endpoint is not None else None
            if endpoint is None or sink is None:
                # Its plugin is not installed (now), or it was deleted after the claim. The lease
                # keeps it quiet for a while.
                return
            started_at = self._store.clock()
            began = time.perf_counter()
            result = await self._attempt(sink, endpoint, claim, started_at)
            await self._record(claim, endpoint, result, started_at, time.perf_counter() - began)
        finally:
            self._in_flight -= 1
            self._bell.set()

    async def _attempt(
        self, sink: DurableSink, endpoint: Endpoint, claim: Claim, started_at: int
    ) -> AttemptResult:
        timeout = min(sink.timeout(endpoint.config, self._settings.timeout), MAX_TIMEOUT)
        attempt = make_attempt(claim, endpoint, started_at)
        try:
            with trio.fail_after(timeout):
                return await sink.attempt(attempt)
        except trio.TooSlowError:
            return AttemptResult(
                Outcome.RETRY,
                error="timeout",
                error_message=f"The attempt took longer than {timeout:g} seconds.",
            )
        except Exception as error:
            log.exception("sink.failed", sink=sink.name, delivery_id=claim.id)
            return AttemptResult(
                Outcome.RETRY,
                error="sink_error",
                error_message=f"The sink {sink.name!r} failed: {type(error).__name__}.",
            )

    async def _record(
        self,
        claim: Claim,
        endpoint: Endpoint,
        result: AttemptResult,
        started_at: int,
        duration: float,
    ) -> None:
        failures = claim.attempts + 1 - claim.schedule_from
        schedule = endpoint.config.get("retry_schedule") or self._settings.retry_schedule
        decision = decide(result, failures, schedule, self._settings.jitter, self._chance.random())
        due_at = None
        if decision.wait is not None:
            due_at = self._store.clock() + round(decision.wait * 1_000_000)
        item = Record(
            claim=claim,
            started_at=started_at,
            duration=duration,
            outcome=result.outcome.value,
            status=decision.status,
            due_at=due_at,
            response_status=result.response_status,
            response_body=_storable(result.response_body, self._settings.max_response),
            error=result.error,
            error_message=_storable(result.error_message, MESSAGE_MAX),
        )
        self._outcomes[result.outcome] += 1
        disable = result.error_message if result.disable_endpoint else None
        await self._write_record(item, disable or ("gone" if result.disable_endpoint else None))
        log.info(
            "delivery.attempted",
            delivery_id=claim.id,
            endpoint_id=claim.endpoint_id,
            event_id=claim.event.id,
            event_type=claim.event.type,
            attempt=claim.attempts + 1,
            outcome=result.outcome.value,
            status=decision.status,
            response_status=result.response_status,
            error=result.error,
            duration_ms=round(duration * 1000, 1),
        )

    async def _write_record(self, item: Record, disable: str | None) -> None:
        def unit(tx: Transaction) -> None:
            record(tx, item)
            if disable is not None:
                disable_endpoint(tx, item.claim.endpoint_id, disable)

        # The attempt was made: cancellation must not lose that. If the store cannot take it until
        # the deadline, the lease ends and the receiver sees the event once more.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + RECORD_DEADLINE):
            pause = 0.05
            while True:
                try:
                    await self._store.write(unit, locks=disable is not None)
                    return
                except StoreUnavailable as error:
                    self._failing = error.detail
                    await trio.sleep(pause)
                    pause = min(pause * 2, 1.0)
        self._unrecorded += 1
        log.error("delivery.unrecorded", delivery_id=item.claim.id, status=item.status)

    def check(self) -> str | None:
        """None if all is well, else what is wrong."""
        return self._failing

    def statistics(self) -> dict[str, float]:
        """Counters and gauges."""
        return {
            "in_flight": self._in_flight,
            "unrecorded_total": self._unrecorded,
            **{f"attempts_{outcome.value}_total": n for outcome, n in self._outcomes.items()},
        }


def make_attempt(claim: Claim, endpoint: Endpoint, now: int) -> Attempt:
    """What the sink gets to see. ``now`` in microseconds."""
    return Attempt(
        delivery_id=claim.id,
        endpoint_id=endpoint.id,
        number=claim.attempts + 1,
        event=claim.event,
        config=endpoint.config,
        secrets=valid_secrets(endpoint, now),
        timestamp=now // 1_000_000,
    )


def valid_secrets(endpoint: Endpoint, now: int) -> tuple[str, ...]:
    """The secrets that sign at this moment, newest first."""
    return tuple(
        secret.value
        for secret in endpoint.secrets
        if secret.expires_at is None or secret.expires_at > now
    )


def _storable(text: str | None, limit: int) -> str | None:
    if text is None:
        return None
    # PostgreSQL's text cannot hold NUL.
    return text[:limit].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
