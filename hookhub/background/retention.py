"""Retention: deletes what is older than ``[retention]`` allows, a little at a time.

Each step is one short transaction of the one writer, so whoever writes waits for a few
milliseconds at most; between steps there is a pause several times as long as the step. On
PostgreSQL a large hub's rows are not deleted but go with their range
(:mod:`hookhub.background.ranges`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TypeVar

import structlog
import trio

from hookhub.background.ranges import Ranges
from hookhub.config import RetentionSettings
from hookhub.contracts.errors import HookhubError
from hookhub.store import Store, Transaction
from hookhub.store.units import retention as units
from hookhub.store.units.ranges import DELIVERIES, EVENTS, SMALLEST
from hookhub.store.units.retention import Ages, Removed

T = TypeVar("T")

STEP_SECONDS = 0.002
"""How long a step should take in the writer."""
STEP_MIN, STEP_MAX = 10, 500
"""Rows that a step looks at."""
LOOK = 500
"""Deliveries that one read looks at."""
PAUSE_MIN = 0.01
WAIT_FACTOR = 4
"""The pause after a step, in steps."""
FULL = 86_400.0
"""Seconds between looks at all deliveries, also those that were too new when they were passed."""
GRACE = 3_600.0
"""Seconds until a deleted endpoint's rows go: no attempt is under way by then."""

log = structlog.get_logger("hookhub.background.retention")


@dataclass(slots=True)
class Totals:
    """What was deleted."""

    events: int = 0
    deliveries: int = 0
    attempts: int = 0
    idempotency_keys: int = 0
    jobs: int = 0

    def add(self, removed: Removed | Totals) -> None:
        """Count a step, or all of them."""
        for name in Totals.__slots__:
            setattr(self, name, getattr(self, name) + getattr(removed, name, 0))


class Retention:
    """Looks for what is too old, for as long as the hub runs.

    Several processes on one database may do it at once; what is gone is gone.

    Args:
        store: open.
        settings: ``[retention]``.
        expired: called when the history may begin later than before.
        least: see :class:`~hookhub.background.ranges.Ranges`.
    """

    def __init__(
        self,
        store: Store,
        settings: RetentionSettings,
        expired: Callable[[], None] = lambda: None,
        least: int = SMALLEST,
    ) -> None:
        self.ranges = Ranges(store, least)
        self._store = store
        self._settings = settings
        self._expired = expired
        self._size = STEP_MIN
        self._position = 0
        """Deliveries up to this id were looked at since the last full look."""
        self._looked_at_all: float | None = None
        self._totals = Totals()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Delete what is too old, every ``interval`` seconds."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.ranges.run)
            task_status.started()
            while True:
                try:
                    await self.sweep()
                except HookhubError as error:
                    log.warning("retention.failed", error=error.detail)
                await trio.sleep(self._settings.interval)

    async def sweep(self) -> Totals:
        """Delete what is too old now; returns what that was."""
        done = Totals()
        try:
            await self._deliveries(done)
            await self._endpoints(done)
            await self._events(done)
            await self._keys(done)
            await self._jobs(done)
        finally:
            self._totals.add(done)
        if done != Totals():
            log.info("retention.swept", **asdict(done))
        return done

    def _before(self, seconds: float) -> int | None:
        return self._store.clock() - round(seconds * 1_000_000) if seconds else None

    async def _deliveries(self, done: Totals) -> None:
        ages = Ages(
            self._before(self._settings.deliveries), self._before(self._settings.failed_deliveries)
        )
        now = trio.current_time()
        if self._looked_at_all is None or now - self._looked_at_all >= FULL:
            self._position, self._looked_at_all = 0, now
        if ages.newest() is None:
            return
        removed = await self.ranges.drop_deliveries(ages)
        done.add(removed)
        for low, below in self.ranges.rest(DELIVERIES):
            if self._position < below - 1:
                self._position = max(self._position, low - 1)
                if await self._walk(ages, below, done):
                    break
        if removed.more:
            await self._alone()

    async def _walk(self, ages: Ages, below: int, done: Totals) -> bool:
        """Delete deliveries from the position on; returns whether the next is too new."""
        while True:
            look = partial(
                units.find_deliveries, after=self._position, ages=ages, limit=LOOK, below=below
            )
            found = await self._store.read(look)
            ids = found.ids
            while ids:
                part, ids = ids[: self._size], ids[self._size :]
                done.add(await self._step(partial(units.remove_deliveries, ids=part, ages=ages)))
            self._position = found.position
            await trio.sleep(PAUSE_MIN)
            if found.end:
                return found.is_new

    async def _alone(self) -> None:
        """Delete events that were kept for deliveries which have gone with a range."""
        for low, below in self.ranges.rest(EVENTS):
            position: int | None = low - 1
            while position is not None:
                remove = partial(units.remove_alone, after=position, below=below, limit=self._size)
                position = await self._step(remove)

    async def _endpoints(self, done: Totals) -> None:
        before = self._store.clock() - round(GRACE * 1_000_000)
        for endpoint_id in await self._store.read(lambda r: units.deleted_endpoints(r, before)):
            more = True
            while more:
                purge = partial(units.purge_endpoint, endpoint_id=endpoint_id, limit=self._size)
                removed = await self._step(purge)
                done.add(removed)
                more = removed.more
            log.info("retention.endpoint_purged", endpoint_id=endpoint_id)

    async def _events(self, done: Totals) -> None:
        before = self._before(self._settings.events)
        more = before is not None
        if before is not None:
            await self.ranges.plan_events(before)
        while more and before is not None:
            dropped = self.ranges.dropped[EVENTS]
            expire = partial(units.expire_events, before=before, limit=self._size, dropped=dropped)
            removed = await self._step(expire)
            done.add(removed)
            more = removed.more
        self._expired()
        done.add(await self.ranges.drop_events())

    async def _keys(self, done: Totals) -> None:
        before = self._before(self._settings.idempotency_keys)
        if before is not None:
            while count := await self._step(lambda tx: units.forget_keys(tx, before, self._size)):
                done.idempotency_keys += count

    async def _jobs(self, done: Totals) -> None:
        before = self._before(self._settings.jobs)
        if before is not None:
            while count := await self._step(lambda tx: units.forget_jobs(tx, before, self._size)):
                done.jobs += count

    async def _step(self, unit: Callable[[Transaction], T]) -> T:
        """One transaction, and a pause after it; the next one is larger or smaller."""

        def timed(tx: Transaction) -> tuple[T, float]:
            began = time.perf_counter()
            result = unit(tx)
            return result, time.perf_counter() - began

        result, seconds = await self._store.write(timed)
        if seconds > 2 * STEP_SECONDS:
            self._size = max(STEP_MIN, self._size // 2)
        elif seconds < STEP_SECONDS:
            self._size = min(STEP_MAX, self._size + self._size // 2)
        await trio.sleep(max(PAUSE_MIN, WAIT_FACTOR * seconds))
        return result

    def statistics(self) -> dict[str, float]:
        """Counters since start."""
        return {f"{name}_total": count for name, count in asdict(self._totals).items()}
