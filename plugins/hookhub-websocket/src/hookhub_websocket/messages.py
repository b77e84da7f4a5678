"""What the two sides say to each other, as JSON texts. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hookhub.contracts.errors import FieldError, HookhubError, MalformedRequest
from hookhub.contracts.events import parse_json

ID_MAX = 128


class BadMessage(Exception):
    """A message of the client that was not understood; the connection lives on.

    Args:
        code: a stable word, the REST API's where it has one.
        message: a sentence for a person.
        id: the ``id`` of the client's message, if it had a good one.
        errors: the wrong members, each with its place.
    """

    def __init__(
        self,
        code: str,
        message: str,
        id: str | int | None = None,
        errors: Sequence[FieldError] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.id = id
        self.errors = list(errors)

    @classmethod
    def of(cls, error: HookhubError, id: str | int | None = None) -> BadMessage:
        """The same mistake as the REST API tells it."""
        return cls(error.code, error.detail, id, error.errors)


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """A message of the client, checked."""

    type: str
    """``ping``, ``subscribe``, ``unsubscribe``, ``resume`` or ``replay``."""
    id: str | int | None = None
    """Chosen by the client; the answer carries it."""
    events: list[str] | None = None
    where: Any = None
    """A payload filter as it was sent; None: no condition."""
    cursor: str | None = None
    since: str | None = None
    until: str | None = None


def parse_message(text: str) -> ClientMessage:
    """Read a message of the client.

    Raises:
        BadMessage: says what is wrong with it.
    """
    try:
        value = parse_json(text, "The message")
    except MalformedRequest as error:
        raise BadMessage(MalformedRequest.code, error.detail) from None
    if not isinstance(value, dict):
        raise BadMessage(MalformedRequest.code, "A message is a JSON object with a 'type'.")
    return _read_object(value, _read_id(value))


def _read_id(value: Mapping[str, Any]) -> str | int | None:
    found = value.get("id")
    if found is None:
        return None
    good = (isinstance(found, str) and len(found) <= ID_MAX) or (
        isinstance(found, int) and not isinstance(found, bool) and abs(found) < 2**63
    )
    if not good:
        raise BadMessage(
            "validation_failed", f"'id' is a string of up to {ID_MAX} characters or an integer."
        )
    return found  # type: ignore[no-any-return]


def _read_object(value: Mapping[str, Any], id: str | int | None) -> ClientMessage:
    kind = value.get("type")
    if kind == "ping":
        return ClientMessage("ping", id)
    if kind == "subscribe":
        events = _read_events(value, id, needed=True)
        return ClientMessage("subscribe", id, events=events, where=value.get("where"))
    if kind == "unsubscribe":
        return ClientMessage("unsubscribe", id, events=_read_events(value, id, needed=False))
    if kind == "resume":
        cursor = value.get("cursor", value.get("since"))
        if not isinstance(cursor, str):
            raise BadMessage("validation_failed", "'resume' needs a 'cursor' (a string).", id)
        return ClientMessage("resume", id, cursor=cursor)
    if kind == "replay":
        return _read_replay(value, id)
    shown = json.dumps(kind)[:60]
    raise BadMessage(
        "unknown_message_type",
        f"Unknown message type {shown}; send ping, subscribe, unsubscribe, resume or replay.",
        id,
    )


def _read_replay(value: Mapping[str, Any], id: str | int | None) -> ClientMessage:
    since, until = value.get("since"), value.get("until")
    if not isinstance(since, str) or not isinstance(until, str | None):
        raise BadMessage(
            "validation_failed",
            "'replay' needs 'since' and may have 'until': each a time or a cursor (strings).",
            id,
        )
    return ClientMessage("replay", id, since=since, until=until)


def _read_events(
    value: Mapping[str, Any], id: str | int | None, *, needed: bool
) -> list[str] | None:
    events = value.get("events")
    if events is None and not needed:
        return None
    if (
        not isinstance(events, list)
        or not events
        or not all(isinstance(item, str) for item in events)
    ):
        raise BadMessage(
            "validation_failed", "'events' is a list of type patterns such as ['user.*'].", id
        )
    return events


def _encode(id: str | int | None, **members: Any) -> bytes:
    if id is not None:
        members["id"] = id
    return json.dumps(members).encode("ascii")


def connection(cursor: str, events: list[str], where: Mapping[str, Any]) -> bytes:
    """The first message; the original's clients know its first three members, to the byte.

    Args:
        cursor: everything after it is sent on this connection.
        events: the patterns that are subscribed.
        where: pattern to the payload filter of those that have one.
    """
    return _encode(
        None,
        type="connection",
        status="connected",
        message="WebSocket connection established",
        cursor=cursor,
        events=events,
        **_where(where),
    )


def _where(where: Mapping[str, Any]) -> dict[str, Any]:
    return {"where": dict(where)} if where else {}


def pong(id: str | int | None = None) -> bytes:
    """The answer to ``{"type": "ping"}``."""
    return _encode(id, type="pong")


def subscribed(events: list[str], where: Mapping[str, Any], id: str | int | None = None) -> bytes:
    """The answer to ``subscribe`` and ``unsubscribe``: what is subscribed now."""
    return _encode(id, type="subscribed", events=events, **_where(where))


def resumed(replayed: int, cursor: str, id: str | int | None = None) -> bytes:
    """Everything up to ``cursor`` was sent, ``replayed`` events; from here on it is live."""
    return _encode(id, type="resumed", replayed=replayed, cursor=cursor)


def gap(missed: int | None, cursor: str, id: str | int | None = None) -> bytes:
    """Events are gone; the feed goes on after ``cursor``. ``missed`` is None if unknown."""
    return _encode(id, type="gap", missed=missed, cursor=cursor)


def replaying(since: str, until: str, complete: bool, id: str | int | None = None) -> bytes:
    """A replay begins: the events after ``since`` up to ``until`` (cursors) come once more.

    Args:
        complete: whether the history reaches back to what was asked for.
    """
    return _encode(id, type="replaying", since=since, until=until, complete=complete)


def replayed(count: int, complete: bool, id: str | int | None = None) -> bytes:
    """A replay is over; so many events were sent."""
    return _encode(id, type="replayed", replayed=count, complete=complete)


def dropped(count: int) -> bytes:
    """So many signals were left out here, because this client was behind."""
    return _encode(None, type="dropped", count=count)


def restarting(retry_after: float) -> bytes:
    """The hub stops; seconds to wait before the next attempt, different for each client."""
    return _encode(None, type="restarting", retry_after=retry_after)


def error(failure: BadMessage) -> bytes:
    """A message was not understood."""
    errors = {"errors": failure.errors} if failure.errors else {}
    return _encode(failure.id, type="error", code=failure.code, message=failure.message, **errors)
