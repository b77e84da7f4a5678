"""The wall clock, which may be set: notices that, and mends what waits for a time that is off.

Set forward, everything is due earlier than it should be, which does no harm: what is under way is
not begun again by the process that holds it (:mod:`hookhub.delivery.leases`). Set back, retries
would wait until the old time comes again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import structlog

from hookhub.delivery.policy import RETRY_AFTER_MAX
from hookhub.store import Reader, Store, Transaction
from hookhub.store.schema import HELD
from hookhub.store.units.postponed import (
    PAGE,
    Waiting,
    bring_forward,
    cap_leases,
    from_the_future,
    waiting_page,
)

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
        page = await store.read(partial(_page, endpoint_id, before))
        now = store.clock()
        due = [(item, latest_due(item, now)) for item in page]
        late = [(item, moment) for item, moment in due if moment < item.due_at]
        if late:
            await store.write(partial(_bring_forward, late))
            found += len(late)
        if len(page) < PAGE:
            return found
        before = (page[-1].due_at, page[-1].id)


def _page(endpoint_id: int, before: tuple[int, int], reader: Reader) -> list[Waiting]:
    return waiting_page(reader, endpoint_id, before)


def _bring_forward(changes: Sequence[tuple[Waiting, int]], tx: Transaction) -> None:
    bring_forward(tx, changes)


async def was_set_back(store: Store) -> bool:
    """Whether it was set back while no hub ran, or not this one, as far as the rows show it."""
    return await store.read(from_the_future)
