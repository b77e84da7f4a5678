"""Which events a reader of the feed wants: type patterns, each with a condition on the payload."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from hookhub.contracts.events import Event, type_matcher
from hookhub.contracts.sinks import Entry
from hookhub.filters import Filter

Select: TypeAlias = Callable[[Entry], bool]
"""Whether a reader wants an entry."""

Wanted: TypeAlias = Mapping[str, Filter | None]
"""Type pattern to what its events' payloads must match; None: whatever they hold."""

_NOT_ALL = object()


class Payloads:
    """The payloads of the events looked at last, parsed once for all who filter by them.

    Args:
        max_bytes: JSON text whose objects are kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: dict[int, dict[str, Any]] = {}
        self._sizes: dict[int, int] = {}
        self._bytes = 0
        self.parsed = 0
        """Bytes of JSON that were parsed so far."""

    def of(self, event: Event) -> dict[str, Any]:
        """The event's payload; to be read only."""
        found = self._kept.get(event.sequence)
        return self._parse(event) if found is None else found

    def clear(self) -> None:
        """Forget them."""
        self._kept.clear()
        self._sizes.clear()
        self._bytes = 0

    def _parse(self, event: Event) -> dict[str, Any]:
        payload, size = event.data(), len(event.payload)
        self.parsed += size
        while self._kept and self._bytes + size > self._max_bytes:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._bytes -= self._sizes.pop(oldest)
        if size <= self._max_bytes:
            self._kept[event.sequence], self._sizes[event.sequence] = payload, size
            self._bytes += size
        return payload


def selectors(payloads: Payloads) -> Callable[[Wanted], Select]:
    """Makes predicates; readers who want the same get the same one.

    Args:
        payloads: for those who filter by them.
    """
    made = lru_cache(maxsize=1024)(lambda items: selector(dict(items), payloads))
    return lambda wanted: made(frozenset(wanted.items()))


def selector(wanted: Wanted, payloads: Payloads) -> Select:
    """The predicate of a reader; an event is wanted if one of its patterns wants it.

    Conditions that say the same are tested once, and only where no pattern without one matches.
    """
    if wanted.get("*", _NOT_ALL) is None:
        return everything
    matches = type_matcher([pattern for pattern, where in wanted.items() if where is None])
    conditions = by_condition(wanted)
    if not conditions:
        return lambda entry: matches(entry.event.type)
    tests = [(type_matcher(patterns), where.matches) for where, patterns in conditions.items()]

    def select(entry: Entry) -> bool:
        event = entry.event
        if matches(event.type):
            return True
        for applies, holds in tests:  # noqa: SIM110 - half the cost of any() with a generator
            if applies(event.type) and holds(payloads.of(event)):
                return True
        return False

    return select


def everything(entry: Entry) -> bool:
    """The predicate of a reader who wants all there is."""
    return True


def by_condition(wanted: Wanted) -> dict[Filter, list[str]]:
    """The conditions with the patterns that have them."""
    found: dict[Filter, list[str]] = {}
    for pattern, where in wanted.items():
        if where is not None:
            found.setdefault(where, []).append(pattern)
    return found
