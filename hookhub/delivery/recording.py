"""Writes down what came of attempts: many in one transaction, none forgotten."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import structlog
import trio

from hookhub.config import DeliverySettings
from hookhub.contracts.deliveries import Claim, Endpoint
from hookhub.contracts.errors import StoreUnavailable
from hookhub.contracts.sinks import AttemptResult, Outcome
from hookhub.delivery.answer_headers import kept_headers
from hookhub.delivery.attempts import storable
from hookhub.delivery.policy import decide
from hookhub.store import Store, Transaction
from hookhub.store.units.deliveries import AttemptReport, Recorded, recorded_before, touch

MESSAGE_MAX = 1_000
"""Characters that are kept of an error's message."""
LAST_WORDS = 1.0
"""Seconds that a record still gets when the time for a stop is used up."""
PAUSE_FIRST = 0.05
PAUSE_MAX = 0.5
SUSPICIOUS = 10.0
"""Seconds of failing after which a look is taken whether it is the records that are at fault."""
KEPT_BYTES = 64 * 1024 * 1024
"""Bytes of answers kept in memory while the database takes nothing; beyond them, only what came
of the attempt is kept. In number, records are as many as attempts may be in flight."""

log = structlog.get_logger("hookhub.delivery")

WriteBatch = Callable[[Transaction, Sequence[AttemptReport]], list[Recorded]]


class Observer(Protocol):
    """Is told of every attempt, in the Trio thread; must not wait or raise."""

    def attempted(self, endpoint: Endpoint, item: AttemptReport) -> None:
        """An attempt was made, and is about to be recorded."""

    def recorded(self, endpoint: Endpoint, item: AttemptReport, recorded: Recorded | None) -> None:
        """It was recorded; None: it was not, and will be made again."""


class Results:
    """Decides what the results of attempts mean for their deliveries, and has that written down.

    Args:
        observer: is told of every attempt.
    """

    def __init__(
        self,
        store: Store,
        recorder: Recorder,
        settings: DeliverySettings,
        observer: Observer | None,
    ) -> None:
        self._store = store
        self._recorder = recorder
        self._settings = settings
        self._observer = observer
        self._outcomes = dict.fromkeys(Outcome, 0)
        self._unrecorded = 0

    async def record(
        self,
        endpoint: Endpoint,
        claim: Claim,
        result: AttemptResult,
        started_at: int,
        duration: float,
    ) -> tuple[AttemptReport, Recorded | None]:
        """Write an attempt down; returns also what became of that, as :meth:`Recorder.record`."""
        item = self._report(endpoint, claim, result, started_at, duration)
        self._outcomes[result.outcome] += 1
        if self._observer is not None:
            self._observer.attempted(endpoint, item)
        recorded = await self._recorder.record(item)
        if self._observer is not None:
            self._observer.recorded(endpoint, item, recorded)
        self._unrecorded += recorded is None
        log.info(
            "delivery.attempted",
            delivery_id=claim.id,
            endpoint_id=claim.endpoint_id,
            event_id=claim.event.id,
            event_type=claim.event.type,
            attempt=claim.attempts + 1,
            outcome=result.outcome.value,
            status=item.status,
            response_status=result.response_status,
            error=result.error,
            duration_ms=round(duration * 1000, 1),
        )
        return item, recorded

    def _report(
        self,
        endpoint: Endpoint,
        claim: Claim,
        result: AttemptResult,
        started_at: int,
        duration: float,
    ) -> AttemptReport:
        failures = claim.attempts + 1 - claim.schedule_from
        own = endpoint.options.retry_schedule
        schedule = self._settings.retry_schedule if own is None else own
        decision = decide(result, failures, schedule, self._settings.jitter, random.random())
        due_at = wait = None
        if decision.wait is not None:
            wait = round(decision.wait * 1_000_000)
            due_at = self._store.clock() + wait
        timings = {name: round(seconds, 6) for name, seconds in result.timings.items()}
        return AttemptReport(
            claim=claim,
            started_at=started_at,
            duration=duration,
            outcome=result.outcome.value,
            status=decision.status,
            due_at=due_at,
            response_status=result.response_status,
            response_body=storable(result.response_body, self._settings.max_response),
            error=result.error,
            error_message=storable(result.error_message, MESSAGE_MAX),
            timings=json.dumps(timings) if timings else None,
            gone=result.disable_endpoint,
            wait=wait,
            response_headers=kept_headers(result.response_headers),
        )

    def statistics(self) -> dict[str, float]:
        """Counters since start, and what waits to be written down."""
        return {
            "unrecorded_total": self._unrecorded,
            "unrecorded": self._recorder.waiting,
            **{f"attempts_{outcome.value}_total": n for outcome, n in self._outcomes.items()},
        }


