"""What the operations look like on the wire: calls to make, answers to read. Pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import httpx

from hookhub.client.models import HistoryGap, NewEvent, StoredEvent
from hookhub.client.retries import Call, json_of, not_hookhub
from hookhub.contracts.errors import ConfigError, ValidationFailed
from hookhub.contracts.events import Accepted, canonical_json

_TOKEN = re.compile(r"[!-~]+")
_JSON = {"Content-Type": "application/json"}

_KEY = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")
"""What can stand in a header, and is no longer than the hub keeps."""


def authorization(token: str) -> dict[str, str]:
    """The header that carries the token.

    Raises:
        ConfigError: the token cannot be one of hookhub's; it is not repeated in the message.
    """
    if not _TOKEN.fullmatch(token):
        raise ConfigError(
            "The token is empty or holds spaces or other characters that no token has; copy it "
            "again as `hookhub token create` printed it."
        )
    return {"Authorization": f"Bearer {token}"}


def send_call(event: NewEvent, idempotency_key: str | None) -> Call:
    """``POST /events``. Without an id or a key of the caller's, a key is made here, once, so that
    every try carries the same.

    Raises:
        ValidationFailed: the payload is not JSON, or the key cannot stand in a header.
    """
    headers = dict(_JSON)
    if idempotency_key is not None or event.id is None:
        headers |= _key_header(idempotency_key)
    content = canonical_json(event.members()).encode("ascii")
    return Call("POST", "/events", headers=headers, content=content)


def batch_call(events: Iterable[NewEvent | Mapping[str, Any]], idempotency_key: str | None) -> Call:
    """``POST /events/batch``, under a key that is the same on every try.

    Raises:
        ValidationFailed: an item is not an event or its payload is not JSON; names its index.
    """
    texts = [_batch_item(index, item) for index, item in enumerate(events)]
    headers = _JSON | _key_header(idempotency_key)
    content = f"[{', '.join(texts)}]".encode("ascii")
    return Call("POST", "/events/batch", headers=headers, content=content)


def _key_header(key: str | None) -> dict[str, str]:
    key = uuid.uuid4().hex if key is None else key
    if not _KEY.fullmatch(key):
        raise ValidationFailed(
            f"{key[:60]!r} cannot be an idempotency key; use 1 to 255 printable ASCII characters "
            "without a space at either end.",
            errors=[{"loc": ["header", "Idempotency-Key"], "msg": "not printable ASCII"}],
        )
    return {"Idempotency-Key": key}


def _batch_item(index: int, item: NewEvent | Mapping[str, Any]) -> str:
    event = item if isinstance(item, NewEvent) else _new_event(index, item)
    try:
        return canonical_json(event.members())
    except ValidationFailed as error:
        raise ValidationFailed(
            f"Event {index} of the batch: {error.detail}",
            errors=[{"loc": [index, *wrong["loc"]], "msg": wrong["msg"]} for wrong in error.errors],
        ) from None


def _new_event(index: int, item: Mapping[str, Any]) -> NewEvent:
    try:
        return NewEvent(**item)
    except TypeError:
        raise ValidationFailed(
            f"Event {index} of the batch is not an event; give type and payload, and if you like "
            "key, source and id, as a NewEvent or a mapping.",
            errors=[{"loc": [index], "msg": "not an event"}],
        ) from None


def page_call(after: str | None, types: Sequence[str], limit: int, *, newest: bool = False) -> Call:
    """``GET /events``: the page behind the cursor ``after``; with ``newest`` the last one."""
    params: dict[str, str | int] = {"limit": limit}
    if newest:
        params["newest"] = "true"
    if after is not None:
        params["after"] = after
    if types:
        params["events"] = ",".join(types)
    return Call("GET", "/events", params=params)


def event_types_call() -> Call:
    """``GET /event-types``."""
    return Call("GET", "/event-types")


def any_call(method: str, path: str, params: Mapping[str, Any], body: Any) -> Call:
    """Any operation of the REST API; what is None in ``params`` is left out.

    Raises:
        ValidationFailed: the body is not JSON-compatible.
    """
    texts = {name: _param(value) for name, value in params.items() if value is not None}
    content = None if body is None else canonical_json(body).encode("ascii")
    # RFC 9110 §9.2.2; the hub's PATCH says how things shall be, so it is idempotent as well.
    repeatable = method != "POST"
    headers = {} if body is None else _JSON
    return Call(method, path, texts, headers, content, repeatable)


def _param(value: Any) -> str | int:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, int) else str(value)


def read_any(response: httpx.Response) -> Any:
    """The answer to :func:`any_call`; None if it has no body."""
    return json_of(response) if response.content else None


def read_accepted(response: httpx.Response) -> Accepted:
    """The answer to :func:`send_call`."""
    return _accepted(response, json_of(response))


def read_batch(response: httpx.Response) -> list[Accepted]:
    """The answer to :func:`batch_call`, in the order sent."""
    return [_accepted(response, item) for item in read_items(response)]


def read_page(response: httpx.Response) -> tuple[list[StoredEvent], str, bool]:
    """The answer to :func:`page_call`: events, the cursor behind them, whether there are more.

    Raises:
        HistoryGap: events between the cursor and the page are gone.
    """
    document = json_of(response)
    try:
        gap = document.get("gap")
        if gap is not None:
            raise HistoryGap(gap["missed"])
        events = [StoredEvent.parse(item) for item in document["items"]]
        return events, document["cursor"], document["has_more"]
    except (KeyError, TypeError, AttributeError):
        raise not_hookhub(response) from None


def read_event_types(response: httpx.Response) -> list[dict[str, Any]]:
    """The answer to :func:`event_types_call`."""
    return cast("list[dict[str, Any]]", read_items(response))


def read_items(response: httpx.Response) -> list[Any]:
    """The items of a list, or of a page of one."""
    document = json_of(response)
    items = document.get("items") if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise not_hookhub(response)
    return items


def _accepted(response: httpx.Response, item: Any) -> Accepted:
    try:
        return Accepted(
            item["id"],
            item["sequence"],
            item["deliveries"],
            repeated=response.headers.get("idempotency-replayed") == "true",
        )
    except (KeyError, TypeError, AttributeError):
        raise not_hookhub(response) from None
