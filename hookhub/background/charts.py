"""Samples of how it goes: taken in memory, written once a minute, read for charts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import structlog
import trio

from hookhub.contracts.errors import HookhubError
from hookhub.statistics.histogram import Histogram
from hookhub.statistics.samples import (
    FINEST,
    MICROSECONDS,
    RANGES,
    Counts,
    Gauges,
    Point,
    RangeName,
    Tally,
    begin_of,
    grid,
)
from hookhub.store import Store
from hookhub.store.units.statistics import Backlog, add_sample, backlog, read_points

TICK = 2.0
"""Seconds between looks at the counters."""
LATELY = 60.0
"""Seconds that "now" looks back."""
LATE = 5
"""Seconds that nodes may take to write a minute down."""

log = structlog.get_logger("hookhub.statistics")


class _Mark(NamedTuple):
    """The counters at some moment of Trio's clock."""

    moment: float
    counts: Counts


class Now(NamedTuple):
    """How it goes at this moment."""

    at: int
    """Microseconds since 1970."""
    counts: Counts
    """Of the last minute."""
    gauges: Gauges
    seconds: float
    """How long that minute was: less than 60 while the hub is young."""
    endpoints: int
    active: int
    """Endpoints that are switched on."""


class Stats:
    """Keeps what the charts show, for as long as the hub runs.

    Each node on one database writes its own share once a minute; whoever asks any of them gets
    the sum.

    Args:
        tally: what deliveries came to.
        delivery: the engine's numbers: ``breakers_open`` of this node, and ``nodes``, how many
            there are on the database (0: that cannot be known).
        connections: live connections of this node now.
    """

    def __init__(
        self,
        store: Store,
        tally: Tally,
        *,
        delivery: Callable[[], Mapping[str, float]],
        connections: Callable[[], int],
    ) -> None:
        self._store = store
        self._tally = tally
        self._delivery = delivery
        self._connections = connections
        self._marks: deque[_Mark] = deque()
        self._minute = begin_of(store.clock(), FINEST)
        self._written = Counts()
        self._own: dict[int, Point] = {}
        """What this node wrote of the last minutes."""
        self._writing = trio.Lock()
        self._failed = 0
        self._samples = 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take samples, and write one at the end of every minute."""
        self._minute = begin_of(self._store.clock(), FINEST)
        self._mark()
        task_status.started()
        while True:
            over = self._minute + FINEST * MICROSECONDS - self._store.clock()
            await trio.sleep(min(TICK, max(0.01, over / MICROSECONDS)))
            await self.tick()

    async def tick(self) -> None:
        """Look at the counters; write down the minute if it is over."""
        self._mark()
        minute = begin_of(self._store.clock(), FINEST)
        if minute == self._minute:
            return
        over, self._minute = self._minute, minute
        try:
            await self._write(over, await self._gauges())
        except HookhubError as error:
            # What was not written is part of the next sample.
            self._failed += 1
            log.warning("stats.failed", error=error.detail)

    async def flush(self) -> None:
        """Write down what has happened since the last sample: this node stops.

        Raises:
            StoreUnavailable: it could not be written.
        """
        await self._write(self._minute, None)

    def _counts(self) -> Counts:
        counts = self._tally.counts()
        counts.events = int(self._store.statistics()["events_total"])
        return counts

    def _mark(self) -> None:
        now = trio.current_time()
        while self._marks and now - self._marks[0].moment > LATELY:
            self._marks.popleft()
        self._marks.append(_Mark(now, self._counts()))

    async def _write(self, minute: int, gauges: Gauges | None) -> None:
        async with self._writing:
            counts = self._counts()
            fresh = counts - self._written
            if gauges is None and fresh == Counts():
                return
            await self._store.write(
                lambda tx: add_sample(tx, at=minute, counts=fresh, gauges=gauges)
            )
            self._written = counts
            self._samples += 1
            self._own = {at: point for at, point in self._own.items() if at > minute - 3 * _MINUTE}
            self._own[minute] = Point(minute, fresh, gauges, int(gauges is not None))

    async def _gauges(self) -> Gauges:
        return self._gauges_with(await self._store.read(backlog))

    def _gauges_with(self, waiting: Backlog) -> Gauges:
        age = 0.0
        if waiting.oldest is not None:
            age = max(0, self._store.clock() - waiting.oldest) / MICROSECONDS
        breakers = int(self._delivery()["breakers_open"])
        return Gauges(waiting.pending, age, breakers, self._connections())

    # -- what charts show ------------------------------------------------------------------

    async def series(self, name: RangeName) -> list[Point]:
        """The steps of a range that are over, oldest first; also those of which nothing is known.

        Raises:
            StoreUnavailable: the database failed.
        """
        span = RANGES[name]
        end = begin_of(self._store.clock() - LATE * MICROSECONDS, span.step)
        first = end - span.length * MICROSECONDS
        read = partial(read_points, step=span.step, first=first, end=end)
        return grid(await self._store.read(read), span, end)

    async def now(self) -> Now:
        """How it goes now, on all nodes.

        This node's share is of the last minute up to now; that of others, of the last whole
        minute that they have written down.

        Raises:
            StoreUnavailable: the database failed.
        """
        at = self._store.clock()
        minute = begin_of(at - LATE * MICROSECONDS, FINEST) - _MINUTE
        waiting, written = await self._store.read(
            lambda reader: (backlog(reader), read_points(reader, FINEST, minute, minute + 1))
        )
        counts, seconds = self._lately()
        gauges = self._gauges_with(waiting)
        both = written.get(minute)
        if both is not None and not self._alone():
            counts, gauges = _with_others(counts, gauges, both, self._own.get(minute))
        return Now(at, counts, gauges, seconds, waiting.endpoints, waiting.active)

    def _lately(self) -> tuple[Counts, float]:
        """What this node counted in the last minute, and the seconds of it."""
        if not self._marks:
            return self._counts(), 1.0
        first = self._marks[0]
        return self._counts() - first.counts, max(1.0, trio.current_time() - first.moment)

    def _alone(self) -> bool:
        return self._store.is_sqlite or self._delivery()["nodes"] == 1

    def latency(self) -> Histogram:
        """From commits to receivers' answers, since the start of this process."""
        return self._tally.counts().latency

    def statistics(self) -> dict[str, float]:
        """Counters since start."""
        return {"samples_total": self._samples, "failed_total": self._failed}


_MINUTE = FINEST * MICROSECONDS


def _with_others(
    counts: Counts, gauges: Gauges, both: Point, own: Point | None
) -> tuple[Counts, Gauges]:
    """This node's share and that of all others.

    Args:
        both: what all nodes wrote of a minute.
        own: what this one wrote of it.
    """
    own = own or Point(both.at, Counts(), None)
    counts = counts + (both.counts - own.counts)
    if both.gauges is None or both.nodes <= own.nodes:
        return counts, gauges
    connections = both.gauges.connections - (own.gauges.connections if own.gauges else 0)
    others = Gauges(0, 0.0, both.gauges.open_breakers, max(0, connections))
    return counts, gauges.with_node(others)
