"""What is asked for and what is shown, over REST and in Python."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from hookhub.contracts.events import format_timestamp
from hookhub.contracts.routes import Answer, Body, Id, Line, PageAnswer, Paging, Text

Status = Literal["open", "answered", "pending", "closed"]
Priority = Literal["low", "normal", "high", "urgent"]

MESSAGE_MAX = 4096
"""Characters of one message, as in Telegram."""

MESSAGES_SHOWN = 200
"""How many messages a ticket is shown with."""


class NewTicket(Body):
    """A ticket to open, with its first message."""

    user_id: Id
    title: Line = Field(min_length=1, max_length=255)
    message_text: Text = Field(min_length=1, max_length=MESSAGE_MAX)
    priority: Priority = "normal"
    has_media: bool = Field(
        default=False, description="Whether the message carries a photo or a file"
    )


class NewStatus(Body):
    """The status that a ticket shall have."""

    status: Status


class NewMessage(Body):
    """A message to write in a ticket."""

    message_text: Text = Field(min_length=1, max_length=MESSAGE_MAX)
    is_from_admin: bool = Field(default=True, description="false: the ticket's user writes")
    has_media: bool = Field(
        default=False, description="Whether the message carries a photo or a file"
    )


class TicketMessage(Answer):
    """A message in a ticket."""

    id: int
    ticket_id: int
    user_id: int = Field(description="Whose ticket it is, whoever wrote")
    message_text: str
    is_from_admin: bool
    has_media: bool
    created_at: str = Field(description="RFC 3339, UTC")

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> TicketMessage:
        """The message in a row of :class:`hookhub_tickets.models.MessageRow`."""
        return cls(**row | {"created_at": format_timestamp(row["created_at"])})


class Ticket(Answer):
    """A ticket."""

    id: int
    user_id: int
    title: str
    status: str
    priority: str
    created_at: str = Field(description="RFC 3339, UTC")
    updated_at: str = Field(description="RFC 3339, UTC; the last message or change of status")
    closed_at: str | None = Field(description="RFC 3339, UTC; null unless it is closed")
    messages: list[TicketMessage] = Field(
        default=[], description="The newest 200, oldest first; always empty in lists"
    )

    @classmethod
    def from_row(cls, row: dict[str, Any], messages: list[TicketMessage] | None = None) -> Ticket:
        """The ticket in a row of :class:`hookhub_tickets.models.TicketRow`."""
        closed_at = row["closed_at"]
        derived = {
            "created_at": format_timestamp(row["created_at"]),
            "updated_at": format_timestamp(row["updated_at"]),
            "closed_at": format_timestamp(closed_at),
            "messages": messages or [],
        }
        return cls(**row | derived)


class TicketReply(Answer):
    """A message that was written, and its ticket."""

    ticket: Ticket
    message: TicketMessage


class TicketQuery(Paging):
    """Which tickets to list."""

    user_id: Id | None = None
    status: Status | None = None
    priority: Priority | None = None


class TicketList(PageAnswer[Ticket]):
    """A part of the list of tickets, newest first."""
