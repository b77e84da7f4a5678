"""Opening tickets, writing in them, changing their status: each with its event, in one transaction.

``hookhub_tickets.units`` has the same as units of work, for transactions of your own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookhub.contracts.routes import checked
from hookhub_tickets.shapes import (
    NewMessage,
    NewStatus,
    NewTicket,
    Priority,
    Status,
    Ticket,
    TicketMessage,
)
from hookhub_tickets.units import change_ticket_status, insert_ticket, insert_ticket_message

if TYPE_CHECKING:
    from hookhub.hub import Hub


async def create_ticket(
    hub: Hub,
    *,
    user_id: int,
    title: str,
    message_text: str,
    priority: Priority = "normal",
    has_media: bool = False,
) -> Ticket:
    """Open a ticket with its first message; emits ``ticket.created``.

    Raises:
        ValidationFailed: names every wrong field.
    """
    new = checked(
        NewTicket,
        user_id=user_id,
        title=title,
        message_text=message_text,
        priority=priority,
        has_media=has_media,
    )
    return await hub.write(lambda tx: insert_ticket(tx, hub, new))


async def update_ticket_status(hub: Hub, ticket_id: int, status: Status) -> Ticket:
    """Give a ticket a status; emits ``ticket.status_changed``.

    If the ticket has that status already, nothing is written and nothing emitted.

    Raises:
        ValidationFailed: there is no such status.
        NotFound: there is no such ticket.
    """
    new = checked(NewStatus, status=status)
    return await hub.write(lambda tx: change_ticket_status(tx, hub, ticket_id, new))


async def add_ticket_message(
    hub: Hub,
    ticket_id: int,
    message_text: str,
    *,
    is_from_admin: bool = False,
    has_media: bool = False,
) -> TicketMessage:
    """Write in a ticket; emits ``ticket.message_added``. The ticket's status stays as it is.

    Raises:
        ValidationFailed: names every wrong field.
        NotFound: there is no such ticket.
        Conflict: the ticket is closed.
    """
    new = checked(
        NewMessage, message_text=message_text, is_from_admin=is_from_admin, has_media=has_media
    )
    return await hub.write(lambda tx: insert_ticket_message(tx, hub, ticket_id, new))
