"""A part of the history, sent once more on a connection that stays live."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hookhub import Cursor, Entry
from hookhub_websocket import messages
from hookhub_websocket.filters import ConnectionFilter
from hookhub_websocket.frames import text_frame

if TYPE_CHECKING:
    from hookhub.feed import Feed, HistoryRange

BATCH = 64 * 1024
"""Bytes of frames that are joined into one write."""
SLICE = 200
"""Entries asked of the feed at once."""


class HistoryReplay:
    """Events of a range, each marked, between the messages ``replaying`` and ``replayed``.

    The live feed of the connection goes on beside it and does not notice: whoever keeps the cursor
    of the last event passes over those that are marked.

    Args:
        feed: the history.
        epoch: that of the range.
        filter: the connection's; the one of the moment is used.
        range: what was asked for.
        id: of the client's message.
    """

    def __init__(
        self,
        feed: Feed,
        epoch: str,
        filter: ConnectionFilter,
        range: HistoryRange,
        id: str | int | None,
    ) -> None:
        self._feed = feed
        self._epoch = epoch
        self._filter = filter
        self._range = range
        self._id = id
        self._position = range.after
        self._last = min(range.last, feed.last)
        self._complete = not range.gap
        self._mark = b', "replay": %b}' % json.dumps(True if id is None else id).encode("ascii")
        self.sent = 0
        self.over = False
        """Whether ``replayed`` was given out."""

    def begin(self) -> bytes:
        """The first message."""
        since, until = (Cursor(self._epoch, place) for place in (self._range.after, self._last))
        return messages.replaying(str(since), str(until), self._complete, self._id)

    async def next_batch(self) -> bytes:
        """The frames to send next; may be empty although it is not over yet."""
        frames: list[bytes] = []
        size = 0
        while self._position < self._last and size < BATCH:
            place = Cursor(self._epoch, self._position)
            part = await self._feed.read(place, self._wants, SLICE)
            if part.gap:
                self._complete = False
            if part.void:
                self._position = self._last  # of a history that is no more
                break
            for entry in part.entries:
                frames.append(text_frame(entry.frame[:-1] + self._mark))
                size += len(frames[-1])
            self.sent += len(part.entries)
            self._position = part.position.sequence
            if not part.entries:
                break  # events of now have their turn, before it is looked for more
        if self._position >= self._last:
            self.over = True
            ended = messages.replayed(self.sent, self._complete, self._id)
            frames.append(text_frame(ended))
        return b"".join(frames)

    def _wants(self, entry: Entry) -> bool:
        inside = entry.event.sequence <= self._last and self._range.holds(entry.event)
        return inside and self._filter.match(entry)
