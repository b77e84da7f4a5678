"""Support tickets as a source of hookhub events: domain rows and events in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hookhub import EventType, Source, hookimpl

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


_PLACES = {
    "NewMessage": "hookhub_tickets.shapes",
    "NewStatus": "hookhub_tickets.shapes",
    "NewTicket": "hookhub_tickets.shapes",
    "Ticket": "hookhub_tickets.shapes",
    "TicketMessage": "hookhub_tickets.shapes",
    "add_ticket_message": "hookhub_tickets.tickets",
    "change_ticket_status": "hookhub_tickets.units",
    "create_ticket": "hookhub_tickets.tickets",
    "find_ticket": "hookhub_tickets.units",
    "insert_ticket": "hookhub_tickets.units",
    "insert_ticket_message": "hookhub_tickets.units",
    "update_ticket_status": "hookhub_tickets.tickets",
}


def __getattr__(name: str) -> Any:
    # PEP 562: 'hookhub --help' imports every plugin, and need not wait for the database's library.
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@hookimpl
def hookhub_event_types() -> Iterable[EventType]:
    from hookhub_tickets.events import EVENT_TYPES

    return EVENT_TYPES


@hookimpl
def hookhub_sources(hub: Hub) -> Iterable[Source]:
    from hookhub_tickets.source import TicketsSource

    return [TicketsSource(hub)]
