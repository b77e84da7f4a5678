"""What units will ask the database for, asked once for a whole group, together with the state row.

While one node holds that row, all others wait: a question of each unit's own would cost every
node a round trip. So whoever appends tells it beforehand (:class:`Appends`), and what can be found
out without the row is found out before it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from hookhub.contracts.events import OWN, Draft, Event
from hookhub.store.database import Reader, marks
from hookhub.store.subscriptions import ReadPayload, Subscription, Subscriptions

EVENT_COLUMNS = "sequence, id, type, payload, timestamp, key, source"
_PART = 1_000
"""Values that one statement looks for at most."""

Rows = Callable[[], list[tuple[Any, ...]]]


class Appends(NamedTuple):
    """What a unit is about to append."""

    drafts: Sequence[Draft]
    idempotency_key: str | None = None


class IdempotentRequest(NamedTuple):
    """What an idempotency key was used for."""

    key: str
    fingerprint: str
    result: str
    """How it was answered, as JSON."""


class Lookups:
    """What a group found out for its units before they run.

    Whatever a unit does by SQL of its own may change it: then it is to be forgotten.

    Args:
        subscriptions: as they were last known.
        appends: of all units.
    """

    def __init__(self, subscriptions: Subscriptions, appends: Sequence[Appends] = ()) -> None:
        self.generation = subscriptions.generation
        """Of the subscriptions by which it was found out who wants what."""
        self._wanting: dict[int, list[Subscription]] = {}
        self._events: dict[str, tuple[Event, int] | None] = {}
        self._requests: dict[str, IdempotentRequest | None] = {}
        self._busy: dict[tuple[int, str], bool] = {}
        self._asked: list[tuple[Callable[[tuple[Any, ...]], None], Rows]] = []
        for item in appends:
            if item.idempotency_key is not None:
                self._requests[item.idempotency_key] = None
            for draft in item.drafts:
                if draft.own_id:
                    self._events[draft.id] = None
                # Whatever is wrong with it is told when its unit runs.
                with suppress(Exception):
                    self._choose(subscriptions, draft)

    def _choose(self, subscriptions: Subscriptions, draft: Draft) -> None:
        to = subscriptions.matching(draft.type, draft.source == OWN)
        if any(item.filter is not None for item in to):
            to = self._wanting[id(draft)] = wanting(to, draft)
        if draft.key is not None:
            for item in to:
                if item.ordered:
                    self._busy[item.endpoint_id, draft.key] = False

    def ask(self, reader: Reader) -> None:
        """Send the questions; the answers may be had with :meth:`take`."""
        for ids in _parts(list(self._events)):
            text = f"SELECT {EVENT_COLUMNS}, deliveries FROM hookhub_events WHERE id "
            self._ask(reader, self._take_event, text + _among(reader, ids), _list(reader, ids))
        for keys in _parts(list(self._requests)):
            text = "SELECT key, fingerprint, result FROM hookhub_idempotency WHERE key "
            self._ask(reader, self._take_request, text + _among(reader, keys), _list(reader, keys))
        for pairs in _parts(list(self._busy)):
            rows = ", ".join(["(?, ?)"] * len(pairs))
            text = (
                f"WITH wanted (endpoint, key) AS (VALUES {rows}) SELECT endpoint, key FROM wanted "
                "WHERE EXISTS (SELECT 1 FROM hookhub_deliveries "
                "WHERE endpoint_id = endpoint AND order_key = key)"
            )
            self._ask(reader, self._take_busy, text, [value for pair in pairs for value in pair])

    def _ask(
        self,
        reader: Reader,
        take: Callable[[tuple[Any, ...]], None],
        text: str,
        params: Sequence[Any],
    ) -> None:
        self._asked.append((take, reader.ask(text, params)))

    def take(self) -> None:
        """Take the answers in."""
        for take, rows in self._asked:
            for row in rows():
                take(row)
        self._asked.clear()

    def _take_event(self, row: tuple[Any, ...]) -> None:
        self._events[row[1]] = Event(*row[:7]), row[7]

    def _take_request(self, row: tuple[Any, ...]) -> None:
        self._requests[row[0]] = IdempotentRequest(*row)

    def _take_busy(self, row: tuple[Any, ...]) -> None:
        self._busy[row[0], row[1]] = True

    def forget(self) -> None:
        """A unit may have changed what is in the database."""
        self._events.clear()
        self._requests.clear()
        self._busy.clear()

    def wanting(self, to: Sequence[Subscription], draft: Draft) -> Sequence[Subscription]:
        """Who of these wants this payload."""
        known = self._wanting.get(id(draft))
        return wanting(to, draft) if known is None else known

    def event(self, reader: Reader, event_id: str) -> tuple[Event, int] | None:
        """The committed event with this id, and the number of its deliveries."""
        if event_id not in self._events:
            text = f"SELECT {EVENT_COLUMNS}, deliveries FROM hookhub_events WHERE id = ?"
            rows = reader.sql(text, (event_id,))
            return (Event(*rows[0][:7]), rows[0][7]) if rows else None
        return self._events[event_id]

    def request(self, reader: Reader, key: str) -> IdempotentRequest | None:
        """What this idempotency key was used for."""
        if key not in self._requests:
            text = "SELECT key, fingerprint, result FROM hookhub_idempotency WHERE key = ?"
            rows = reader.sql(text, (key,))
            return IdempotentRequest(*rows[0]) if rows else None
        return self._requests[key]

    def is_busy(self, reader: Reader, endpoint_id: int, key: str) -> bool:
        """Whether a delivery of this key that is written already must end before the next."""
        if (endpoint_id, key) not in self._busy:
            text = (
                "SELECT 1 FROM hookhub_deliveries WHERE endpoint_id = ? AND order_key = ? LIMIT 1"
            )
            return bool(reader.sql(text, (endpoint_id, key)))
        return self._busy[endpoint_id, key]


def wanting(to: Sequence[Subscription], draft: Draft) -> list[Subscription]:
    """Who of these wants this payload."""
    payload = _lazily(draft.payload)
    return [item for item in to if item.wants(payload)]


def _lazily(text: str) -> ReadPayload:
    """The payload as objects, read once and only if a filter asks."""
    read: list[Any] = []

    def payload() -> Any:
        if not read:
            read.append(json.loads(text))
        return read[0]

    return payload


def _parts(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[at : at + _PART] for at in range(0, len(values), _PART))


# On PostgreSQL one statement whatever their number, so that it is prepared once.
def _among(reader: Reader, values: Sequence[str]) -> str:
    return f"IN ({marks(values)})" if reader.is_sqlite else "= ANY(?)"


def _list(reader: Reader, values: Sequence[str]) -> Sequence[Any]:
    return values if reader.is_sqlite else (list(values),)
