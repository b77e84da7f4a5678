"""Who is served next: one lane for each endpoint, served in turn. Pure; told the time.

A lane holds the few deliveries that are claimed for its endpoint; the rest waits in the store,
however much it is. So ten thousand retries of one endpoint are ten thousand rows and a short
queue, and never stand before another endpoint's first attempt.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from hookhub.contracts.deliveries import Claim, Endpoint
from hookhub.delivery.breaker import Breaker, BreakerState
from hookhub.delivery.limits import RateLimit, Window

AHEAD = 8
"""How many times what may be in flight is claimed ahead, all lanes together."""
AHEAD_LEAST = 16
"""How many deliveries a lane may hold in any case: each claim writes to pages of its endpoint."""
QUEUE_BYTES = 64 * 1024 * 1024
"""Payload bytes that claimed deliveries may hold in memory, all lanes together."""


class Obstacle(NamedTuple):
    """What holds back whatever is due for an endpoint."""

    reason: Literal["endpoint", "circuit_breaker"]
    """``endpoint``: it is off, its sink is missing, or its secrets cannot be read."""
    seconds: float | None = None
    """Until the breaker lets a probe through; 0 while that is on its way."""


@dataclass(slots=True, eq=False)
class Lane:
    """One endpoint's deliveries, limits and breaker."""

    endpoint: Endpoint
    window: Window
    rate: RateLimit
    breaker: Breaker = field(default_factory=Breaker)
    queue: deque[Claim] = field(default_factory=deque)
    in_flight: int = 0
    due: int | None = None
    """When the next delivery that waits in the store is due (microseconds); None: none waits."""
    news: int | None = None
    """The earliest that was told of since the last claim began, which may not have seen it."""
    listed: bool = False
    """Whether the lane stands in the scheduler's line."""
    closed: bool = False
    """Whether the endpoint is off, deleted, or its sink is missing."""
    owned: bool = True
    """Whether this node attempts its deliveries; else another one does."""

    @property
    def idle(self) -> bool:
        """Whether nothing of it is for this node to begin."""
        return self.closed or not self.owned

    @property
    def room(self) -> int:
        """How many more deliveries it can use: two windows keep the line busy."""
        return 2 * self.window.size - len(self.queue)

    def wait(self, now: float) -> float | None:
        """Seconds until an attempt may start; None if something else must happen first."""
        if self.idle or self.in_flight >= self.window.size:
            return None
        blocked = self.breaker.wait(now)
        return None if blocked is None else max(blocked, self.rate.wait(now))

    def obstacle(self, now: float) -> Obstacle | None:
        """What holds back all that is due, apart from the limits; None if nothing does."""
        if self.closed:
            return Obstacle("endpoint")
        if self.breaker.closed:
            return None
        return Obstacle("circuit_breaker", self.breaker.wait(now) or 0.0)


