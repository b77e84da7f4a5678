"""One connection's way through the history: catching up and live are one code path, so no seam."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from hookhub import Cursor, Entry
from hookhub_websocket import messages
from hookhub_websocket.batches import SIZE, Batch, Batches
from hookhub_websocket.filters import ConnectionFilter
from hookhub_websocket.frames import Encode, plain_frame, text_frame
from hookhub_websocket.messages import BadMessage

if TYPE_CHECKING:
    from hookhub.feed import Feed, Resume, Select

SLICE = 500
"""Entries asked of the feed at once."""


class Feeder:
    """A position in the feed, and the frames that come after it.

    Args:
        feed: the history.
        batches: its newest part, ready-made.
        filter: which events are wanted; call :meth:`refilter` when it changes.
        missed: is called when the client is told of a gap.
        encode: makes the frames.
    """

    __slots__ = (
        "_batches",
        "_caught_up",
        "_feed",
        "_filter",
        "_missed",
        "_rest",
        "_target",
        "_turns",
        "_upto",
        "_verdict",
        "encode",
        "epoch",
        "match",
        "position",
        "sent",
    )

    def __init__(
        self,
        feed: Feed,
        batches: Batches,
        filter: ConnectionFilter,
        missed: Callable[[], None] = lambda: None,
        encode: Encode = plain_frame,
    ) -> None:
        self.encode = encode
        self._missed = missed
        self._feed = feed
        self._batches = batches
        self.match: Select = filter.match
        """Which events are wanted; always the filter's."""
        self._filter = filter
        self.epoch, self.position = feed.cursor()
        """Everything up to this sequence was sent, or is about to be before anything posted now."""
        self._rest: list[Entry] = []
        """Entries that were read and not yet sent, newest first."""
        self._upto = self.position
        self._target = 0
        """The end of the history at the last resume: up to here it catches up."""
        self._verdict: Callable[[int, str], bytes] | None = None
        """Makes the frame that ends it, from the number of events and the cursor."""
        self._caught_up = 0
        self._turns = 0
        self.sent = 0
        """Events sent so far."""

    @property
    def cursor(self) -> str:
        """The position as clients see it."""
        return str(self._place)

    @property
    def _place(self) -> Cursor:
        return Cursor(self.epoch, self.position)

    @property
    def lag(self) -> int:
        """How many events this connection is behind."""
        # A cursor may be ahead of this process: of an event that another one has just committed.
        return max(0, self._feed.last - self.position)

    @property
    def catching_up(self) -> bool:
        """Whether it is still among events that were history when it resumed."""
        return self.position < self._target

    def resume(self, found: Resume, id: str | int | None = None) -> bytes | None:
        """Go on from another place. Returns the frame that tells of a gap, if there is one.

        Raises:
            BadMessage: an earlier resume has not got its verdict yet.
        """
        if self._verdict is not None:
            raise BadMessage(
                "resume_in_progress", "A resume is still under way; wait for its 'resumed'.", id
            )
        self.epoch, self.position = found.position
        self._target = self._feed.last
        self._caught_up = 0
        self.refilter()
        if found.gap is not None:
            self._missed()
            return text_frame(messages.gap(found.gap.missed, self.cursor, id))
        self._verdict = lambda count, cursor: text_frame(messages.resumed(count, cursor, id))
        return None

    def skip(self) -> bytes:
        """Go on from now. Returns the frame that tells of the gap, to be posted."""
        return self._tell_gap(self.lag, self._feed.cursor())

    def _tell_gap(self, missed: int | None, place: Cursor) -> bytes:
        if place.epoch != self.epoch:
            # Of another history: nobody knows how many, and there is nothing to catch up with.
            missed, self._verdict = None, None
        self.epoch, self.position = place
        self.refilter()
        self._missed()
        return text_frame(messages.gap(missed, self.cursor))

    def refilter(self) -> None:
        """Read again from here: what was read ahead was chosen by another filter or place."""
        self.match = self._filter.match
        self._rest = []
        self._turns += 1

    async def next_batch(self) -> bytes:
        """The frames to send next; empty if there are none, or something posted goes first."""
        while not self._rest:
            ended = self._end_of_resume(self.position)
            if ended:
                return ended
            batch = self._recent()
            if batch is not None:
                return batch.data
            turn = self._turns
            found = await self._feed.read(self._place, self.match, SLICE)
            if turn != self._turns:
                # Whoever changed that has posted something, which goes before what is read now.
                return b""
            if found.gap is not None:
                # Retention went faster than this client, or another epoch has begun.
                return self._tell_gap(*found.gap)
            if found.position == self._place:
                return b""
            self._rest = list(reversed(found.entries))
            self._upto = found.position.sequence
            if not self._rest:
                self.position = self._upto
                await trio.lowlevel.checkpoint()
                if turn != self._turns:
                    return b""  # as above
        return self._take()

    def _recent(self) -> Batch | None:
        """All there is, if it is in memory, not too much, and no resume ends in it."""
        last = self._feed.last
        if self._verdict is not None or self.position >= last or self.epoch != self._feed.epoch:
            return None
        batch = self._batches.after(self.match, self.encode, self.position)
        if batch is not None:
            self.position = last
            self.sent += batch.events
        return batch

    def _take(self) -> bytes:
        frames: list[bytes] = []
        size = 0
        while self._rest and size < SIZE:
            entry = self._rest.pop()
            frames.append(self._end_of_resume(entry.event.sequence - 1))
            frames.append(self.encode(entry))
            size += len(frames[-1])
            self.position = entry.event.sequence
            self._caught_up += 1
            self.sent += 1
        if not self._rest:
            self.position = self._upto
        frames.append(self._end_of_resume(self.position))
        return b"".join(frames)

    def _end_of_resume(self, position: int) -> bytes:
        """The verdict, when everything up to the target was looked at."""
        if self._verdict is None or position < self._target:
            return b""
        make, self._verdict = self._verdict, None
        return make(self._caught_up, str(Cursor(self.epoch, position)))
