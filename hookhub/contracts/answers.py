"""Deliveries and replays over REST: what lists of them can be asked for, and how they are shown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field

from hookhub.contracts.deliveries import (
    Delivery,
    DeliveryFilter,
    DeliveryStatus,
    Replay,
    ReplayChoice,
    ReplayState,
)
from hookhub.contracts.events import (
    EVENT_ID,
    TYPE_PATTERN,
    check_pattern,
    format_timestamp,
    parse_timestamp,
)
from hookhub.contracts.routes import ID_MAX, RFC_3339, Answer, Line, Query, wrong_field

PATTERNS = f"^(?:{TYPE_PATTERN.pattern})(?: *, *(?:{TYPE_PATTERN.pattern}))*$"
"""Type patterns with commas between, for the documentation."""

_TIME: dict[str, Any] = {"format": "date-time", "pattern": f"^{RFC_3339}$"}


class DeliverySearch(Query):
    """Which deliveries to list."""

    status: DeliveryStatus | None = None
    event_type: str | None = Field(
        None,
        description="Type patterns with commas between: `user.*,ticket.created`",
        json_schema_extra={"pattern": PATTERNS},
    )
    event_id: str | None = Field(None, pattern=f"^{EVENT_ID.pattern}$", description="Of this event")
    since: Line | None = Field(
        None,
        description="Committed at this time (RFC 3339) or later",
        json_schema_extra=_TIME,
    )
    until: Line | None = Field(
        None, description="Committed before this time", json_schema_extra=_TIME
    )
    before: int | None = Field(
        None, ge=1, le=ID_MAX, description="Only smaller ids: `next` of the page before"
    )

    def filter(self, endpoint_id: int | None) -> DeliveryFilter:
        """As the store takes it.

        Raises:
            ValidationFailed: a time or a pattern is none.
        """
        return DeliveryFilter(
            endpoint_id=endpoint_id,
            status=self.status,
            event_types=None if self.event_type is None else tuple(patterns(self.event_type)),
            event_id=self.event_id,
            since=moment("since", self.since),
            until=moment("until", self.until),
        )


def patterns(text: str, name: str = "event_type") -> Iterable[str]:
    """The type patterns of a parameter, with commas between. Raises ValidationFailed."""
    try:
        return [check_pattern(item.strip()) for item in text.split(",")]
    except ValueError as error:
        raise wrong_field(f"{error}.", "query", name) from None


def moment(name: str, text: str | None) -> int | None:
    """Microseconds of a time in a parameter. Raises ValidationFailed."""
    try:
        return None if text is None else parse_timestamp(text.upper())
    except ValueError:
        message = f"{text!r:.60} is not a time; write 2026-01-31T12:00:00Z"
        raise wrong_field(message, "query", name) from None


Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339, UTC, with ``Z``."""


def id_field(description: str) -> Any:
    """The field of an integer id in an answer."""
    return Field(ge=1, le=ID_MAX, description=description)


def delivery_json(delivery: Delivery, **more: Any) -> bytes:
    """A delivery as JSON, the payload exactly as it was sent.

    Args:
        more: further members.
    """
    members = {
        "id": delivery.id,
        "webhook_id": delivery.endpoint_id,
        "event_id": delivery.event_id,
        "event_type": delivery.event_type,
        "status": delivery.status,
        "response_status": delivery.response_status,
        "response_body": delivery.response_body,
        "error": delivery.error,
        "error_message": delivery.error_message,
        "attempt_number": delivery.attempt_number,
        "created_at": format_timestamp(delivery.created_at),
        "delivered_at": format_timestamp(delivery.delivered_at),
        "next_retry_at": format_timestamp(delivery.next_retry_at),
        "held": delivery.held,
        **more,
    }
    return f'{json.dumps(members)[:-1]}, "payload": {delivery.payload}}}'.encode()


class ReplayItem(Answer):
    """A replay and how far it is."""

    id: int = id_field("Its number")
    endpoint_id: int = id_field("Where the events go")
    state: ReplayState
    events: list[str] = Field(description="Type patterns")
    only: ReplayChoice
    after: int = Field(description="The first event looked at follows this sequence")
    last: int = Field(description="The sequence of the last event looked at")
    since: Time | None
    until: Time | None
    gap: bool = Field(description="Whether events that were asked for are no longer kept")
    position: int = Field(description="Everything up to this sequence is done")
    total: int | None = Field(description="Events to replay; null until they are counted")
    done: int = Field(description="Deliveries made")
    created_at: Time
    updated_at: Time
    finished_at: Time | None
    error: str | None = Field(description="Why it failed")

    @classmethod
    def of(cls, replay: Replay) -> ReplayItem:
        """A replay as it is shown."""
        times = ("since", "until", "created_at", "updated_at", "finished_at")
        shown = {name: format_timestamp(getattr(replay, name)) for name in times}
        return cls(**asdict(replay) | shown)


class ReplayCount(Answer):
    """What a dry run found."""

    dry_run: bool
    total: int = Field(description="Events that would be replayed now")
