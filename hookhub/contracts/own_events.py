"""The hub's own events: what it has to say of deliveries and endpoints. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from hookhub.contracts.events import EventType, Payload


class DeliveryFailed(Payload):
    """A delivery is out of attempts, or its receiver will never take it."""

    delivery_id: int
    endpoint_id: int
    event_id: str
    event_type: str
    attempts: int = Field(description="Attempts that were made")
    response_status: int | None
    error: str | None = Field(description="A stable word: dns, refused, read_timeout, status …")
    error_message: str | None


class EndpointFailing(Payload):
    """An endpoint has done nothing but fail for a while, and will be disabled if it goes on."""

    id: int
    name: str
    failing_since: str = Field(description="RFC 3339")
    error: str | None = Field(description="The last failure")


class EndpointDisabled(Payload):
    """An endpoint was disabled by the hub: its receiver is gone, or failed for too long."""

    id: int
    name: str
    reason: str


class DeliverySignal(BaseModel):
    """The payload of what live subscribers may watch of an attempt while it happens."""

    delivery_id: int
    sink: str
    endpoint_id: int
    endpoint_name: str
    event_id: str
    event_type: str
    attempt_number: int = Field(description="1 for the first attempt")
    status: Literal["pending", "success", "failed"] = Field(description="Of the delivery, by it")
    response_status: int | None
    error: str | None = Field(description="A stable word: dns, refused, read_timeout, status …")
    error_message: str | None
    duration_ms: float
    next_retry_at: str | None = Field(description="RFC 3339; null unless pending")


DELIVERY_FAILED = EventType(
    "delivery.failed",
    DeliveryFailed,
    "A delivery ended failed: out of attempts, or refused for good.",
    {
        "delivery_id": 17,
        "endpoint_id": 1,
        "event_id": "evt_0193",
        "event_type": "user.created",
        "attempts": 10,
        "response_status": 500,
        "error": "status",
        "error_message": "The receiver answered 500.",
    },
)


def sink_event_types(sink: str) -> list[EventType]:
    """The types that a hub with this durable sink declares because of it."""
    return [
        EventType(
            f"{sink}.failing",
            EndpointFailing,
            f"A {sink} has done nothing but fail for a while; it will be disabled.",
            {
                "id": 1,
                "name": "CRM",
                "failing_since": "2026-01-15T10:30:00.000000Z",
                "error": "The receiver answered 500.",
            },
        ),
        EventType(
            f"{sink}.disabled",
            EndpointDisabled,
            f"A {sink} was disabled by the hub, not by a person.",
            {"id": 1, "name": "CRM", "reason": "The receiver answered 410: it is gone."},
        ),
    ]
