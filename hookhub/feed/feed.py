"""The live feed: one cursor over the ring and the store, for every kind of reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import structlog
import trio

from hookhub.config import LiveSettings
from hookhub.errors import UnreadableEvent
from hookhub.events import Cursor, Event
from hookhub.feed.ring import Ring
from hookhub.feed.selection import Payloads, Select, Selectors, Wanted
from hookhub.sinks import Entry
from hookhub.store import Store
from hookhub.store.events import history_bounds, read_events

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
    position: int
    """The sequence up to which everything was looked at; may advance without entries."""
    missed: int = 0
    """Events that retention deleted before this reader came to them."""


class Resume(NamedTuple):
    """What a cursor is good for."""

    position: int
    """Where to go on from."""
    gap: bool
    """Whether events after the cursor are gone."""
    missed: int | None
    """How many; None if that cannot be known (the cursor is of another database)."""


class Feed:
    """Reads the history and waits for more. Readers hold positions (sequences), not copies."""

    def __init__(self, store: Store, settings: LiveSettings) -> None:
        self._store = store
        self._ring = Ring(settings.ring_events, settings.ring_bytes)
        self._payloads = Payloads(PAYLOADS)
        self._selectors = Selectors(self._payloads)
        self._changed = trio.Event()
        self._last = 0
        self._version = 0
        self._published = 0
        self._store_reads = 0
        self._unreadable: set[int] = set()
        """Sequences of events that the log has named."""

    async def open(self) -> None:
        """Begin after the newest committed event."""
        _, self._last = await self._store.read(history_bounds)

    @property
    def epoch(self) -> str:
        """Names the database in cursors."""
        return self._store.epoch

    @property
    def version(self) -> int:
        """Another one whenever :meth:`recent` may answer otherwise than before."""
        return self._version

    @property
    def last(self) -> int:
        """The sequence of the newest published event."""
        return self._last

    def cursor(self) -> Cursor:
        """Now."""
        return Cursor(self.epoch, self._last)

    def entry(self, event: Event) -> Entry:
        """The event with its encoded form."""
        return Entry(event, self.epoch)

    def entries(self, events: Sequence[Event]) -> list[Entry]:
        """Each event with its encoded form."""
        epoch = self.epoch
        return [Entry(event, epoch) for event in events]

    def publish(self, entries: Sequence[Entry]) -> None:
        """Add the next events, in order, and wake whoever waits."""
        if entries[0].event.sequence != self._last + 1:
            # Retention went faster than this process could look. The ring has no holes; readers
            # who come to this one find it in the store.
            self._ring.clear()
        self._ring.extend(entries)
        self._last = entries[-1].event.sequence
        self._version += 1
        self._published += len(entries)
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    def forget(self, before: int) -> None:
        """Show nothing any more of what is older than a sequence: it is deleted."""
        first = self._ring.first
        if first is not None and first < before:
            self._ring.drop_before(before)
            self._version += 1

    def select(self, wanted: Wanted) -> Select:
        """The predicate for :meth:`read`; the same one for all who want the same."""
        return self._selectors.get(wanted)

    async def wait(self, after: int) -> None:
        """Return as soon as something newer than ``after`` was published."""
        while self._last <= after:
            await self._changed.wait()

    async def resume(self, cursor: Cursor) -> Resume:
        """Find out what a cursor is good for."""
        oldest, last = await self._store.read(history_bounds)
        if cursor.epoch != self.epoch or cursor.sequence > last:
            return Resume(self._last, True, None)
        kept_from = oldest or last + 1
        if cursor.sequence + 1 < kept_from:
            return Resume(kept_from - 1, True, kept_from - 1 - cursor.sequence)
        return Resume(cursor.sequence, False, 0)

    def shows(self, entry: Entry) -> bool:
        """Whether it can be shown; one that cannot is named in the log, once, and passed over."""
        try:
            return bool(entry.frame)
        except UnreadableEvent as error:
            if entry.event.sequence not in self._unreadable:
                self._unreadable.add(entry.event.sequence)
                log.error("event.unreadable", id=entry.event.id, error=error.detail)
            return False

    def recent(self, after: int, limit: int) -> Sequence[Entry] | None:
        """Up to ``limit`` events after a sequence, in order; None if memory does not reach back."""
        return self._ring.after(after, limit)

    async def read(self, after: int, match: Select, limit: int = 500) -> Slice:
        """Events after a sequence that match, in order.

        Returns at once; nothing newer gives an empty slice at the same position.

        Args:
            limit: how many entries at most.
        """
        if after >= self._last:
            return Slice([], after)
        scanned = self._ring.after(after, SCAN)
        if scanned is None:
            scanned = await self._from_store(after)
        if not scanned:
            # Retention has deleted what was asked for; nothing older than the ring will come.
            position = max(after, (self._ring.first or self._last + 1) - 1)
            return Slice([], position, position - after)
        found: list[Entry] = []
        missed = scanned[0].event.sequence - after - 1
        position = after
        enough = self._payloads.parsed + PARSED
        for entry in scanned:
            position = entry.event.sequence
            if match(entry) and self.shows(entry):
                found.append(entry)
                if len(found) >= limit:
                    break
            if self._payloads.parsed > enough:
                break
        return Slice(found, position, missed)

    async def _from_store(self, after: int) -> list[Entry]:
        self._store_reads += 1
        events = await self._store.read(lambda reader: read_events(reader, after, PAGE))
        # Committed but not yet published events wait for their turn: order is everybody's.
        return [self.entry(event) for event in events if event.sequence <= self._last]

    def statistics(self) -> dict[str, float]:
        """Counters and gauges."""
        return {
            "published_total": self._published,
            "store_reads_total": self._store_reads,
            "ring_events": len(self._ring),
            "ring_bytes": self._ring.size,
            "last_sequence": self._last,
        }
