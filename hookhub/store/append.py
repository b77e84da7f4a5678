"""Appending events: sequences, deliveries and counters of one group. Writer thread only."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from hookhub.events import Accepted, Draft, Event, type_matcher
from hookhub.store.database import Reader

INSERT_EVENT = (
    "INSERT INTO hookhub_events (sequence, id, type, payload, timestamp, key, source) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
INSERT_DELIVERY = (
    "INSERT INTO hookhub_deliveries (id, endpoint_id, sequence, status, due_at, created_at, "
    "next_retry_at) VALUES (?, ?, ?, 0, ?, ?, ?)"
)


class NewDelivery(NamedTuple):
    """A delivery that was committed together with its event."""

    id: int
    endpoint_id: int
    sequence: int


class Subscriptions:
    """Which endpoints want which types; kept by the writer, reloaded when they change."""

    def __init__(self) -> None:
        self.generation = -1
        self._matchers: list[tuple[int, Callable[[str], bool]]] = []
        self._by_type: dict[str, list[int]] = {}

    def load(self, reader: Reader, generation: int) -> None:
        """Read the active endpoints."""
        rows = reader.sql(
            "SELECT id, event_types FROM hookhub_endpoints "
            "WHERE deleted_at IS NULL AND is_active ORDER BY id"
        )
        self._matchers = [(row[0], type_matcher(json.loads(row[1]))) for row in rows]
        self._by_type = {}
        self.generation = generation

    def matching(self, event_type: str) -> list[int]:
        """The ids of the endpoints that want this type."""
        found = self._by_type.get(event_type)
        if found is None:
            found = [endpoint for endpoint, matches in self._matchers if matches(event_type)]
            self._by_type[event_type] = found
        return found


class Mark(NamedTuple):
    """A point to go back to when a unit fails."""

    events: int
    deliveries: int
    sequence: int
    delivery: int
    endpoints_generation: int
    tokens_generation: int


@dataclass(slots=True)
class Group:
    """What the units of one transaction have appended so far."""

    subscriptions: Subscriptions
    events: list[Event] = field(default_factory=list)
    deliveries: list[NewDelivery] = field(default_factory=list)
    sequence: int = 0
    delivery: int = 0
    endpoints_generation: int = 0
    tokens_generation: int = 0
    locked: bool = False
    _flushed_events: int = 0
    _flushed_deliveries: int = 0
    _stored: tuple[int, int, int, int] = (0, 0, 0, 0)

    def lock(self, reader: Reader) -> None:
        """Take the state row: from here on nobody else appends until this transaction ends."""
        if self.locked:
            return
        row = reader.sql(
            "SELECT last_sequence, last_delivery, endpoints_generation, tokens_generation "
            "FROM hookhub_state WHERE id = 1" + ("" if reader.is_sqlite else " FOR UPDATE")
        )[0]
        self.sequence, self.delivery, self.endpoints_generation, self.tokens_generation = row
        self._stored = (row[0], row[1], row[2], row[3])
        self.locked = True

    def append(self, reader: Reader, draft: Draft) -> Accepted:
        """Give the draft its sequence and its deliveries; rows are written by :meth:`flush`."""
        self.lock(reader)
        if self.subscriptions.generation != self.endpoints_generation:
            self.subscriptions.load(reader, self.endpoints_generation)
        self.sequence += 1
        sequence = self.sequence
        self.events.append(Event(sequence, *draft[:6]))
        endpoints = self.subscriptions.matching(draft.type)
        for endpoint in endpoints:
            self.delivery += 1
            self.deliveries.append(NewDelivery(self.delivery, endpoint, sequence))
        return Accepted(draft.id, sequence, len(endpoints))

    def mark(self) -> Mark:
        """Remember where a unit starts."""
        return Mark(
            len(self.events),
            len(self.deliveries),
            self.sequence,
            self.delivery,
            self.endpoints_generation,
            self.tokens_generation,
        )

    def back_to(self, mark: Mark) -> None:
        """Forget what a failed unit did; its savepoint is rolled back by the caller."""
        del self.events[mark.events :]
        del self.deliveries[mark.deliveries :]
        self.sequence, self.delivery = mark.sequence, mark.delivery
        self.endpoints_generation = mark.endpoints_generation
        self.tokens_generation = mark.tokens_generation
        self._flushed_events = min(self._flushed_events, mark.events)
        self._flushed_deliveries = min(self._flushed_deliveries, mark.deliveries)
        # Another unit may have loaded subscriptions that this roll-back undoes.
        self.subscriptions.generation = -1

    def flush(self, reader: Reader) -> None:
        """Write the rows appended since the last flush."""
        if self._flushed_events < len(self.events):
            fresh = self.events[self._flushed_events :]
            reader.many(INSERT_EVENT, fresh)
            self._flushed_events = len(self.events)
        if self._flushed_deliveries < len(self.deliveries):
            now = reader.now
            rows = [
                (item.id, item.endpoint_id, item.sequence, now, now, now)
                for item in self.deliveries[self._flushed_deliveries :]
            ]
            reader.many(INSERT_DELIVERY, rows)
            self._flushed_deliveries = len(self.deliveries)

    def finish(self, reader: Reader) -> None:
        """Write the counters, once for the whole group, just before the commit."""
        if not self.locked:
            return
        state = (
            self.sequence,
            self.delivery,
            self.endpoints_generation,
            self.tokens_generation,
        )
        if state != self._stored:
            reader.change(
                "UPDATE hookhub_state SET last_sequence = ?, last_delivery = ?, "
                "endpoints_generation = ?, tokens_generation = ? WHERE id = 1",
                state,
            )
        if self.deliveries:
            counts: dict[int, int] = {}
            for item in self.deliveries:
                counts[item.endpoint_id] = counts.get(item.endpoint_id, 0) + 1
            reader.many(
                "UPDATE hookhub_endpoints SET deliveries_total = deliveries_total + ? WHERE id = ?",
                [(number, endpoint) for endpoint, number in counts.items()],
            )


class Transaction(Reader):
    """A unit of work's hands: everything done through it is committed together, or not at all."""

    def __init__(self, reader: Reader, group: Group) -> None:
        super().__init__(reader.database, reader.now)
        self._group = group

    def append(self, draft: Draft) -> Accepted:
        """Append an event, with a pending delivery for each endpoint that wants its type.

        The event is seen by the live feed and the delivery engine only after the commit.
        """
        return self._group.append(self, draft)

    def event_in_group(self, event_id: str) -> Event | None:
        """An event with this id appended in this transaction whose row may not be written yet."""
        for event in reversed(self._group.events):
            if event.id == event_id:
                return event
        return None

    def endpoints_changed(self) -> None:
        """An endpoint was made, changed or deleted: appends from here on must see it."""
        self._group.lock(self)
        self._group.endpoints_generation += 1

    def tokens_changed(self) -> None:
        """A token was made, revoked or deleted: every node must look again."""
        self._group.lock(self)
        self._group.tokens_generation += 1
