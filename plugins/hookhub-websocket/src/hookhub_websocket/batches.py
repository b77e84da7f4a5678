"""What comes after a place in the feed, joined once for all who are at that place."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hookhub_websocket.frames import Encode

if TYPE_CHECKING:
    from hookhub.feed import Feed, Select

SIZE = 64 * 1024
"""Bytes that are joined into one write; one larger frame is a batch of its own."""
EVENTS = 500
"""Events that are looked at for it."""
KEPT = 4 * 1024 * 1024
"""Bytes of batches that are kept for the next who asks."""


class Batch(NamedTuple):
    """Everything that is newer than a position."""

    data: bytes
    """Whole frames; empty if nothing of it is wanted."""
    events: int


class Batches:
    """The newest events as ready-made writes.

    Args:
        feed: the history; what its memory does not hold is no matter of this class.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._made: dict[tuple[Select, Encode, int], Batch | None] = {}
        self._bytes = 0
        self._version = 0

    def after(self, match: Select, encode: Encode, position: int) -> Batch | None:
        """Everything after a sequence that matches; None if that is not in memory, or too much."""
        if self._version != self._feed.version or self._bytes > KEPT:
            self._made.clear()
            self._bytes, self._version = 0, self._feed.version
        key = (match, encode, position)
        if key not in self._made:
            self._made[key] = batch = self._make(*key)
            self._bytes += len(batch.data) if batch is not None else 0
        return self._made[key]

    def _make(self, match: Select, encode: Encode, position: int) -> Batch | None:
        entries = self._feed.recent(position, EVENTS)
        if entries is None or position + len(entries) < self._feed.last:
            return None
        shows = self._feed.shows
        frames = [encode(entry) for entry in entries if shows(entry, match)]
        if len(frames) > 1 and sum(map(len, frames)) > SIZE:
            return None
        return Batch(b"".join(frames), len(frames))
