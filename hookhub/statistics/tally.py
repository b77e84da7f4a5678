"""What the deliveries of this process came to since its start. Pure."""

from __future__ import annotations

from hookhub.statistics.samples import MICROSECONDS, Counts


class Tally:
    """Told of every attempt; nothing but counters."""

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
