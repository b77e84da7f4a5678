"""One connection's way through the history: replay and live are one code path, so no seam."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from hookhub import Cursor, Entry
from hookhub_websocket import messages
from hookhub_websocket.filters import Filter
from hookhub_websocket.frames import text_frame
from hookhub_websocket.messages import BadMessage

if TYPE_CHECKING:
    from hookhub.feed import Feed, Resume

BATCH = 64 * 1024
"""Bytes of frames that are joined into one write; one larger frame is a batch of its own."""
SLICE = 500
"""Entries asked of the feed at once."""


class Feeder:
    """A position in the feed, and the frames that come after it.

    Args:
        feed: the history.
        filter: which events are wanted; call :meth:`refilter` when it changes.
    """

    def __init__(self, feed: Feed, filter: Filter) -> None:
        self._feed = feed
        self._filter = filter
        self._position = feed.last
        self._rest: list[Entry] = []
        """Entries that were read and not yet sent, newest first."""
        self._upto = self._position
        self._target = 0
        """The end of the history at the last resume: up to here it is a replay."""
        self._verdict: Callable[[int], bytes] | None = None
        """Makes the frame that ends the replay, from the number of events replayed."""
        self._replayed = 0
        self._turns = 0
        self.sent = 0
        """Events sent so far."""

    @property
    def cursor(self) -> str:
        """Everything up to here was sent, or is about to be before anything posted now."""
        return str(Cursor(self._feed.epoch, self._position))

    @property
    def lag(self) -> int:
        """How many events this connection is behind."""
        return self._feed.last - self._position

    @property
    def replaying(self) -> bool:
        """Whether it is still among events that were history when it resumed."""
        return self._position < self._target

    def resume(self, found: Resume, id: str | int | None = None) -> bytes | None:
        """Go on from another place. Returns the frame that tells of a gap, if there is one.

        Raises:
            BadMessage: an earlier resume has not got its verdict yet.
        """
        if self._verdict is not None:
            raise BadMessage(
                "resume_in_progress", "A replay is still under way; wait for its 'resumed'.", id
            )
        self._position, self._target = found.position, self._feed.last
        self._replayed = 0
        self.refilter()
        if found.gap:
            return text_frame(messages.gap(found.missed, self.cursor, id))
        self._verdict = lambda replayed: text_frame(messages.resumed(replayed, id))
        return None

    def refilter(self) -> None:
        """Read again from here: what was read ahead was chosen by another filter or place."""
        self._rest = []
        self._turns += 1

    async def next_batch(self) -> bytes:
        """The frames to send next; empty when there is nothing newer (see :meth:`wait`)."""
        while not self._rest:
            ended = self._end_of_replay(self._position)
            if ended:
                return ended
            turn = self._turns
            found = await self._feed.read(self._position, self._filter.match, SLICE)
            if turn != self._turns:
                continue
            if found.missed:
                # Retention went faster than this client.
                self._position += found.missed
                return text_frame(messages.gap(found.missed, self.cursor))
            if found.position == self._position:
                return b""
            self._rest, self._upto = list(reversed(found.entries)), found.position
            if not self._rest:
                self._position = self._upto
                await trio.lowlevel.checkpoint()
        return self._take()

    def _take(self) -> bytes:
        frames: list[bytes] = []
        size = 0
        while self._rest and size < BATCH:
            entry = self._rest.pop()
            frames.append(self._end_of_replay(entry.event.sequence - 1))
            frames.append(text_frame(entry.frame))
            size += len(frames[-1])
            self._position = entry.event.sequence
            self._replayed += 1
            self.sent += 1
        if not self._rest:
            self._position = self._upto
        frames.append(self._end_of_replay(self._position))
        return b"".join(frames)

    def _end_of_replay(self, position: int) -> bytes:
        """The verdict, when everything up to the target was looked at."""
        if self._verdict is None or position < self._target:
            return b""
        verdict, self._verdict = self._verdict(self._replayed), None
        return verdict

    async def wait(self) -> None:
        """Wait for something newer."""
        await self._feed.wait(self._position)
