"""What several resources share: bodies, answers and the reading of small things."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import Field

from hookhub.config import EventsSettings
from hookhub.contracts.answers import PATTERNS, Time, patterns
from hookhub.contracts.errors import MalformedRequest
from hookhub.contracts.events import (
    EVENT_ID,
    KEY_MAX,
    OWN,
    SOURCE_MAX,
    Accepted,
    parse_json,
)
from hookhub.contracts.routes import (
    CURSOR,
    Answer,
    Body,
    BodyLimit,
    EventTypeName,
    Line,
    Request,
    wrong_field,
)
from hookhub.filters import Filter, compile_filter

ENVELOPE = 16 * 1024
"""Bytes of an event as it is sent beyond those of the largest payload: what stands around it."""
IDEMPOTENCY_KEY = "Idempotency-Key"
IDEMPOTENCY_KEY_MAX = 255

EventPatterns = Annotated[
    str | None,
    Field(
        None,
        description="Type patterns with commas between: `user.*,ticket.created`; all if left out",
        examples=["user.*,ticket.created"],
        json_schema_extra={"pattern": PATTERNS},
    ),
]

After = Annotated[
    str | None,
    Field(
        None,
        description="A cursor that an event, a page or the live feed gave you",
        json_schema_extra={"pattern": f"^{CURSOR}$"},
    ),
]


Where = Annotated[
    str | None,
    Field(
        None,
        description="A payload filter as JSON, as webhooks have them; see docs/filters",
        examples=['{"amount_kopeks": {"$gte": 100000}}'],
        json_schema_extra={"contentMediaType": "application/json"},
    ),
]

TicketParameter = Annotated[
    str | None,
    Field(None, description="A one-time ticket in place of a token: `POST /ws/ticket`"),
]


class PostedEvent(Body):
    """An event to accept; its time and place in the order are the hub's to give."""

    type: EventTypeName = Field(examples=["user.created"])
    payload: dict[str, Any] = Field(
        description="What happened; must fit the type's schema, see `GET /event-types`"
    )
    id: str | None = Field(
        None,
        pattern=f"^{EVENT_ID.pattern}$",
        description="The producer's own id; sending it again answers with the first event",
    )
    key: Line | None = Field(
        None,
        min_length=1,
        max_length=KEY_MAX,
        description="Events of one key are delivered in order",
    )
    source: Line | None = Field(
        None,
        min_length=1,
        max_length=SOURCE_MAX,
        description="Who says so; not the hub itself",
        json_schema_extra={"not": {"const": OWN}},
    )


class AcceptedEvent(Answer):
    """An event that is committed to disk, with all its deliveries."""

    id: str
    sequence: int = Field(description="Its place in the order of commits")
    deliveries: int = Field(description="How many subscriptions it goes to")


class EventItem(Answer):
    """A committed event."""

    type: str
    payload: dict[str, Any]
    timestamp: Time
    id: str
    sequence: int
    cursor: str = Field(description="Everything after this event follows this cursor")
    key: str | None = None
    source: str | None = None


def event_limit(settings: EventsSettings) -> BodyLimit:
    """The most that one event may have as it is sent, blanks and escapes included."""
    reason = f"[events] max_payload, and {ENVELOPE:,} for what is around the payload"
    return BodyLimit(settings.max_payload + ENVELOPE, reason)


def replay_headers(accepted: Sequence[Accepted]) -> dict[str, str]:
    """``Idempotency-Replayed: true`` on an answer that is that of an earlier, equal request."""
    return {"Idempotency-Replayed": "true"} if all(item.repeated for item in accepted) else {}


def accepted_json(accepted: Accepted) -> str:
    """An :class:`AcceptedEvent` as JSON text."""
    return (
        f'{{"id": "{accepted.id}", "sequence": {accepted.sequence}, '
        f'"deliveries": {accepted.deliveries}}}'
    )


def idempotency_key(request: Request) -> str | None:
    """The request's Idempotency-Key.

    Raises:
        ValidationFailed: it is empty, too long or not printable ASCII.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not (0 < len(key) <= IDEMPOTENCY_KEY_MAX and key.isascii() and key.isprintable()):
        raise wrong_field(
            f"{IDEMPOTENCY_KEY} must have 1 to {IDEMPOTENCY_KEY_MAX} printable ASCII characters.",
            "header",
            IDEMPOTENCY_KEY,
        )
    return key


def event_patterns(text: str | None) -> Iterable[str]:
    """The type patterns of an ``events`` parameter.

    Raises:
        ValidationFailed: one of them is none.
    """
    if text is None:
        return ("*",)
    return patterns(text, "events")


def payload_filter(text: str | None) -> Filter | None:
    """The payload filter of a ``where`` parameter.

    Raises:
        ValidationFailed: names what is wrong with it.
    """
    if text is None:
        return None
    try:
        spec = parse_json(text, "where:")
    except MalformedRequest as error:
        raise wrong_field(error.detail, "query", "where") from None
    return compile_filter(spec, ("query", "where"))
