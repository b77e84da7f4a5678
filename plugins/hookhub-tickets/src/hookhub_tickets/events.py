"""The event types that this plugin declares."""

from __future__ import annotations

from pydantic import Field

from hookhub import EventType, Payload

SOURCE = "hookhub-tickets"
"""What the events of this plugin carry as ``source``."""

EXCERPT = 200
"""Characters of a message that its event carries."""


class TicketCreated(Payload):
    """Payload of ``ticket.created``."""

    ticket_id: int
    user_id: int
    title: str
    status: str = Field(description="open, answered, pending, closed")
    priority: str = Field(description="low, normal, high, urgent")
    has_media: bool = Field(description="Whether the opening message carries a photo or a file")


class TicketStatusChanged(Payload):
    """Payload of ``ticket.status_changed``."""

    ticket_id: int
    user_id: int
    old_status: str = Field(description="What it was before")
    new_status: str
    closed_at: str | None = Field(
        default=None, description="RFC 3339, UTC; null unless it is closed now"
    )


class TicketMessageAdded(Payload):
    """Payload of ``ticket.message_added``."""

    ticket_id: int
    message_id: int
    user_id: int = Field(description="Whose ticket it is, whoever wrote")
    is_from_admin: bool
    message_text: str = Field(max_length=EXCERPT, description="The first 200 characters")
    has_media: bool = Field(description="Whether the message carries a photo or a file")
    status: str = Field(description="The ticket's status")


EVENT_TYPES = (
    EventType(
        "ticket.created",
        TicketCreated,
        "A ticket was opened.",
        {
            "ticket_id": 42,
            "user_id": 123,
            "title": "Не приходит оплата",
            "status": "open",
            "priority": "normal",
            "has_media": False,
        },
    ),
    EventType(
        "ticket.status_changed",
        TicketStatusChanged,
        "The status of a ticket changed.",
        {
            "ticket_id": 42,
            "user_id": 123,
            "old_status": "answered",
            "new_status": "closed",
            "closed_at": "2026-01-15T10:30:00.000000Z",
        },
    ),
    EventType(
        "ticket.message_added",
        TicketMessageAdded,
        "A user or an admin wrote in a ticket; not for the message that opens it.",
        {
            "ticket_id": 42,
            "message_id": 118,
            "user_id": 123,
            "is_from_admin": True,
            "message_text": "Здравствуйте! Платёж найден, баланс пополнен.",
            "has_media": False,
            "status": "open",
        },
    ),
)
