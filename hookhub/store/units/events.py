"""Units of work about events: accepting them, the outbox table, and reading the history."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hookhub.contracts.errors import HookhubError, IdempotencyMismatch, NotFound, StoreUnavailable
from hookhub.contracts.events import Accepted, Draft, Event
from hookhub.store.database import Reader, marks
from hookhub.store.epochs import History, Seen, read_history
from hookhub.store.lookups import IdempotentRequest
from hookhub.store.unit import Transaction

_TEXTS = ("id", "type", "payload", "key", "source")


def fingerprint(drafts: Sequence[Draft]) -> str:
    """A hash of what the producer sent, for telling a repeat from another request."""
    digest = hashlib.sha256()
    for draft in drafts:
        own_id = draft.id if draft.own_id else None
        parts = [own_id, draft.type, draft.payload, draft.key, draft.source]
        digest.update(json.dumps(parts).encode())
    return digest.hexdigest()


def accept(
    tx: Transaction, drafts: Sequence[Draft], idempotency_key: str | None = None
) -> list[Accepted]:
    """Append events, or answer a repeat as its first time was answered.

    Raises:
        IdempotencyMismatch: the key, or an event's own id, was used with other contents.
    """
    if idempotency_key is None:
        return _append_all(tx, drafts)
    print_ = fingerprint(drafts)
    before = tx.request(idempotency_key)
    if before is not None:
        if before.fingerprint != print_:
            raise IdempotencyMismatch(
                "This Idempotency-Key was used before with another body; send the same body to "
                "repeat a request, or a new key for a new one.",
                errors=[{"loc": ["Idempotency-Key"], "msg": "used with another body"}],
            )
        return [Accepted(*item, repeated=True) for item in json.loads(before.result)]
    accepted = _append_all(tx, drafts)
    result = json.dumps([[item.id, item.sequence, item.deliveries] for item in accepted])
    tx.remember(IdempotentRequest(idempotency_key, print_, result))
    return accepted


def _append_all(tx: Transaction, drafts: Sequence[Draft]) -> list[Accepted]:
    own = [draft.id for draft in drafts if draft.own_id]
    if len(set(own)) < len(own):
        # Of two with the same id the second is a repeat of the first.
        return [accepted for draft in drafts for accepted in _append_all(tx, [draft])]
    repeated = {draft.id: _repeat(tx, draft) for draft in drafts if draft.own_id}
    fresh = [draft for draft in drafts if repeated.get(draft.id) is None]
    accepted = iter(tx.append_all(fresh))
    return [repeated.get(draft.id) or next(accepted) for draft in drafts]


def _repeat(tx: Transaction, draft: Draft) -> Accepted | None:
    """How an event with this id of its producer's was answered; None if there is none."""
    found = tx.event(draft.id)
    if found is None:
        return None
    first, deliveries = found
    if (first.type, first.payload, first.key, first.source) != (
        draft.type,
        draft.payload,
        draft.key,
        draft.source,
    ):
        raise IdempotencyMismatch(
            f"The event id {draft.id!r} was used before with other contents; repeat the same "
            "event, or give the new one an id of its own.",
            errors=[{"loc": ["id"], "msg": "used with other contents"}],
        )
    return Accepted(first.id, first.sequence, deliveries, repeated=True)


def outbox_waiting(reader: Reader) -> bool:
    """Whether another program has put an event into ``hookhub_outbox``."""
    return bool(reader.sql("SELECT 1 FROM hookhub_outbox WHERE error IS NULL LIMIT 1"))


class OutboxItem(NamedTuple):
    """A row of ``hookhub_outbox``, read as text."""

    id: int
    type: str
    payload: str
    key: str | None
    source: str | None
    event_id: str | None


def _waiting_rows(tx: Transaction, limit: int) -> list[tuple[Any, ...]]:
    names = ("type", "payload", "key", "source", "event_id")
    columns = as_bytes(tx, names)
    return tx.sql(
        f"SELECT id, {columns} FROM hookhub_outbox WHERE error IS NULL "
        f"ORDER BY id LIMIT ?{tx.skip_locked}",
        (limit,),
    )


def _outbox_item(raw: tuple[Any, ...]) -> OutboxItem:
    texts = [item.decode("utf-8") if isinstance(item, bytes) else item for item in raw[1:]]
    return OutboxItem(raw[0], *texts)


def relay_outbox(
    tx: Transaction, draft: Callable[[OutboxItem], Draft], limit: int = 500
) -> tuple[int, list[tuple[int, str]]]:
    """Turn waiting outbox rows into events.

    A row that cannot become an event stays, with the reason in ``error``; it holds back no other.

    Args:
        draft: makes a checked draft of a row.

    Returns:
        how many rows were taken, and the rejected ones as (id, reason).
    """
    taken: list[int] = []
    rejected: list[tuple[int, str]] = []
    for raw in _waiting_rows(tx, limit):
        try:
            accept(tx, [draft(_outbox_item(raw))])
        except StoreUnavailable:
            raise
        except HookhubError as error:
            found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors)
            rejected.append((raw[0], error.detail + (f" ({found})" if found else "")))
        except (TypeError, ValueError, RecursionError) as error:
            rejected.append((raw[0], f"The row cannot be read: {error}"))
        else:
            taken.append(raw[0])
    if taken:
        tx.change(f"DELETE FROM hookhub_outbox WHERE id IN ({marks(taken)})", taken)
    for row_id, reason in rejected:
        # PostgreSQL's text holds neither NUL nor halves of surrogate pairs.
        shown = reason.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
        tx.update("hookhub_outbox", row_id, {"error": shown})
    return len(taken), rejected


