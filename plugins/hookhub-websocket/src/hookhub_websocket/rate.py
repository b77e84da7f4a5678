"""How many messages a client may send. Pure."""

from __future__ import annotations

import enum


class Pace(enum.Enum):
    """What a message is, by the pace it came at."""

    FINE = enum.auto()
    REFUSED = enum.auto()
    """Too early: it is answered with an error and not obeyed."""
    FLOOD = enum.auto()
    """The client does not slow down although it was told so."""


class MessageRate:
    """A bucket of messages that fills up with time.

    Refused messages are taken out of it too, down to a whole burst below empty: a client that slows
    down is fine again soon, and one that goes on is a flood.

    Args:
        rate: messages a second.
        burst: messages at once.
        now: seconds, by any clock that only goes forward.
    """

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = float(burst)
        self._at = now

    def take(self, now: float) -> Pace:
        """Note a message that came now."""
        self._level = min(self._burst, self._level + (now - self._at) * self._rate) - 1
        self._at = now
        if self._level >= 0:
            return Pace.FINE
        return Pace.REFUSED if self._level >= -self._burst else Pace.FLOOD
