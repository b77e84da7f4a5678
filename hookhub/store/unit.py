"""Appending events: sequences, deliveries and counters of one group. Writer thread only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

import peewee

from hookhub.contracts.events import OWN, Accepted, Draft, Event
from hookhub.contracts.timestamps import check_timestamps
from hookhub.store.database import Reader, pipelined
from hookhub.store.epochs import (
    DELIVERIES_LEFT_OUT,
    HISTORY,
    NOTHING_SEEN,
    History,
    Seen,
    new_epoch,
)
from hookhub.store.lookups import Appends, IdempotentRequest, Lookups, Rows
from hookhub.store.notices import CHANNEL, Topic, due_notice
from hookhub.store.schema import HELD, PENDING
from hookhub.store.subscriptions import Subscription, Subscriptions, load_subscription

INSERT_EVENT = (
    "INSERT INTO hookhub_events (sequence, id, type, payload, timestamp, key, source, deliveries)"
)
INSERT_REQUEST = "INSERT INTO hookhub_idempotency (key, fingerprint, result, created_at)"
INSERT_DELIVERY = (
    "INSERT INTO hookhub_deliveries (id, endpoint_id, sequence, due_at, lease, order_key, "
    "created_at, next_retry_at, status)"
)


_event = partial(tuple.__new__, Event)
"""An event of its seven fields; what ``Event._make`` does, without a frame of Python's."""


class NewDelivery(NamedTuple):
    """A delivery that was committed together with its event."""

    id: int
    endpoint_id: int
    sequence: int
    due_at: int
    """Now; the end of the lease if it was handed over; never if it waits for its key."""
    lease: int | None = None
    """Set if it was committed as already claimed by this process's engine."""
    order_key: str | None = None


class HandOver(Protocol):
    """The engine, as the writer sees it: deliveries that it has room for are claimed at birth.

    That saves the claim's own transaction. All methods are called in the writer's thread.
    """

    def lease(self, now: int) -> tuple[int, int]:
        """The number of a new lease, and when it ends (microseconds)."""

    def takes(self, endpoint_id: int, more: int, now: int) -> bool:
        """Whether there is room for one more, ``more`` having been taken in this transaction."""

    def lost(self, lease: int) -> None:
        """Nobody knows whether what has this lease was committed: nobody will attempt it."""


class Mark(NamedTuple):
    """A point to go back to when a unit fails."""

    events: int
    deliveries: int
    requests: int
    sequence: int
    delivery: int
    endpoints_generation: int
    tokens_generation: int


