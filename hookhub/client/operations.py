"""What a program can do with a hub: which calls to make, and what their answers say. Pure.

Each operation is a generator: it gives the calls, takes the answers, and returns the result. Both
clients are made of these; see :mod:`hookhub.client.clients`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import httpx

from hookhub.client.models import HistoryGap, NewEvent, StoredEvent
from hookhub.client.retries import Call, json_of, not_hookhub
from hookhub.contracts.errors import InvalidCursor, ValidationFailed
from hookhub.contracts.events import Accepted, Cursor, canonical_json, parse_timestamp

T = TypeVar("T")
Steps: TypeAlias = Generator[Call, httpx.Response, T]
"""Gives the calls to make one by one, and returns the result."""
ListSteps: TypeAlias = Generator[tuple[list[T], Call | None], httpx.Response, None]
"""Gives what the last answer held, and the call to make next; None at the end."""

_JSON = {"Content-Type": "application/json"}
_KEY = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")
"""What can stand in a header, and is no longer than the hub keeps."""


def send(
    type: str,
    payload: Mapping[str, Any],
    *,
    key: str | None = None,
    source: str | None = None,
    id: str | None = None,
    idempotency_key: str | None = None,
) -> Steps[Accepted]:
    """Send one event; when this returns, the event is on the hub's disk.

    Args:
        type: a type that the hub knows: ``user.created``.
        payload: JSON-compatible members, as the type's schema has them.
        key: ordering key; events of one key keep their order.
        source: who says so.
        id: the producer's own event id; a repeat is answered with the first event.
        idempotency_key: remembered by the hub; a repeat is answered with the first event.

    Raises:
        UnknownEventType, ValidationFailed, PayloadTooLarge: the hub refuses the event.
        IdempotencyMismatch: the id or key was used before with another body.
        Unauthorized, Forbidden: the token is not good, or not for this.
        Unavailable: no answer in time, or the hub is starting or stopping.
    """
    headers = dict(_JSON)
    if idempotency_key is not None or id is None:
        headers |= _key_header(idempotency_key)
    content = canonical_json(NewEvent(type, payload, key, source, id).members()).encode("ascii")
    response = yield Call("POST", "/events", headers=headers, content=content)
    return _accepted(response, json_of(response))


def send_many(
    events: Iterable[NewEvent | Mapping[str, Any]], *, idempotency_key: str | None = None
) -> Steps[list[Accepted]]:
    """Send many events at once, all or none, in one transaction of the hub.

    Args:
        events: each a :class:`NewEvent` or a mapping with ``type`` and ``payload``, perhaps
            ``key``, ``source`` and ``id``. The hub limits how many (10,000 by default).
        idempotency_key: of the whole batch; a repeat is answered with the first batch.

    Raises:
        ValidationFailed: names every bad item by its index; none is stored.
        HookhubError: as :meth:`send`.
    """
    texts = [_batch_item(index, item) for index, item in enumerate(events)]
    headers = _JSON | _key_header(idempotency_key)
    content = f"[{', '.join(texts)}]".encode("ascii")
    response = yield Call("POST", "/events/batch", headers=headers, content=content)
    return [_accepted(response, item) for item in _items_of(response)]


def _key_header(key: str | None) -> dict[str, str]:
    """Without a key of the caller's, one is made here, once, so that every try carries the same."""
    key = uuid.uuid4().hex if key is None else key
    if not _KEY.fullmatch(key):
        raise ValidationFailed(
            f"{key[:60]!r} cannot be an idempotency key; use 1 to 255 printable ASCII characters "
            "without a space at either end.",
            errors=[{"loc": ["header", "Idempotency-Key"], "msg": "not printable ASCII"}],
        )
    return {"Idempotency-Key": key}


def _batch_item(index: int, item: NewEvent | Mapping[str, Any]) -> str:
    try:
        event = item if isinstance(item, NewEvent) else NewEvent(**item)
    except TypeError:
        raise ValidationFailed(
            f"Event {index} of the batch is not an event; give type and payload, and if you like "
            "key, source and id, as a NewEvent or a mapping.",
            errors=[{"loc": [index], "msg": "not an event"}],
        ) from None
    try:
        return canonical_json(event.members())
    except ValidationFailed as error:
        raise ValidationFailed(
            f"Event {index} of the batch: {error.detail}",
            errors=[{"loc": [index, *wrong["loc"]], "msg": wrong["msg"]} for wrong in error.errors],
        ) from None


def events(
    after: str | None = None, *, types: Sequence[str] = (), page: int = 200
) -> ListSteps[StoredEvent]:
    """The history behind a cursor, up to its end at this moment, page by page.

    Args:
        after: a cursor; None starts at the oldest event that is kept.
        types: type patterns (``user.*``); none for all.
        page: events to ask for at once.

    Raises:
        InvalidCursor: not a cursor.
        HistoryGap: events behind the cursor are no longer kept.
        HookhubError: as :meth:`send`.
    """
    found: list[StoredEvent] = []
    more = True
    while more:
        query = {"limit": page, "after": after, "events": ",".join(types) or None}
        response = yield found, _call("GET", "/events", query)
        document = json_of(response)
        try:
            gap = document.get("gap")
            if gap is not None:
                raise HistoryGap(gap["missed"])
            found = [StoredEvent.parse(item) for item in document["items"]]
            after, more = document["cursor"], document["has_more"]
        except (KeyError, TypeError, AttributeError):
            raise not_hookhub(response) from None
    yield found, None


