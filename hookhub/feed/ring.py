"""The ring: the newest events in their encoded form, shared by all readers. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from hookhub.contracts.sinks import Entry


class Ring:
    """A contiguous run of the newest events.

    Args:
        max_events: how many to keep.
        max_bytes: how many bytes of frames to keep.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._entries: list[Entry] = []
        self._start = 0
        """Entries before this index were dropped; the list is compacted now and then."""
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries) - self._start

    @property
    def size(self) -> int:
        """Bytes of the frames kept, about."""
        return self._bytes

    @property
    def first(self) -> int | None:
        """The sequence of the oldest entry kept."""
        return self._entries[self._start].event.sequence if len(self) else None

    def extend(self, new: Sequence[Entry]) -> None:
        """Add the next events; what is over the limits is dropped from the other end."""
        entries = self._entries
        entries += new
        self._bytes += sum([entry.size for entry in new])
        start, last = self._start, len(entries) - 1
        while start < last and (
            len(entries) - start > self._max_events or self._bytes > self._max_bytes
        ):
            self._bytes -= entries[start].size
            start += 1
        self._start = start
        if self._start > 1024 and self._start * 2 > len(self._entries):
            del self._entries[: self._start]
            self._start = 0

    def drop_before(self, sequence: int) -> None:
        """Forget what is older than this."""
        first = self.first
        if first is None or sequence <= first:
            return
        end = min(self._start + sequence - first, len(self._entries))
        self._bytes -= sum([entry.size for entry in self._entries[self._start : end]])
        del self._entries[:end]
        self._start = 0

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._start = self._bytes = 0

    def after(self, sequence: int, limit: int) -> Sequence[Entry] | None:
        """Up to ``limit`` entries after a sequence; None if the ring does not reach back."""
        first = self.first
        if first is None or sequence + 1 < first:
            return None
        begin = self._start + sequence + 1 - first
        return self._entries[begin : begin + limit]