@dataclass(slots=True)
class Group:
    """What the units of one transaction have appended so far."""

    subscriptions: Subscriptions
    hand_over: HandOver | None = None
    seen: Seen = NOTHING_SEEN
    """The newest event and delivery that this process knew of when the group began."""
    signature: str = ""
    """Names this process in the notice that it gives to others; empty: it gives none."""
    history: History | None = None
    begun: bool = False
    """Whether the group begins an epoch: the database has gone back."""
    events: list[Event] = field(default_factory=list)
    promised: list[int] = field(default_factory=list)
    """How many deliveries each of the events was committed with; an audit counts on it."""
    deliveries: list[NewDelivery] = field(default_factory=list)
    requests: list[IdempotentRequest] = field(default_factory=list)
    """Those with an idempotency key."""
    sequence: int = 0
    delivery: int = 0
    endpoints_generation: int = 0
    tokens_generation: int = 0
    locked: bool = False
    _lease: tuple[int, int] | None = None
    _taken: dict[int, int] = field(default_factory=dict)
    _flushed_events: int = 0
    _flushed_deliveries: int = 0
    _flushed_requests: int = 0
    _stored: tuple[int, int, int, int] = (0, 0, 0, 0)
    _state: Rows | None = None
    _lookups: Lookups = field(init=False)
    _positions: dict[str, int] = field(default_factory=dict)
    """Where events are in this group, by id; of those that were asked about so far."""

    def __post_init__(self) -> None:
        self._lookups = Lookups(self.subscriptions)

    def prepare(self, appends: Sequence[Appends]) -> None:
        """Find out what can be found out before the state row is taken."""
        self._lookups = Lookups(self.subscriptions, appends)

    def ask(self, reader: Reader) -> None:
        """Ask for the state row, before anything else, and for what the units will ask for."""
        self._state = reader.ask(
            f"SELECT {HISTORY}, endpoints_generation, tokens_generation "
            "FROM hookhub_state WHERE id = 1" + ("" if reader.is_sqlite else " FOR UPDATE"),
            (self.seen.sequence,),
        )
        self._lookups.ask(reader)

    def lock(self, reader: Reader) -> None:
        """Take the state row; see :mod:`hookhub.store.writer`."""
        if self._state is None:
            self.ask(reader)
        assert self._state is not None
        [row] = self._state()
        self._lookups.take()
        self.history = History(*row[:6])
        self.sequence, self.delivery = self.history.last, self.history.last_delivery
        self.endpoints_generation, self.tokens_generation = row[6:]
        self._stored = (self.sequence, *row[5:])
        self.locked = True
        self.begun = self.history.went_back(self.seen)
        if self.begun:
            self._begin_epoch(self.history, reader)

    def _begin_epoch(self, found: History, reader: Reader) -> None:
        number = max(found.number, self.seen.number) + 1
        self.history = found._replace(epoch=new_epoch(), number=number, begin=found.last)
        # Above what any node may have given out: the time keeps apart the epochs of two nodes that
        # begin one each, from the same copy, without having seen the other's.
        given = max(self.delivery, self.seen.delivery) + DELIVERIES_LEFT_OUT
        self.delivery = max(given, reader.now)
        # They may have changed as often as those that some node remembers, and be others.
        self.endpoints_generation = max(self.endpoints_generation + 1, reader.now)
        self.tokens_generation = max(self.tokens_generation + 1, reader.now)

    def now_seen(self) -> Seen:
        """What this process knows of once the group is committed."""
        delivery = max(self.seen.delivery, self.delivery)
        if self.history is None or not self.locked or not (self.events or self.begun):
            return self.seen._replace(delivery=delivery)
        last = self.events[-1].id if self.events else None
        return Seen(self.history.epoch, self.history.number, self.sequence, last, delivery)

    def require_lock(self) -> None:
        """Taken later, the state row could be waited for by two nodes that wait for each other.

        Raises:
            RuntimeError: this transaction began without it.
        """
        if not self.locked:
            raise RuntimeError("Whoever appends or locks must not be written with locks=False.")

    def append(self, reader: Reader, draft: Draft) -> Accepted:
        """Give the draft its sequence and its deliveries; rows are written by :meth:`flush`."""
        return self.append_all(reader, (draft,))[0]

    def append_all(self, reader: Reader, drafts: Sequence[Draft]) -> list[Accepted]:
        """The same for many; see :meth:`append`."""
        self.require_lock()
        if self.subscriptions.generation != self.endpoints_generation:
            assert self.history is not None
            self.subscriptions.load(reader, self.history.epoch, self.endpoints_generation)
        if self._lookups.generation != self.subscriptions.generation:
            self._lookups = Lookups(self.subscriptions)
        if not drafts:
            return []
        # Column by column: of a batch, each loop runs in C.
        ids, types, payloads, timestamps, keys, sources, _ = zip(*drafts, strict=True)
        check_timestamps(timestamps)
        sequences = range(self.sequence + 1, self.sequence + 1 + len(drafts))
        fields = zip(sequences, ids, types, payloads, timestamps, keys, sources, strict=True)
        self.events += map(_event, fields)
        wanted = {
            (kind, source): self.subscriptions.matching(kind, source == OWN)
            for kind, source in set(zip(types, sources, strict=True))
        }
        if any(wanted.values()):
            counts = [
                self._fan_out(reader, wanted[draft.type, draft.source], draft, sequence)
                for draft, sequence in zip(drafts, sequences, strict=True)
            ]
        else:
            counts = [0] * len(drafts)
        self.promised += counts
        self.sequence = sequences[-1]
        return list(map(Accepted, ids, sequences, counts))

    def _fan_out(
        self, reader: Reader, to: Sequence[Subscription], draft: Draft, sequence: int
    ) -> int:
        """Make a delivery for each of the subscriptions that wants this payload."""
        if any(item.filter is not None for item in to):
            to = self._lookups.wanting(to, draft)
        for subscription in to:
            self.delivery += 1
            item = self._deliver(reader, subscription, sequence, draft.key, self.hand_over)
            self.deliveries.append(item)
        return len(to)

    def replay(
        self, reader: Reader, to: Subscription, events: Sequence[tuple[int, str | None]]
    ) -> None:
        """Give events of the past (sequence and key) one more delivery each.

        They are never handed over to the engine at once: what is new goes first.
        """
        self.require_lock()
        for sequence, key in events:
            self.delivery += 1
            self.deliveries.append(self._deliver(reader, to, sequence, key, None))

    def _deliver(
        self,
        reader: Reader,
        to: Subscription,
        sequence: int,
        key: str | None,
        hand_over: HandOver | None,
    ) -> NewDelivery:
        now = reader.now
        endpoint = to.endpoint_id
        if to.ordered and key is not None:
            due = HELD if self._held(reader, endpoint, key) else now
            return NewDelivery(self.delivery, endpoint, sequence, due, None, key)
        if hand_over is not None:
            taken = self._taken.get(endpoint, 0)
            if hand_over.takes(endpoint, taken, now):
                self._taken[endpoint] = taken + 1
                self._lease = self._lease or hand_over.lease(now)
                lease, until = self._lease
                return NewDelivery(self.delivery, endpoint, sequence, until, lease)
        return NewDelivery(self.delivery, endpoint, sequence, now)

    def lost(self) -> int:
        """Nobody knows whether it was committed; returns how many deliveries were handed over."""
        if self.hand_over is not None and self._lease is not None:
            self.hand_over.lost(self._lease[0])
        return sum(self._taken.values())

    def _held(self, reader: Reader, endpoint: int, key: str) -> bool:
        """Whether an earlier delivery of this key must end first."""
        # Of those that are written already, the rows know what became of them in this group.
        for item in reversed(self.deliveries[self._flushed_deliveries :]):
            if item.order_key == key and item.endpoint_id == endpoint:
                return True
        return self._lookups.is_busy(reader, endpoint, key)

    def event(self, reader: Reader, event_id: str) -> tuple[Event, int] | None:
        """The event with this id, of this group or committed, and how many deliveries it has."""
        for position in range(len(self._positions), len(self.events)):
            self._positions[self.events[position].id] = position
        if event_id in self._positions:
            position = self._positions[event_id]
            return self.events[position], self.promised[position]
        return self._lookups.event(reader, event_id)

    def request(self, reader: Reader, key: str) -> IdempotentRequest | None:
        """What this idempotency key was used for, in this group or before."""
        for request in reversed(self.requests):
            if request.key == key:
                return request
        return self._lookups.request(reader, key)

    def forget(self) -> None:
        """A unit is about to do something by SQL of its own."""
        self._lookups.forget()

    def mark(self) -> Mark:
        """Remember where a unit starts."""
        return Mark(
            len(self.events),
            len(self.deliveries),
            len(self.requests),
            self.sequence,
            self.delivery,
            self.endpoints_generation,
            self.tokens_generation,
        )

    def back_to(self, mark: Mark) -> None:
        """Forget what a failed unit did; its savepoint is rolled back by the caller."""
        del self.events[mark.events :]
        del self.promised[mark.events :]
        del self.deliveries[mark.deliveries :]
        del self.requests[mark.requests :]
        self._positions.clear()
        self.sequence, self.delivery = mark.sequence, mark.delivery
        self.endpoints_generation = mark.endpoints_generation
        self.tokens_generation = mark.tokens_generation
        self._flushed_events = min(self._flushed_events, mark.events)
        self._flushed_deliveries = min(self._flushed_deliveries, mark.deliveries)
        self._flushed_requests = min(self._flushed_requests, mark.requests)
        # Another unit may have loaded subscriptions that this roll-back undoes.
        self.subscriptions.generation = -1

    @property
    def unwritten(self) -> bool:
        """Whether rows wait for :meth:`flush`."""
        return (
            self._flushed_events < len(self.events)
            or self._flushed_deliveries < len(self.deliveries)
            or self._flushed_requests < len(self.requests)
        )

    def flush(self, reader: Reader) -> None:
        """Write the rows appended since the last flush."""
        self._lookups.forget()
        with pipelined(reader.database):
            if self._flushed_events < len(self.events):
                start = self._flushed_events
                fresh = zip(self.events[start:], self.promised[start:], strict=True)
                reader.insert_rows(
                    INSERT_EVENT, [(*event, deliveries) for event, deliveries in fresh]
                )
                self._flushed_events = len(self.events)
            if self._flushed_deliveries < len(self.deliveries):
                now = reader.now
                rows = [
                    (*item, now, None if item.due_at == HELD else now, PENDING)
                    for item in self.deliveries[self._flushed_deliveries :]
                ]
                reader.insert_rows(INSERT_DELIVERY, rows)
                self._flushed_deliveries = len(self.deliveries)
            if self._flushed_requests < len(self.requests):
                fresh_requests = self.requests[self._flushed_requests :]
                reader.insert_rows(INSERT_REQUEST, [(*item, reader.now) for item in fresh_requests])
                self._flushed_requests = len(self.requests)

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
            notice = self._notice()
            reader.change(
                "UPDATE hookhub_state SET last_sequence = ?, last_delivery = ?, "
                "endpoints_generation = ?, tokens_generation = ? WHERE id = 1"
                + (f" RETURNING pg_notify('{CHANNEL}', ?)" if notice else ""),
                (*state, *notice),
            )
        if self.begun and self.history is not None:
            reader.change(
                "UPDATE hookhub_state SET epoch = ?, epoch_number = ?, epoch_begin = ? "
                "WHERE id = 1",
                self.history[:3],
            )
        for endpoint, sequence in self.subscriptions.left_out(self.events):
            reader.change(
                "UPDATE hookhub_endpoints SET missed_after = ? "
                "WHERE id = ? AND missed_after IS NULL",
                (sequence - 1, endpoint),
            )
        if self.deliveries:
            counts: dict[int, int] = {}
            for item in self.deliveries:
                counts[item.endpoint_id] = counts.get(item.endpoint_id, 0) + 1
            reader.many(
                "UPDATE hookhub_endpoints SET deliveries_total = deliveries_total + ? WHERE id = ?",
                [(number, endpoint) for endpoint, number in counts.items()],
            )

    def _notice(self) -> tuple[str, ...]:
        """What to tell the other nodes of, if anything."""
        _, _, endpoints, tokens = self._stored
        topics = {
            Topic.EVENTS: bool(self.events) or self.begun,
            Topic.ENDPOINTS: endpoints != self.endpoints_generation,
            Topic.TOKENS: tokens != self.tokens_generation,
        }
        named = [topic.value for topic, told in topics.items() if told]
        if due := {d.endpoint_id for d in self.deliveries if d.lease is None and d.due_at < HELD}:
            named.append(due_notice(due))
        return (" ".join((self.signature, *named)),) if self.signature and named else ()


