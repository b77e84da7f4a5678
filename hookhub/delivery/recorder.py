"""Writes down what came of attempts: many in one transaction, none forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
import trio

from hookhub.errors import StoreUnavailable
from hookhub.store import Store, Transaction
from hookhub.store.deliveries import Record, Recorded

DEADLINE = 10.0
"""Seconds to get an attempt written down; after that its lease ends and it is made again."""
PAUSE_FIRST = 0.05
PAUSE_MAX = 1.0
MAX_BATCH = 500

log = structlog.get_logger("hookhub.delivery")

WriteBatch = Callable[[Transaction, Sequence[Record]], list[Recorded]]


class _Batch:
    def __init__(self) -> None:
        self.items: list[Record] = []
        self.done = trio.Event()
        self.recorded: list[Recorded | None] | None = None


class Recorder:
    """Collects records while a transaction runs, and writes them with the next one.

    Args:
        write: writes a batch within a transaction; see
            :func:`hookhub.store.deliveries.record_all`.
    """

    def __init__(self, store: Store, write: WriteBatch) -> None:
        self._store = store
        self._write = write
        self._open = _Batch()
        self._bell = trio.Event()
        self.failing: str | None = None

    async def record(self, item: Record) -> Recorded | None:
        """Write an attempt down.

        Shielded, because it was made whatever happens here; bounded by :data:`DEADLINE`.

        Returns:
            None if the store did not take it in time: the lease ends, and the receiver sees the
            event once more.
        """
        batch = self._open
        batch.items.append(item)
        position = len(batch.items) - 1
        self._bell.set()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + DEADLINE):
            await batch.done.wait()
        return batch.recorded[position] if batch.recorded is not None else None

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Write until cancelled; the owner cancels it when nobody records any more."""
        task_status.started()
        while True:
            await self._bell.wait()
            self._bell = trio.Event()
            while self._open.items:
                batch, self._open = self._open, _Batch()
                await self._commit(batch)

    async def _commit(self, batch: _Batch) -> None:
        # Of a strictly ordered endpoint a success lets the next one go: no event of the key may
        # be appended meanwhile.
        locks = any(item.ordered or item.status == "failed" for item in batch.items)
        pause = PAUSE_FIRST
        with trio.move_on_after(DEADLINE):
            while batch.recorded is None:
                try:
                    batch.recorded = list(
                        await self._store.write(
                            lambda tx: self._write(tx, batch.items), locks=locks
                        )
                    )
                    self.failing = None
                except StoreUnavailable as error:
                    self.failing = error.detail
                    await trio.sleep(pause)
                    pause = min(pause * 2, PAUSE_MAX)
                except Exception:
                    # One of them cannot be written down: the others must not suffer for it.
                    log.exception("delivery.batch_refused", attempts=len(batch.items))
                    batch.recorded = [await self._alone(item) for item in batch.items]
        if batch.recorded is None:
            log.error("delivery.unrecorded", attempts=len(batch.items))
        batch.done.set()

    async def _alone(self, item: Record) -> Recorded | None:
        try:
            [recorded] = await self._store.write(lambda tx: self._write(tx, [item]))
            return recorded
        except Exception:
            log.exception("delivery.unrecorded", delivery_id=item.claim.id)
            return None
