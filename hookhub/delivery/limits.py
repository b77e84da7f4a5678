"""How fast and how much at once: pure, told the time by the caller (seconds, any clock)."""

from __future__ import annotations

WINDOW_START = 2
"""Attempts at once that an endpoint gets before it has shown what it can do."""


class RateLimit:
    """A token bucket: in no second more than ``rate`` attempts and a tenth of them, or one, more.

    Args:
        rate: attempts per second; None for no limit.
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._tokens = max(1.0, (rate or 0.0) / 10)
        # Half a one more, so that what a late start has missed is not lost.
        self._burst = max(1.5, self._tokens)
        self._at = 0.0

    def begin_empty(self, now: float) -> None:
        """Let what another has just started count, as much as it may have been."""
        self._tokens, self._at = 0.0, now

    def wait(self, now: float) -> float:
        """Seconds until the next attempt may start; 0 for now."""
        if self._rate is None:
            return 0.0
        self._fill(now)
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self._rate

    def take(self, now: float) -> None:
        """Note that an attempt starts."""
        if self._rate is not None:
            self._fill(now)
            self._tokens -= 1.0

    def _fill(self, now: float) -> None:
        assert self._rate is not None
        # A hair more than was waited for: sums of floats must not end just below a whole token.
        passed = max(0.0, now - self._at)
        self._tokens = min(self._burst, self._tokens + passed * self._rate + 1e-9)
        self._at = max(self._at, now)


class Window:
    """How many attempts to one endpoint may run at once.

    It begins small, grows by one with each success, and falls back to one with a failure: an
    endpoint that hangs holds next to nothing, one that answers is soon at its limit.

    Args:
        limit: the endpoint's own limit.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = min(WINDOW_START, limit)

    def succeeded(self) -> None:
        """An attempt was delivered."""
        self.size = min(self.limit, self.size + 1)

    def failed(self) -> None:
        """An attempt failed."""
        self.size = 1