class Transaction(Reader):
    """A unit of work's hands: everything done through it is committed together, or not at all."""

    def __init__(self, reader: Reader, group: Group) -> None:
        super().__init__(reader.database, reader.now, reader.box)
        self._reader = reader
        self._group = group

    @property
    def database(self) -> peewee.Database:
        """As every reader has it; whoever looks finds the rows of what was appended before."""
        self._group.forget()
        if self._group.unwritten:
            self._group.flush(self._reader)
        return self._database

    def append(self, draft: Draft) -> Accepted:
        """Append an event, with a pending delivery for each endpoint that wants its type.

        The event is seen by the live feed and the delivery engine only after the commit.

        Raises:
            ValidationFailed: its timestamp is none.
        """
        return self._group.append(self._reader, draft)

    def append_all(self, drafts: Sequence[Draft]) -> list[Accepted]:
        """The same for many, in this order; see :meth:`append`."""
        return self._group.append_all(self._reader, drafts)

    def replay(self, endpoint_id: int, events: Sequence[tuple[int, str | None]]) -> None:
        """Give events of the past (sequence and key) one more pending delivery each.

        The caller rings the engine after the commit.
        """
        self._group.replay(self, load_subscription(self, endpoint_id), events)
        self.many(
            "UPDATE hookhub_events SET replayed = replayed + 1, kept = CASE WHEN sequence < "
            "(SELECT counted_from FROM hookhub_state WHERE id = 1) THEN COALESCE(kept, 0) + 1 END "
            "WHERE sequence = ?",
            [(sequence,) for sequence, _ in events],
        )

    def lock(self) -> None:
        """Make sure that nobody else appends events until this transaction ends."""
        self._group.require_lock()

    def event(self, event_id: str) -> tuple[Event, int] | None:
        """The event with this id, committed or appended in this transaction, and the number of its
        deliveries."""
        return self._group.event(self._reader, event_id)

    def request(self, key: str) -> IdempotentRequest | None:
        """What this idempotency key was used for."""
        return self._group.request(self._reader, key)

    def remember(self, request: IdempotentRequest) -> None:
        """Keep what an idempotency key was used for."""
        self._group.require_lock()
        self._group.requests.append(request)

    def endpoints_changed(self, endpoint_id: int | None = None) -> None:
        """An endpoint (None: all) was made, changed or deleted: appends from here on must see it.

        Call it when its row is there.
        """
        self._group.require_lock()
        self._group.endpoints_generation += 1
        where, which = (" WHERE id = ?", (endpoint_id,)) if endpoint_id is not None else ("", ())
        generation = self._group.endpoints_generation
        self.change(f"UPDATE hookhub_endpoints SET generation = ?{where}", (generation, *which))

    def tokens_changed(self) -> None:
        """A token was made, revoked or deleted: every node must look again."""
        self._group.require_lock()
        self._group.tokens_generation += 1