# -- reading rows whose texts another program may have written -------------------------------


def as_bytes(reader: Reader, names: Sequence[str]) -> str:
    """Columns of text for a SELECT: bytes on SQLite.

    It keeps whatever bytes a program puts into a text column, and its driver would refuse the whole
    answer for one row that is not UTF-8. As bytes, each row is read by itself.
    """
    return ", ".join(f"CAST({name} AS BLOB)" if reader.is_sqlite else name for name in names)


def event_rows(reader: Reader, rest: str, params: Sequence[Any]) -> list[Event]:
    """The events that a query finds.

    What is not UTF-8 becomes text with halves of surrogate pairs, so that the event cannot be
    encoded: :meth:`hookhub.contracts.events.Event.encode` refuses it.

    Args:
        rest: of the query, from WHERE on.
    """
    columns = f"sequence, timestamp, {as_bytes(reader, _TEXTS)}"
    events = []
    for sequence, moment, *texts in reader.sql(
        f"SELECT {columns} FROM hookhub_events {rest}", params
    ):
        if reader.is_sqlite:
            texts = [
                None if text is None else text.decode("utf-8", "surrogateescape") for text in texts
            ]
        id, type, payload, key, source = texts
        events.append(Event(sequence, id, type, payload, moment, key, source))
    return events


# -- the history ----------------------------------------------------------------------------


def get_event(reader: Reader, event_id: str) -> Event:
    """The event with this id.

    Raises:
        NotFound: there is none.
    """
    found = event_rows(reader, "WHERE id = ?", (event_id,))
    if not found:
        raise NotFound(f"There is no event {event_id[:80]!r}; GET /events lists what is kept.")
    return found[0]


def sequence_of(reader: Reader, event_id: str) -> int | None:
    """The sequence of the event with this id; None if there is none."""
    rows = reader.sql("SELECT sequence FROM hookhub_events WHERE id = ?", (event_id,))
    return rows[0][0] if rows else None


def read_events(reader: Reader, after: int, limit: int) -> list[Event]:
    """Events after a sequence, in order; what is older than the history is left out.

    Such an event may still have a row, because a delivery of it has.
    """
    return event_rows(
        reader,
        "WHERE sequence > ? AND sequence >= (SELECT events_from FROM hookhub_state) "
        "ORDER BY sequence LIMIT ?",
        (after, limit),
    )


class News(NamedTuple):
    """What a process that shows the history has to know of it."""

    history: History
    start: int
    """What is kept begins with this sequence or a later one."""
    events: list[Event]
    """The next ones; none in another epoch."""


def read_news(reader: Reader, seen: Seen, limit: int) -> News:
    """What followed the newest event seen, what is gone, and whether it is the same history."""
    history = read_history(reader, seen.sequence)
    start = reader.sql("SELECT events_from FROM hookhub_state")[0][0]
    same = history.epoch == seen.epoch and not history.went_back(seen)
    return News(history, start, read_events(reader, seen.sequence, limit) if same else [])


def history_bounds(reader: Reader) -> tuple[int, int]:
    """The sequences of the oldest kept event (0: none is kept) and of the last one ever."""
    rows = reader.sql("SELECT events_from, last_sequence FROM hookhub_state")
    start, last = rows[0]
    rows = reader.sql("SELECT MIN(sequence) FROM hookhub_events WHERE sequence >= ?", (start,))
    return rows[0][0] or 0, last


def first_at_or_after(reader: Reader, moment: int) -> int:
    """The sequence of the first kept event with this time (microseconds) or a later one.

    Times follow the order of commits except where a clock was set back; there, some event at
    which they cross this moment is found. One after the last event if all are earlier.
    """
    oldest, last = history_bounds(reader)
    query = (
        "SELECT sequence, timestamp FROM hookhub_events WHERE sequence >= ? "
        "ORDER BY sequence LIMIT 1"
    )
    return first_of_time(reader, query, oldest or last + 1, last + 1, moment)


def first_of_time(reader: Reader, query: str, low: int, high: int, moment: int) -> int:
    """The number of the first row, from ``low`` on, of this time or a later one; ``high`` if none.

    Args:
        query: finds the number and the time of the first row from a number on.
    """
    while low < high:
        middle = (low + high) // 2
        rows = reader.sql(query, (middle,))
        if not rows or rows[0][1] >= moment:
            high = middle
        else:
            low = rows[0][0] + 1
    return low
