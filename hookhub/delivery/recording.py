"""Writes down what came of attempts: many in one transaction, none forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog
import trio

from hookhub.contracts.errors import StoreUnavailable
from hookhub.store import Store, Transaction
from hookhub.store.units.deliveries import AttemptReport, Recorded, recorded_before, touch

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
