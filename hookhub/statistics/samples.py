"""What is counted, and over which time. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from hookhub.statistics.histogram import Histogram

MICROSECONDS = 1_000_000

RangeName = Literal["hour", "day", "week"]


class ChartRange(NamedTuple):
    """How far back a chart goes, and in which steps; both in seconds."""

    step: int
    length: int

    @property
    def points(self) -> int:
        """How many steps it has."""
        return self.length // self.step


RANGES: dict[RangeName, ChartRange] = {
    "hour": ChartRange(60, 3_600),
    "day": ChartRange(300, 86_400),
    "week": ChartRange(3_600, 7 * 86_400),
}
FINEST = RANGES["hour"].step
"""Seconds from one sample to the next; every step is a multiple of it."""


def begin_of(moment: int, step: int) -> int:
    """When the step (seconds) that holds this moment began; both microseconds."""
    return moment - moment % (step * MICROSECONDS)


@dataclass(slots=True)
class Counts:
    """What happened in some span of time, in one process or in several."""

    events: int = 0
    """Events committed."""
    attempts: int = 0
    delivered: int = 0
    """Deliveries that ended well."""
    failed: int = 0
    """Deliveries that were given up."""
    latency: Histogram = field(default_factory=Histogram)
    """From the commit of a delivery to its receiver's answer."""

    def copy(self) -> Counts:
        """As they are now."""
        return Counts(self.events, self.attempts, self.delivered, self.failed, self.latency.copy())

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.events + other.events,
            self.attempts + other.attempts,
            self.delivered + other.delivered,
            self.failed + other.failed,
            self.latency + other.latency,
        )

    def __sub__(self, other: Counts) -> Counts:
        return Counts(
            max(0, self.events - other.events),
            max(0, self.attempts - other.attempts),
            max(0, self.delivered - other.delivered),
            max(0, self.failed - other.failed),
            self.latency - other.latency,
        )

    @property
    def success_rate(self) -> float | None:
        """Percent of the deliveries that ended which ended well; None if none ended."""
        ended = self.delivered + self.failed
        return round(100 * self.delivered / ended, 2) if ended else None


class Gauges(NamedTuple):
    """How it is at a moment."""

    pending: int = 0
    """Deliveries, of all nodes."""
    oldest_pending: float = 0.0
    """Seconds since the commit of the oldest of them; 0 if there is none."""
    open_breakers: int = 0
    """Endpoints that are left alone: the most that one node knows of."""
    connections: int = 0
    """Live connections: each node has its own."""

    def highest(self, other: Gauges) -> Gauges:
        """Of each number the greater one."""
        return Gauges._make(map(max, self, other))

    def with_node(self, other: Gauges) -> Gauges:
        """Those of two nodes at one moment."""
        both = self.connections + other.connections
        return self.highest(other)._replace(connections=both)


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a chart."""

    at: int
    """When it began, microseconds."""
    counts: Counts
    gauges: Gauges | None
    """The highest of the step; None if no hub ran."""
    nodes: int = 0
    """How many samples of nodes a finest step has."""


def grid(points: dict[int, Point], span: ChartRange, end: int) -> list[Point]:
    """All steps of a range, also those of which nothing is known.

    Args:
        points: those that are known, by ``at``.
        end: when the last step ends, microseconds.
    """
    step = span.step * MICROSECONDS
    first = end - span.points * step
    return [points.get(at) or Point(at, Counts(), None) for at in range(first, end, step)]


class Tally:
    """What the deliveries of this process came to since its start: told of every attempt."""

    def __init__(self) -> None:
        self._counts = Counts()

    def attempted(self) -> None:
        """An attempt was made."""
        self._counts.attempts += 1

    def delivered(self, committed_at: int | None, answered_at: int) -> None:
        """A delivery ended well.

        Args:
            committed_at: microseconds; None if its time says nothing, because a person had it
                retried.
            answered_at: microseconds.
        """
        self._counts.delivered += 1
        if committed_at is not None:
            # A clock that was set back must not make it negative.
            seconds = max(0, answered_at - committed_at) / MICROSECONDS
            self._counts.latency.observe(seconds)

    def failed(self) -> None:
        """A delivery was given up."""
        self._counts.failed += 1

    def counts(self) -> Counts:
        """As they are now."""
        return self._counts.copy()
