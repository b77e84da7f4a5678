"""Support tickets as a source of hookhub events: domain rows and events in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hookhub import EventType, Source, hookimpl
from hookhub.contracts.lazy import lazy

if TYPE_CHECKING:
    from hookhub.hub import Hub
    from hookhub_tickets.shapes import NewMessage, NewStatus, NewTicket, Ticket, TicketMessage
    from hookhub_tickets.tickets import add_ticket_message, create_ticket, update_ticket_status
    from hookhub_tickets.units import (
        change_ticket_status,
        find_ticket,
        insert_ticket,
        insert_ticket_message,
    )

__all__ = [
    "NewMessage",
    "NewStatus",
    "NewTicket",
    "Ticket",
    "TicketMessage",
    "add_ticket_message",
    "change_ticket_status",
    "create_ticket",
    "find_ticket",
    "insert_ticket",
    "insert_ticket_message",
    "update_ticket_status",
]

__getattr__ = lazy(__name__, __all__, "shapes", "units", "tickets")


@hookimpl
def hookhub_event_types() -> Iterable[EventType]:
    from hookhub_tickets.events import EVENT_TYPES

    return EVENT_TYPES


@hookimpl
def hookhub_sources(hub: Hub) -> Iterable[Source]:
    from hookhub_tickets.source import TicketsSource

    return [TicketsSource(hub)]
