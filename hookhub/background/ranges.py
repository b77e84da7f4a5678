"""Ranges of events and deliveries on PostgreSQL: some are always ready, old ones are dropped.

A range is dropped when all of it is too old; until then nothing of it is deleted. So this is only
done with ranges that are short beside the age that is allowed. All others (on a small hub, the
whole table) are worked off row by row, as everything is on SQLite.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import structlog
import trio

from hookhub.contracts.errors import HookhubError, StoreUnavailable
from hookhub.store import Store
from hookhub.store.units import ranges as units
from hookhub.store.units.ranges import DELIVERIES, EVENTS, SMALLEST, Range
from hookhub.store.units.retention import Ages, Removed

LOOK = 5.0
"""Seconds between looks whether there are enough ranges; they cost the database nothing."""
PART = 16
"""A range is dropped as a whole if it took at most this part of the age that is allowed."""
AGAIN = 3_600.0
"""Seconds until a range in which too much survives is looked at again."""

log = structlog.get_logger("hookhub.background.ranges")


class Ranges:
    """Makes ranges and drops them.

    Args:
        store: open.
        least: numbers in a range, at least, and how many a table has before it is cut.
    """

    def __init__(self, store: Store, least: int = SMALLEST) -> None:
        self._store = store
        self._least = least
        self._there: dict[tuple[str, ...], list[Range]] = {}
        self._again = dict.fromkeys((EVENTS, DELIVERIES), 0.0)
        self.dropped: dict[tuple[str, ...], list[Range]] = {EVENTS: [], DELIVERIES: []}
        """Ranges that need no work row by row, though some of it is too old."""

    async def run(self) -> None:
        """Have ranges ready, whatever else retention does."""
        while not self._store.is_sqlite:
            try:
                await self.make()
            except HookhubError as error:
                log.warning("ranges.not_made", error=error.detail)
            await trio.sleep(LOOK)

    async def make(self) -> None:
        """Make what ranges are missing."""
        seen = self._store.seen
        for tables, last in ((EVENTS, seen.sequence), (DELIVERIES, seen.delivery)):
            there = self._there.get(tables)
            if there is None or units.missing_ranges(there, last, self._least):
                there = (await self._look(tables))[0]
                if units.missing_ranges(there, last, self._least):
                    make = partial(units.make_ranges, tables=tables, least=self._least)
                    await self._store.alter(make)
                    there = (await self._look(tables))[0]
                    log.info("ranges.made", table=tables[0], ranges=len(there))

    async def _look(self, tables: tuple[str, ...]) -> tuple[list[Range], list[Range]]:
        """The ranges, and those of them whose numbers have all been given out; oldest first."""
        there, last = await self._store.read(
            lambda reader: (units.ranges(reader, tables), units.last_number(reader, tables))
        )
        self._there[tables] = there
        return there, [part for part in there if part.end <= last + 1]

    async def drop_deliveries(self, ages: Ages) -> Removed:
        """Drop the oldest ranges of deliveries, as long as they are too old; what that was."""
        self.dropped[DELIVERIES] = []
        done = Removed()
        if self._store.is_sqlite or ages.delivered is None:
            return done
        _, closed = await self._look(DELIVERIES)
        while closed and await self._is_old(closed[0], ages.delivered):
            if trio.current_time() < self._again[DELIVERIES]:
                return done
            removed = await self._drop_oldest(closed[0], ages)
            if removed is None:
                break
            done = _sum(done, removed)
            closed = closed[1:]
        if trio.current_time() >= self._again[DELIVERIES]:
            self.dropped[DELIVERIES] = await self._aging(
                DELIVERIES, closed, "created_at", ages.delivered
            )
        return done

    async def _is_old(self, part: Range, before: int) -> bool:
        made = await self._times(DELIVERIES, part, "created_at")
        return made is None or made[1] < before

    async def _drop_oldest(self, part: Range, ages: Ages) -> Removed | None:
        """None if it cannot be dropped now."""
        look = partial(units.look_at_deliveries, part=part, ages=ages)
        try:
            found = await self._store.read(look)
            if found is None:
                log.info("ranges.much_survives", first=part.first, last=part.end - 1)
                self._again[DELIVERIES] = trio.current_time() + AGAIN
                return None
            drop = partial(units.drop_deliveries, part=part, ages=ages, seen=found)
            removed = await self._store.alter(drop)
        except StoreUnavailable as error:
            _tell(DELIVERIES, part, error)
            return None
        _tell(DELIVERIES, part)
        self._again[EVENTS] = 0.0
        return removed

    async def plan_events(self, before: int) -> None:
        """Find the ranges of events that are dropped as a whole, if what is older is too old."""
        _, closed = await self._look(EVENTS)
        self.dropped[EVENTS] = await self._aging(EVENTS, closed, "timestamp", before)

    async def drop_events(self) -> Removed:
        """Drop what ranges of events are older than the history; returns what that was."""
        done = Removed()
        if self._store.is_sqlite or trio.current_time() < self._again[EVENTS]:
            return done
        self._again[EVENTS] = trio.current_time() + AGAIN
        start = await self._store.read(units.history_start)
        _, closed = await self._look(EVENTS)
        for part in closed:
            if part.end > start:
                break
            done = _sum(done, await self._drop_history(part))
        return done

    async def _drop_history(self, part: Range) -> Removed:
        try:
            needed = await self._store.read(partial(units.needed_events, part=part))
            if needed is None:
                return Removed()
            removed = await self._store.alter(partial(units.drop_events, part=part))
        except StoreUnavailable as error:
            _tell(EVENTS, part, error)
            self._again[EVENTS] = 0.0
            return Removed()
        _tell(EVENTS, part)
        return removed

    async def _times(
        self, tables: Sequence[str], part: Range, column: str
    ) -> tuple[int, int] | None:
        return await self._store.read(lambda reader: units.times(reader, tables[0], part, column))

    async def _aging(
        self, tables: tuple[str, ...], parts: Sequence[Range], column: str, before: int
    ) -> list[Range]:
        """Those that have begun to be too old, and will be so as a whole before long."""
        found = []
        for part in parts:
            made = await self._times(tables, part, column)
            if made is not None and made[0] >= before:
                break
            if made is not None and made[1] - made[0] <= (self._store.clock() - before) // PART:
                found.append(part)
        return found

    def rest(self, tables: tuple[str, ...]) -> list[tuple[int, int]]:
        """What is to be worked off row by row: numbers from the first to below the second.

        Each part is in one range, so that PostgreSQL need not look into the others.
        """
        dropped = set(self.dropped[tables])
        found, low = [], 0
        for part in self._there.get(tables, ()):
            if part.first > low:
                found.append((low, part.first))
            if part not in dropped:
                found.append(part)
            low = part.end
        return [*found, (low, 2**63 - 1)]


def _tell(tables: Sequence[str], part: Range, error: StoreUnavailable | None = None) -> None:
    place = {"table": tables[0], "first": part.first, "last": part.end - 1}
    if error is None:
        log.info("ranges.dropped", **place)
    else:
        # Somebody reads for long; whoever came later than us would have had to wait behind us.
        log.info("ranges.not_dropped", **place, error=error.detail)


def _sum(one: Removed, other: Removed) -> Removed:
    return Removed(
        one.events + other.events,
        one.deliveries + other.deliveries,
        one.attempts + other.attempts,
        one.more or other.more,
    )
