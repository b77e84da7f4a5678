"""The live feed: one cursor over the ring and the store, for every kind of reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import structlog
import trio

from hookhub.config import LiveSettings
from hookhub.contracts.errors import UnreadableEvent
from hookhub.contracts.events import Cursor, Event
from hookhub.contracts.sinks import Entry
from hookhub.feed.resuming import Gap, Resume, gap_up_to, resume
from hookhub.feed.ring import Ring
from hookhub.feed.selection import Payloads, Select, Wanted, selectors
from hookhub.store import Store
from hookhub.store.epochs import NOTHING_SEEN, Seen, read_newest
from hookhub.store.units.events import history_bounds, read_events

SCAN = 2_000
"""How many events of the ring one read looks at before it lets other tasks run."""
PAGE = 500
"""How many events of the store one read fetches."""
PARSED = 1024 * 1024
"""Bytes of payloads that one read parses, for those who filter by them, before it does the same."""
PAYLOADS = 4 * 1024 * 1024
"""Bytes of JSON whose objects are kept for the next reader."""

log = structlog.get_logger("hookhub.feed")


class Slice(NamedTuple):
    """A part of the history."""

    entries: list[Entry]
    position: Cursor
    """Up to here everything was looked at; may advance without entries."""
    gap: Gap | None = None
    """Events before the entries are gone: retention deleted them before this reader came to them,
    or the place is of another epoch, and this part empty."""

    @property
    def void(self) -> bool:
        """Whether the place was of an epoch that is over."""
        return self.gap is not None and self.gap.missed is None


class Feed:
    """Reads the history and waits for more. Readers hold places (cursors), not copies.

    A new epoch begins when the database has gone back. Places of another one are told a gap.
    """

    def __init__(self, store: Store, settings: LiveSettings) -> None:
        self._store = store
        self._ring = Ring(settings.ring_events, settings.ring_bytes)
        self._payloads = Payloads(PAYLOADS)
        self._selector = selectors(self._payloads)
        self._changed = trio.Event()
        self._begin = self._seen = NOTHING_SEEN
        self._version = 0
        self._published = 0
        self._store_reads = 0
        self._unreadable: set[int] = set()
        """Sequences of events that the log has named."""

    async def open(self) -> None:
        """Begin after the newest committed event."""
        self.begin(await self._store.read(read_newest))

    def begin(self, seen: Seen) -> None:
        """Show what follows this event, in its epoch; forget all else."""
        self._begin = self._seen = seen
        self._ring.clear()
        self._payloads.clear()
        self._unreadable.clear()
        self._change()

    def _change(self) -> None:
        self._version += 1
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    @property
    def seen(self) -> Seen:
        """The newest published event."""
        return self._seen

    @property
    def epoch(self) -> str:
        """Names the history in cursors."""
        return self._seen.epoch

    @property
    def version(self) -> int:
        """Another one whenever :meth:`recent` may answer otherwise than before."""
        return self._version

    @property
    def last(self) -> int:
        """The sequence of the newest published event."""
        return self._seen.sequence

    def cursor(self) -> Cursor:
        """Now."""
        return Cursor(self._seen.epoch, self._seen.sequence)

    def entries(self, events: Sequence[Event]) -> list[Entry]:
        """Each event with its encoded form."""
        epoch = self.epoch
        return [Entry(event, epoch) for event in events]

    def publish(self, entries: Sequence[Entry]) -> None:
        """Add the next events, in order, and wake whoever waits."""
        if entries[0].event.sequence != self.last + 1:
            # Retention went faster than this process could look. The ring has no holes; readers
            # who come to this one find it in the store.
            self._ring.clear()
        self._ring.extend(entries)
        newest = entries[-1].event
        self._seen = self._seen._replace(sequence=newest.sequence, id=newest.id)
        self._published += len(entries)
        self._change()

    def forget(self, before: int) -> None:
        """Show nothing any more of what is older than a sequence: it is deleted."""
        first = self._ring.first
        if first is not None and first < before:
            self._ring.drop_before(before)
            self._version += 1

    def select(self, wanted: Wanted) -> Select:
        """The predicate for :meth:`read`; the same one for all who want the same."""
        return self._selector(wanted)

    async def wait(self, after: Cursor) -> None:
        """Return as soon as something newer than ``after`` was published, or it is void."""
        while self.last <= after.sequence and self.epoch == after.epoch:
            await self._changed.wait()

    async def resume(self, cursor: Cursor) -> Resume:
        """Find out what a cursor is good for."""
        oldest, last = await self._store.read(history_bounds)
        return resume(cursor, self.cursor(), oldest or last + 1, last)

    def shows(self, entry: Entry, match: Select) -> bool:
        """Whether it matches and can be shown.

        One that cannot be read is named in the log, once, and passed over.
        """
        try:
            return match(entry) and bool(entry.frame)
        except UnreadableEvent as error:
            if entry.event.sequence not in self._unreadable:
                self._unreadable.add(entry.event.sequence)
                id = entry.event.id.encode("utf-8", "backslashreplace").decode()
                log.error("event.unreadable", id=id, error=error.detail)
            return False

    def recent(self, after: int, limit: int) -> Sequence[Entry] | None:
        """Up to ``limit`` events after a sequence, in order; None if memory does not reach back."""
        return self._ring.after(after, limit)

    async def read(self, after: Cursor, match: Select, limit: int = 500) -> Slice:
        """Events after a place that match, in order.

        Returns at once; nothing newer gives an empty slice at the same position.

        Args:
            limit: how many entries at most.
        """
        scanned: Sequence[Entry] | None = None
        if after.epoch == self.epoch:
            if after.sequence >= self.last:
                return Slice([], after)
            scanned = self._ring.after(after.sequence, SCAN)
            if scanned is None:
                scanned = await self._from_store(after.sequence)
        if scanned is None or after.epoch != self.epoch:
            begin = Cursor(self.epoch, self._begin.sequence)
            return Slice([], begin, Gap(None, begin))
        if not scanned:
            # Retention has deleted what was asked for; nothing older than the ring will come.
            there = max(after.sequence, (self._ring.first or self.last + 1) - 1)
            return Slice([], Cursor(after.epoch, there), gap_up_to(there, after))
        return self._chosen(scanned, after, match, limit)

    def _chosen(self, scanned: Sequence[Entry], after: Cursor, match: Select, limit: int) -> Slice:
        """Those that match of what follows a place."""
        found: list[Entry] = []
        gap = gap_up_to(scanned[0].event.sequence - 1, after)
        position = after.sequence
        enough = self._payloads.parsed + PARSED
        for entry in scanned:
            position = entry.event.sequence
            if self.shows(entry, match):
                found.append(entry)
                if len(found) >= limit:
                    break
            if self._payloads.parsed > enough:
                break
        return Slice(found, Cursor(after.epoch, position), gap)

    async def _from_store(self, after: int) -> list[Entry]:
        self._store_reads += 1
        events = await self._store.read(lambda reader: read_events(reader, after, PAGE))
        # Committed but not yet published events wait for their turn: order is everybody's.
        return self.entries([event for event in events if event.sequence <= self.last])

    def statistics(self) -> dict[str, float]:
        """Counters and gauges."""
        return {
            "published_total": self._published,
            "store_reads_total": self._store_reads,
            "ring_events": len(self._ring),
            "ring_bytes": self._ring.size,
            "last_sequence": self.last,
            "epoch": self._seen.number,
        }
