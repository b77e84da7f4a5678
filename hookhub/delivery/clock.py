"""The wall clock, which may be set: notices that, and mends what waits for a time that is off.

Set forward, everything is due earlier than it should be, which does no harm: what is under way is
not begun again by the process that holds it (:mod:`hookhub.delivery.leases`). Set back, retries
would wait until the old time comes again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import structlog
import trio

from hookhub.contracts.errors import HookhubError
from hookhub.delivery.policy import RETRY_AFTER_MAX
from hookhub.store import Store
from hookhub.store.schema import HELD
from hookhub.store.units.postponed import PAGE, Waiting, bring_forward, cap_leases, waiting_page

STEP = 1.0
"""Seconds; less than that is the clock being adjusted, not set."""

log = structlog.get_logger("hookhub.delivery")


class ClockWatch:
    """Compares the wall clock with one that nobody sets. Pure."""

    def __init__(self) -> None:
        self._ahead: float | None = None

    def look(self, wall: int, steady: float) -> float:
        """Seconds that the wall clock was set back since the last look; 0 if it was not.

        Args:
            wall: microseconds since 1970.
            steady: seconds, such as :func:`time.monotonic`.
        """
        ahead = wall / 1_000_000 - steady
        before, self._ahead = self._ahead, ahead
        if before is None or before - ahead < STEP:
            return 0.0
        return before - ahead


def latest_due(item: Waiting, now: int) -> int:
    """When a delivery may be due at the latest, microseconds. Pure.

    What was never tried, or was put back by hand, was due as soon as that was written. Else it was
    given a wait when its last attempt ended, and that was not later than now.
    """
    if item.attempts <= item.schedule_from:
        return min(item.due_at, now)
    wait = round(RETRY_AFTER_MAX * 1_000_000) if item.wait is None else item.wait
    return min(item.due_at, now + wait)


class Mender:
    """Brings forward what waits for a time by a clock that was set back since, when it is told to.

    Args:
        endpoint_ids: those there are at the time.
        span: microseconds that a lease may last.
        mended: called when it is over.
    """

    def __init__(
        self, store: Store, endpoint_ids: Iterable[int], span: int, mended: Callable[[], None]
    ) -> None:
        self._store = store
        self._endpoint_ids = endpoint_ids
        self._span = span
        self._mended = mended
        self._wanted = trio.Event()

    def begin(self) -> None:
        """Mend what there is."""
        self._wanted.set()

    async def run(self) -> None:
        """Wait until something is to be mended, for ever."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            try:
                await mend(self._store, list(self._endpoint_ids), self._span)
            except HookhubError as error:
                log.warning("clock.mend_failed", error=error.detail)
            self._mended()


async def mend(store: Store, endpoint_ids: Iterable[int], span: int) -> int:
    """Bring forward whatever waits longer than it may; returns how many deliveries that were.

    In small steps, so that nobody who writes waits for it.

    Args:
        span: microseconds that a lease may last.

    Raises:
        StoreUnavailable: the rest was not mended.
    """
    await store.write(lambda tx: cap_leases(tx, tx.now + span))
    found = 0
    for endpoint_id in endpoint_ids:
        found += await _mend_one(store, endpoint_id)
    if found:
        log.warning("clock.retries_brought_forward", deliveries=found)
    return found


async def _mend_one(store: Store, endpoint_id: int) -> int:
    found = 0
    before = (HELD, 0)
    while True:
        page = await store.read(partial(waiting_page, endpoint_id=endpoint_id, before=before))
        now = store.clock()
        due = [(item, latest_due(item, now)) for item in page]
        late = [(item, moment) for item, moment in due if moment < item.due_at]
        if late:
            await store.write(partial(bring_forward, changes=late))
            found += len(late)
        if len(page) < PAGE:
            return found
        before = (page[-1].due_at, page[-1].id)
