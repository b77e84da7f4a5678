"""A circuit breaker for each endpoint: pure, told the time by the caller (seconds, any clock).

While it is open, deliveries wait without using up their attempts; then one attempt is let through
as a probe, and what comes of it decides.
"""

from __future__ import annotations

import enum

THRESHOLD = 5
"""Failures in a row that open it."""
OPEN_FIRST = 5.0
OPEN_MAX = 300.0


class BreakerState(enum.Enum):
    """The usual three."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Closed, open, half-open; each opening in a row lasts twice as long, up to five minutes."""

    def __init__(
        self,
        threshold: int = THRESHOLD,
        open_first: float = OPEN_FIRST,
        open_max: float = OPEN_MAX,
    ) -> None:
        self._threshold = threshold
        self._open_first = open_first
        self._open_max = open_max
        self._failures = 0
        self._opened_in_a_row = 0
        self._until = 0.0
        self._probing = False
        self.opened = 0
        """How often it opened, in all."""

    def state(self, now: float) -> BreakerState:
        """Its state at this moment."""
        if self._opened_in_a_row == 0:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if now >= self._until else BreakerState.OPEN

    @property
    def closed(self) -> bool:
        """Whether it lets everything through."""
        return self._opened_in_a_row == 0

    def is_open(self, now: float) -> bool:
        """Whether it lets nothing through at this moment."""
        return self.state(now) is BreakerState.OPEN

    def wait(self, now: float) -> float | None:
        """Seconds until an attempt may start; 0 for now, None while a probe is on its way."""
        state = self.state(now)
        if state is BreakerState.CLOSED:
            return 0.0
        if state is BreakerState.OPEN:
            return self._until - now
        return None if self._probing else 0.0

    def started(self, now: float) -> None:
        """An attempt starts; in half-open state it is the probe."""
        if self.state(now) is BreakerState.HALF_OPEN:
            self._probing = True

    def abandoned(self) -> None:
        """An attempt was cancelled: it says nothing."""
        self._probing = False

    def succeeded(self) -> None:
        """An attempt was delivered: close."""
        self._failures = self._opened_in_a_row = 0
        self._probing = False

    def failed(self, now: float) -> bool:
        """An attempt failed; returns whether that opened the breaker (again)."""
        self._failures += 1
        probe, self._probing = self._probing, False
        if self.state(now) is BreakerState.OPEN:
            # An attempt that was on its way when it opened.
            return False
        if not probe and self._failures < self._threshold:
            return False
        span = min(self._open_max, self._open_first * 2**self._opened_in_a_row)
        self._opened_in_a_row += 1
        self._until = now + span
        self.opened += 1
        return True
