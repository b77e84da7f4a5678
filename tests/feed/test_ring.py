"""The ring: contiguous, bounded, found by sequence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hookhub.contracts.events import Event
from hookhub.contracts.sinks import Entry
from hookhub.feed.ring import Ring


def entry(sequence: int) -> Entry:
    return Entry(Event(sequence, f"e{sequence}", "user.created", "{}", 0), "epoch")


SIZE = entry(1).size


def sequences(ring: Ring, after: int, limit: int = 10_000) -> list[int] | None:
    found = ring.after(after, limit)
    return None if found is None else [item.event.sequence for item in found]


def test_an_empty_ring_reaches_nowhere() -> None:
    """It cannot know what it does not have."""
    ring = Ring(10, 10_000)
    assert ring.first is None
    assert ring.after(0, 10) is None


def test_reads_after_a_sequence() -> None:
    """In order, up to the limit; nothing newer is an empty slice; too old is None."""
    ring = Ring(3, 10_000)
    for number in range(5, 10):
        ring.extend([entry(number)])
    assert ring.first == 7
    assert sequences(ring, 6) == [7, 8, 9]
    assert sequences(ring, 7, 1) == [8]
    assert sequences(ring, 9) == []
    assert sequences(ring, 5) is None


@given(st.integers(0, 3000), st.integers(0, 3100), st.integers(1, 1500))
def test_what_is_before_a_sequence_can_be_dropped(count: int, before: int, room: int) -> None:
    """Nothing else goes, and it goes on from there."""
    ring = Ring(room, 10**9)
    for number in range(1, count + 1):
        ring.extend([entry(number)])
    ring.drop_before(before)
    kept = [number for number in range(1, count + 1)[-room:] if number >= before]
    assert (len(ring), ring.size, ring.first) == (
        len(kept),
        len(kept) * SIZE,
        kept[0] if kept else None,
    )
    ring.extend([entry(count + 1)])
    kept = [*kept, count + 1][-room:]
    assert sequences(ring, kept[0] - 1) == kept


@given(
    count=st.integers(0, 3000),
    start=st.integers(1, 10**12),
    max_events=st.integers(1, 1500),
    max_bytes=st.integers(1, 2_000 * SIZE),
)
def test_it_always_holds_the_newest_within_its_bounds(
    count: int, start: int, max_events: int, max_bytes: int
) -> None:
    """Whatever goes in: the newest stay, contiguous, within both limits (but never none)."""
    ring = Ring(max_events, max_bytes)
    for number in range(start, start + count):
        ring.extend([entry(number)])
    kept = min(count, max_events, max(1, max_bytes // SIZE))
    assert len(ring) == kept
    assert ring.size == kept * SIZE
    if count:
        assert sequences(ring, start + count - kept - 1) == list(
            range(start + count - kept, start + count)
        )
