"""Why connections end: close codes (docs/live-feed.md), and the words for them in statistics."""

from __future__ import annotations

import enum

from hookhub.feed import DISMISSED


class Why(enum.Enum):
    """What ended a connection, with the close code that tells the client."""

    CLIENT = ("client", 1000)
    """The client closed it, or went away."""
    UNAUTHORIZED = ("unauthorized", 1008)
    PROTOCOL = ("protocol", 1002)
    TOO_BIG = ("too_big", 1009)
    ERROR = ("error", 1011)
    """A bug on this side."""
    DEAD = ("dead", 1011)
    """No sign of life after a ping; the client most likely never sees the code."""
    RESTART = ("restart", 1012)
    SLOW = ("slow", 1013)
    FULL = ("full", 1013)
    FLOOD = ("flood", 1008)
    """Too many messages."""
    EXPIRED = ("expired", 4201)
    DISMISSED = ("dismissed", DISMISSED)
    """An administrator closed it."""
    REVOKED = ("revoked", 4502)

    def __init__(self, word: str, code: int) -> None:
        self.word = word
        self.code = code