class Scheduler:
    """Serves lanes in turn.

    Args:
        concurrency: attempts in flight at once, all lanes together.
    """

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.lanes: dict[int, Lane] = {}
        self.in_flight = 0
        self.queued = 0
        self.queued_bytes = 0
        self._line: deque[Lane] = deque()
        self._timers: list[tuple[float, int]] = []
        self._dues: list[tuple[int, int]] = []
        self._hungry: dict[int, Lane] = {}

    # -- what comes in ---------------------------------------------------------------------

    def add(self, lane: Lane, claim: Claim) -> None:
        """A delivery was claimed."""
        lane.queue.append(claim)
        self.queued += 1
        self.queued_bytes += len(claim.event.payload)
        self._list(lane)

    def set_due(self, lane: Lane, due: int | None) -> None:
        """What waits in the store for this lane, and from when on (microseconds)."""
        lane.due = due
        if due is not None:
            heapq.heappush(self._dues, (due, lane.endpoint.id))

    def due_by(self, lane: Lane, due: int) -> None:
        """Something more waits in the store, due then."""
        lane.news = due if lane.news is None else min(due, lane.news)
        if lane.due is None or due < lane.due:
            self.set_due(lane, due)

    def claimed(self, lane: Lane, due: int | None) -> None:
        """What a claim has left. Whatever was committed after it is not in that."""
        news = [moment for moment in (due, lane.news) if moment is not None]
        self.set_due(lane, min(news, default=None))

    def found_due(self, lane: Lane, due: int, now: float, now_us: int) -> None:
        """A look into the store found what waits; see :meth:`due_by`.

        A lane that could begin with it and has nothing else to wake it is fed, whatever was known
        before: its queue may have been dropped, or the clock set.
        """
        self.due_by(lane, due)
        if due <= now_us and not lane.queue and not lane.in_flight and lane.wait(now) == 0:
            self._hungry[lane.endpoint.id] = lane

    def limits_changed(self, lane: Lane) -> None:
        """What the lane waited for may be over."""
        self._list(lane)

    def drop_queue(self, lane: Lane) -> list[Claim]:
        """Take back what is claimed and not attempted."""
        dropped = list(lane.queue)
        lane.queue.clear()
        self.queued -= len(dropped)
        self.queued_bytes -= sum(len(claim.event.payload) for claim in dropped)
        return dropped

    def takes(self, endpoint_id: int, more: int, now: int) -> bool:
        """Whether a delivery just being committed may be handed over without a detour.

        Called in the writer's thread: reads only.

        Args:
            more: how many were handed over to this lane already in the same transaction.
            now: microseconds.
        """
        lane = self.lanes.get(endpoint_id)
        return (
            lane is not None
            and not lane.idle
            and lane.room > more
            and (lane.due is None or lane.due > now)
            and self.queued_bytes < QUEUE_BYTES
            and lane.breaker.closed
        )

    # -- what goes out ---------------------------------------------------------------------

    def next(self, now: float) -> tuple[Lane, Claim] | None:
        """The next delivery to attempt; it counts as in flight from now on."""
        while self._line and self.in_flight < self.concurrency:
            lane = self._line.popleft()
            lane.listed = False
            if not lane.queue:
                continue
            wait = lane.wait(now)
            if wait is None:
                continue
            if wait > 0:
                heapq.heappush(self._timers, (now + wait, lane.endpoint.id))
                continue
            return lane, self._start(lane, now)
        return None

    def _start(self, lane: Lane, now: float) -> Claim:
        claim = lane.queue.popleft()
        self.queued -= 1
        self.queued_bytes -= len(claim.event.payload)
        self.in_flight += 1
        lane.in_flight += 1
        lane.rate.take(now)
        lane.breaker.started(now)
        self._list(lane)
        if lane.due is not None and self._short(lane):
            self._hungry[lane.endpoint.id] = lane
        return claim

    def finished(self, lane: Lane, now: float, delivered: bool | None) -> bool:
        """An attempt ended; returns whether that opened the breaker.

        Args:
            delivered: None if it was cancelled and says nothing.
        """
        self.in_flight -= 1
        lane.in_flight -= 1
        opened = False
        if delivered is None:
            lane.breaker.abandoned()
        elif delivered:
            lane.window.succeeded()
            lane.breaker.succeeded()
        else:
            lane.window.failed()
            opened = lane.breaker.failed(now)
        self._list(lane)
        self._feed(lane, now)
        return opened

    def _list(self, lane: Lane) -> None:
        if lane.queue and not lane.listed:
            lane.listed = True
            self._line.append(lane)

    def _feed(self, lane: Lane, now: float) -> None:
        """See that a lane with a short queue is fed, now or when it may go on."""
        if lane.due is None or lane.idle:
            return
        wait = lane.wait(now)
        if wait is not None and wait > 0:
            heapq.heappush(self._timers, (now + wait, lane.endpoint.id))
        elif self._short(lane):
            self._hungry[lane.endpoint.id] = lane

    def _depth(self, lane: Lane) -> int:
        """How many deliveries to hold: two windows, but of all lanes' no more than its share."""
        share = AHEAD * self.concurrency // (len(self._line) + 1)
        return min(2 * lane.window.size, max(AHEAD_LEAST, share))

    def _short(self, lane: Lane) -> bool:
        """Whether half of what is to be held is used up: few claims of many are cheaper."""
        return 2 * len(lane.queue) < self._depth(lane)

    # -- what to fetch ---------------------------------------------------------------------

    def wanted(self, now: float, now_us: int, lanes: int = 100) -> list[tuple[Lane, int]]:
        """Lanes that have room and something due in the store, and how much to claim for each.

        They stop being wanted by this; say with :meth:`claimed` what is left.
        """
        self.tick(now, now_us)
        found: list[tuple[Lane, int]] = []
        for endpoint_id in list(self._hungry):
            if len(found) >= lanes:
                break
            lane = self._hungry[endpoint_id]
            full = self.queued_bytes >= QUEUE_BYTES
            if full and not self._starves(lane, now):
                continue
            del self._hungry[endpoint_id]
            if lane.idle or lane.due is None or lane.due > now_us:
                continue
            wait = lane.breaker.wait(now)
            if wait:
                heapq.heappush(self._timers, (now + wait, endpoint_id))
            elif wait is not None and (room := self._depth(lane) - len(lane.queue)) > 0:
                count = 1 if full or lane.breaker.state(now) is not BreakerState.CLOSED else room
                lane.news = None
                found.append((lane, count))
        return found

    def _starves(self, lane: Lane, now: float) -> bool:
        """Whether it could begin at once and has nothing: it need not wait until those that hang or
        are held back by their limits let go of the memory."""
        return not lane.queue and self.in_flight < self.concurrency and lane.wait(now) == 0

    def tick(self, now: float, now_us: int) -> None:
        """Look at what the time has made possible."""
        while self._timers and self._timers[0][0] <= now:
            lane = self.lanes.get(heapq.heappop(self._timers)[1])
            if lane is not None:
                self._list(lane)
                self._feed(lane, now)
        while self._dues and self._dues[0][0] <= now_us:
            due, endpoint_id = heapq.heappop(self._dues)
            lane = self.lanes.get(endpoint_id)
            if lane is not None and lane.due == due and self._short(lane):
                self._hungry[endpoint_id] = lane

    def sleep(self, now: float, now_us: int, most: float) -> float:
        """Seconds until :meth:`tick` can find something new."""
        spans = [most]
        if self._timers:
            spans.append(self._timers[0][0] - now)
        if self._dues:
            spans.append((self._dues[0][0] - now_us) / 1_000_000)
        if self._hungry and self.queued_bytes < QUEUE_BYTES:
            return 0.0
        return max(0.0, min(spans))

    def __iter__(self) -> Iterator[Lane]:
        return iter(self.lanes.values())
