"""Units of work: call them inside your own ``hub.write`` (``tx``) or ``hub.read`` (``reader``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee

from hookhub.contracts.errors import Conflict, NotFound
from hookhub_tickets.events import EXCERPT, SOURCE
from hookhub_tickets.models import MessageRow, TicketRow
from hookhub_tickets.shapes import (
    MESSAGES_SHOWN,
    NewMessage,
    NewStatus,
    NewTicket,
    Ticket,
    TicketList,
    TicketMessage,
    TicketQuery,
)

if TYPE_CHECKING:
    from hookhub.hub import Hub
    from hookhub.store import Reader, Transaction


def insert_ticket(tx: Transaction, hub: Hub, new: NewTicket) -> Ticket:
    """Open a ticket with its first message; emits ``ticket.created``, and nothing for the message.

    Returns:
        The ticket with that message.
    """
    row: dict[str, Any] = {
        "user_id": new.user_id,
        "title": new.title,
        "status": "open",
        "priority": new.priority,
        "created_at": tx.now,
        "updated_at": tx.now,
        "closed_at": None,
    }
    row["id"] = tx.execute(TicketRow.insert(**row))
    opening = NewMessage(
        message_text=new.message_text, is_from_admin=False, has_media=new.has_media
    )
    ticket = Ticket.from_row(row, [_insert_message(tx, row, opening)])
    payload = {
        "ticket_id": ticket.id,
        "user_id": ticket.user_id,
        "title": ticket.title,
        "status": ticket.status,
        "priority": ticket.priority,
        "has_media": new.has_media,
    }
    _append(tx, hub, "ticket.created", payload)
    return ticket


def change_ticket_status(tx: Transaction, hub: Hub, ticket_id: int, new: NewStatus) -> Ticket:
    """Give a ticket a status; emits ``ticket.status_changed`` if it had another one.

    Raises:
        NotFound: there is no such ticket.
    """
    closed_at = tx.now if new.status == "closed" else None
    changes = {"status": new.status, "closed_at": closed_at, "updated_at": tx.now}
    row = _find_row(tx, ticket_id)
    while row["status"] != new.status:
        as_read = (TicketRow.id == ticket_id) & (TicketRow.status == row["status"])
        if tx.execute(TicketRow.update(**changes).where(as_read)):
            break
        # Somebody else changed it since it was read; `old_status` must be what was replaced.
        row = _find_row(tx, ticket_id)
    else:
        return Ticket.from_row(row)
    ticket = Ticket.from_row(row | changes)
    payload = {
        "ticket_id": ticket.id,
        "user_id": ticket.user_id,
        "old_status": row["status"],
        "new_status": ticket.status,
        "closed_at": ticket.closed_at,
    }
    _append(tx, hub, "ticket.status_changed", payload)
    return ticket


def insert_ticket_message(
    tx: Transaction, hub: Hub, ticket_id: int, new: NewMessage
) -> TicketMessage:
    """Write in a ticket; emits ``ticket.message_added``.

    Raises:
        NotFound: there is no such ticket.
        Conflict: the ticket is closed.
    """
    not_closed = (TicketRow.id == ticket_id) & (TicketRow.status != "closed")
    # The update locks the row, so that nobody closes the ticket between the look and the insert.
    written = tx.execute(TicketRow.update(updated_at=tx.now).where(not_closed))
    row = _find_row(tx, ticket_id)
    if not written:
        raise Conflict(
            f"Ticket {ticket_id} is closed; set its status to open before you write in it.",
            members={"ticket_status": row["status"]},
        )
    message = _insert_message(tx, row, new)
    payload = {
        "ticket_id": ticket_id,
        "message_id": message.id,
        "user_id": message.user_id,
        "is_from_admin": message.is_from_admin,
        "message_text": message.message_text[:EXCERPT],
        "has_media": message.has_media,
        "status": row["status"],
    }
    _append(tx, hub, "ticket.message_added", payload)
    return message


def find_ticket(reader: Reader, ticket_id: int) -> Ticket:
    """The ticket with this id, with its messages.

    Raises:
        NotFound: there is none.
    """
    row = _find_row(reader, ticket_id)
    chosen = MessageRow.select().where(MessageRow.ticket_id == ticket_id)
    newest = reader.rows(chosen.order_by(MessageRow.id.desc()).limit(MESSAGES_SHOWN))
    return Ticket.from_row(row, [TicketMessage.from_row(found) for found in reversed(newest)])


def list_tickets(reader: Reader, query: TicketQuery) -> TicketList:
    """The tickets that fit the query, newest first, without messages."""
    chosen = TicketRow.select()
    for name in ("user_id", "status", "priority"):
        value = getattr(query, name)
        if value is not None:
            chosen = chosen.where(getattr(TicketRow, name) == value)
    page = chosen.order_by(TicketRow.id.desc()).limit(query.limit).offset(query.offset)
    items = [Ticket.from_row(row) for row in reader.rows(page)]
    total = reader.scalar(chosen.select(peewee.fn.COUNT(TicketRow.id)))
    return TicketList(**query.page(items, total))


def _find_row(reader: Reader, ticket_id: int) -> dict[str, Any]:
    row = reader.row(TicketRow.select().where(TicketRow.id == ticket_id))
    if row is None:
        raise NotFound(f"There is no ticket {ticket_id}; GET /tickets lists them.")
    return row


def _insert_message(tx: Transaction, ticket: dict[str, Any], new: NewMessage) -> TicketMessage:
    row: dict[str, Any] = {
        "ticket_id": ticket["id"],
        "user_id": ticket["user_id"],
        "message_text": new.message_text,
        "is_from_admin": new.is_from_admin,
        "has_media": new.has_media,
        "created_at": tx.now,
    }
    row["id"] = tx.execute(MessageRow.insert(**row))
    return TicketMessage.from_row(row)


def _append(tx: Transaction, hub: Hub, event_type: str, payload: dict[str, Any]) -> None:
    key = f"ticket:{payload['ticket_id']}"
    tx.append(hub.draft(event_type, payload, key=key, source=SOURCE, timestamp=tx.now))