class _RecordBatch:
    def __init__(self) -> None:
        self.items: list[AttemptReport] = []
        self.done = trio.Event()
        self.recorded: list[Recorded | None] = []


class Recorder:
    """Collects records while a transaction runs, and writes them with the next one.

    A database that fails is tried again until it takes them. Whoever recorded an attempt waits as
    long, and keeps its place among those in flight: there are never more records than those.

    Args:
        write: writes a batch within a transaction; see
            :func:`hookhub.store.units.deliveries.record_all`.
    """

    def __init__(self, store: Store, write: WriteBatch) -> None:
        self._store = store
        self._write = write
        self._open = _RecordBatch()
        self._bell = trio.Event()
        self._scope = trio.CancelScope(shield=True)
        self._waiting = 0
        self._bytes = 0
        self._lost = 0
        self.failing: str | None = None
        """Why the database does not take records now."""

    @property
    def waiting(self) -> int:
        """Attempts that were made and are not written down yet."""
        return self._waiting

    async def record(self, item: AttemptReport) -> Recorded | None:
        """Write an attempt down.

        Cancelled, it still gets :data:`LAST_WORDS`: the attempt was made whatever happens here.

        Returns:
            None if it cannot be written down: the receiver sees the event once more.
        """
        size = len(item.response_body or "") + len(item.response_headers or "")
        if self._bytes + size > KEPT_BYTES:
            item, size = replace(item, response_body=None, response_headers=None), 0
        batch = self._open
        batch.items.append(item)
        position = len(batch.items) - 1
        self._bell.set()
        self._waiting += 1
        self._bytes += size
        try:
            await batch.done.wait()
        except trio.Cancelled:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_WORDS):
                await batch.done.wait()
            self._lost += not batch.done.is_set()
            raise
        finally:
            self._waiting -= 1
            self._bytes -= size
        return batch.recorded[position]

    def close(self) -> None:
        """Nobody records any more: :meth:`run` ends."""
        if self._lost:
            log.error("delivery.unrecorded", attempts=self._lost, error=self.failing)
        self._scope.cancel()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until closed.

        Not to be cancelled, so that those who record get their last words in; they have a deadline,
        and the owner closes this when they are gone.
        """
        task_status.started()
        with self._scope:
            while True:
                await self._bell.wait()
                self._bell = trio.Event()
                while self._open.items:
                    batch, self._open = self._open, _RecordBatch()
                    await self._commit(batch)

    async def _commit(self, batch: _RecordBatch) -> None:
        try:
            batch.recorded += await self._persist(batch.items)
        except Exception:
            # One of them cannot be written down: the others must not suffer for it.
            log.exception("delivery.batch_refused", attempts=len(batch.items))
            batch.recorded = [await self._alone(item) for item in batch.items]
        batch.done.set()

    async def _alone(self, item: AttemptReport) -> Recorded | None:
        try:
            [recorded] = await self._persist([item])
            return recorded
        except Exception:
            log.exception("delivery.unrecorded", delivery_id=item.claim.id)
            # The database works; whoever waits for that may go on.
            self.failing = None
            return None

    async def _persist(self, items: Sequence[AttemptReport]) -> list[Recorded]:
        """Write until the database takes it; raises what is wrong with the records themselves."""
        pause = PAUSE_FIRST
        began = trio.current_time()
        unit = _unit(self._write, items)
        while True:
            try:
                recorded = await self._store.write(unit)
                self.failing = None
                return recorded
            except StoreUnavailable as error:
                self.failing = error.detail
                unit = _unit(self._write_rest, items)
                if trio.current_time() - began > SUSPICIOUS and await self._takes_others():
                    raise
            await trio.sleep(pause)
            pause = min(pause * 2, PAUSE_MAX)

    def _write_rest(self, tx: Transaction, items: Sequence[AttemptReport]) -> list[Recorded]:
        """Leave out what the try before this one has written without being told."""
        done = recorded_before(tx, items)
        rest = [item for position, item in enumerate(items) if position not in done]
        written = iter(self._write(tx, rest) if rest else [])
        return [
            Recorded(True, False) if position in done else next(written)
            for position in range(len(items))
        ]

    async def _takes_others(self) -> bool:
        """Whether the database takes other writes meanwhile."""
        try:
            await self._store.write(touch)
        except StoreUnavailable:
            return False
        return True


def _unit(
    write: WriteBatch, items: Sequence[AttemptReport]
) -> Callable[[Transaction], list[Recorded]]:
    return lambda tx: write(tx, items)