def event_types() -> Steps[list[dict[str, Any]]]:
    """The types that the hub knows, each with description, example and JSON Schema."""
    return _items_of((yield _call("GET", "/event-types")))


def cursor_at(time: int) -> Steps[str]:
    """The cursor behind which the events of a time and later are.

    Found by halving, as the events' times grow with their cursors (but for producers' clocks):
    about 20 small requests for a million events.

    Args:
        time: microseconds since 1970.

    Raises:
        HookhubError: as :meth:`send`.
    """
    event, end = _one_event((yield _call("GET", "/events", {"limit": 1, "newest": True})))
    # The event that is looked for follows one of the sequences low to high.
    low, high = 0, end.sequence
    if event is not None and parse_timestamp(event["timestamp"]) < time:
        low = high
    while low < high:
        middle = (low + high) // 2
        query = {"limit": 1, "after": str(Cursor(end.epoch, middle))}
        event, _ = _one_event((yield _call("GET", "/events", query)))
        if event is not None and parse_timestamp(event["timestamp"]) < time:
            # Sequences before it may be gone; all of them are older.
            low = min(max(middle + 1, event["sequence"]), high)
        else:
            high = middle
    return str(Cursor(end.epoch, low))


def _one_event(response: httpx.Response) -> tuple[dict[str, Any] | None, Cursor]:
    document = json_of(response)
    try:
        return next(iter(document["items"]), None), Cursor.parse(document["cursor"])
    except (KeyError, TypeError, AttributeError, InvalidCursor):
        raise not_hookhub(response) from None


def call(
    method: str, path: str, *, params: Mapping[str, Any] | None = None, body: Any = None
) -> Steps[Any]:
    """Any other operation of the REST API.

    Unlike :meth:`send`, a ``POST`` is tried again only if it is certain that the hub did not
    take it.

    Args:
        method: ``GET``, ``POST``, ``PATCH`` or ``DELETE``.
        path: as the REST API names it, from ``/`` on.
        params: the query; None in it is left out.
        body: JSON-compatible.

    Returns:
        The answer's JSON; None if it has none.

    Raises:
        HookhubError: the hub refused, or as :meth:`send`.
    """
    response = yield _call(method, path, params or {}, body)
    return json_of(response) if response.content else None


def items(path: str, params: Mapping[str, Any] | None = None, *, page: int = 200) -> ListSteps[Any]:
    """All items of a list of the REST API, page by page.

    A list that answers with ``next`` is followed by it, to its end.

    Args:
        path: ``/webhooks``, ``/tokens`` …
        params: the query, without ``limit`` and ``offset``.
        page: items to ask for at once.

    Raises:
        HookhubError: as :meth:`call`.
    """
    query = {**(params or {}), "limit": page}
    found: list[Any] = []
    seen, more = 0, True
    while more:
        response = yield found, _call("GET", path, query)
        found, document = _items_of(response), json_of(response)
        seen += len(found)
        # With ``next``, pages may be short or empty before the end, whatever ``total`` says.
        if "next" in document:
            more = document["next"] is not None
            if more:
                query["before"] = _before(response, document["next"], query.get("before"))
        else:
            total = document.get("total")
            more = bool(found) and isinstance(total, int) and seen < total
            query["offset"] = seen
    yield found, None


def _before(response: httpx.Response, given: Any, last: Any) -> int:
    if not isinstance(given, int) or (last is not None and given >= int(last)):
        # A list that does not move on would never end.
        raise not_hookhub(response)
    return given


def _call(method: str, path: str, params: Mapping[str, Any] = {}, body: Any = None) -> Call:
    texts = {name: _param(value) for name, value in params.items() if value is not None}
    content = None if body is None else canonical_json(body).encode("ascii")
    # RFC 9110 §9.2.2; the hub's PATCH says how things shall be, so it is idempotent as well.
    repeatable = method != "POST"
    return Call(method, path, texts, {} if body is None else _JSON, content, repeatable)


def _param(value: Any) -> str | int:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, int) else str(value)


def _items_of(response: httpx.Response) -> list[Any]:
    document = json_of(response)
    found = document.get("items") if isinstance(document, dict) else None
    if not isinstance(found, list):
        raise not_hookhub(response)
    return found


def _accepted(response: httpx.Response, item: Any) -> Accepted:
    repeated = response.headers.get("idempotency-replayed") == "true"
    try:
        return Accepted(item["id"], item["sequence"], item["deliveries"], repeated=repeated)
    except (KeyError, TypeError, AttributeError):
        raise not_hookhub(response) from None
