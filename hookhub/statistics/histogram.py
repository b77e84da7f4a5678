"""A histogram with fixed bounds: small, and those of many minutes and nodes add up. Pure."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable

STEPS = ("1", "1.5", "2", "3", "5", "7.5")
DECADES = range(-3, 6)
BOUNDS = tuple(float(f"{step}e{decade}") for decade in DECADES for step in STEPS)
"""Upper bounds in seconds, the bound itself included: 1 ms to 8 days, beyond any retry schedule."""
COARSE = tuple(bound for bound in BOUNDS if f"{bound:e}"[:3] in ("1.0", "2.0", "5.0"))
"""Enough of them for Prometheus."""


class Histogram:
    """Durations, counted by size; the last count is of those above all bounds.

    Args:
        counts: one for each of :data:`BOUNDS` and one more.
        total: the sum of all durations, seconds.
    """

    __slots__ = ("counts", "total")

    def __init__(self, counts: Iterable[int] = (), total: float = 0.0) -> None:
        self.counts = list(counts) or [0] * (len(BOUNDS) + 1)
        self.total = total

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return sum(self.counts)

    def __repr__(self) -> str:
        return f"Histogram({self.text()})"

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def copy(self) -> Histogram:
        """As it is now."""
        return Histogram(self.counts, self.total)

    def __add__(self, other: Histogram) -> Histogram:
        pairs = zip(self.counts, other.counts, strict=True)
        return Histogram([one + two for one, two in pairs], self.total + other.total)

    def __sub__(self, other: Histogram) -> Histogram:
        pairs = zip(self.counts, other.counts, strict=True)
        return Histogram([max(0, one - two) for one, two in pairs], self.total - other.total)

    def quantile(self, share: float) -> float | None:
        """The seconds that ``share`` (0 to 1) of all durations do not exceed; None: there are none.

        Within a bucket they are taken to lie evenly; above all bounds, at the last one.
        """
        wanted = share * len(self)
        below = 0
        for index, count in enumerate(self.counts):
            if count and below + count >= wanted:
                if index == len(BOUNDS):
                    break
                low = BOUNDS[index - 1] if index else 0.0
                part = (wanted - below) / count
                return round(low + (BOUNDS[index] - low) * part, 6)
            below += count
        return BOUNDS[-1] if below or self.counts[-1] else None

    def cumulative(self) -> list[tuple[str, float]]:
        """Bound to how many do not exceed it, for :data:`COARSE` and ``+Inf``, as Prometheus wants
        them."""
        coarse = set(COARSE)
        found: list[tuple[str, float]] = []
        below = 0
        for bound, count in zip(BOUNDS, self.counts, strict=False):
            below += count
            if bound in coarse:
                found.append((str(bound), below))
        return [*found, ("+Inf", len(self))]

    def text(self) -> str:
        """As it is stored: JSON, the number of a bucket to its count; without the sum."""
        return json.dumps({str(index): count for index, count in enumerate(self.counts) if count})

    @classmethod
    def parse(cls, text: str) -> Histogram:
        """The opposite of :meth:`text`."""
        found = cls()
        for index, count in json.loads(text).items():
            found.counts[min(int(index), len(BOUNDS))] += count
        return found
