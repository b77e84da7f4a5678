"""What lists of deliveries can be asked for over REST, of one endpoint or of all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from hookhub.contracts.deliveries import DeliveryFilter, DeliveryStatus
from hookhub.contracts.events import EVENT_ID, TYPE_PATTERN, check_pattern, parse_timestamp
from hookhub.contracts.routes import ID_MAX, RFC_3339, Line, Query, wrong_field

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
