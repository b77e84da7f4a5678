"""The source: its tables and its routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hookhub import Migration, Request, Route, Source
from hookhub.contracts.errors import Conflict, NotFound
from hookhub_tickets.models import MIGRATIONS
from hookhub_tickets.shapes import (
    NewMessage,
    NewStatus,
    NewTicket,
    Ticket,
    TicketList,
    TicketQuery,
    TicketReply,
)
from hookhub_tickets.units import (
    change_ticket_status,
    find_ticket,
    insert_ticket,
    insert_ticket_message,
    list_tickets,
)

if TYPE_CHECKING:
    from hookhub.hub import Hub
    from hookhub.store import Transaction


class TicketsSource(Source):
    """Tickets over REST."""

    name = "tickets"

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def migrations(self) -> Sequence[Migration]:
        return MIGRATIONS

    def routes(self) -> Sequence[Route]:
        return (
            Route(
                "POST",
                "/tickets",
                self.create,
                scope="events:write",
                tag="tickets",
                body=NewTicket,
                responses={201: Ticket},
            ),
            Route(
                "GET",
                "/tickets",
                self.list,
                scope="events:read",
                tag="tickets",
                query=TicketQuery,
                responses={200: TicketList},
            ),
            Route(
                "GET",
                "/tickets/{ticket_id:int}",
                self.get,
                scope="events:read",
                tag="tickets",
                responses={200: Ticket},
                errors=(NotFound,),
            ),
            Route(
                "POST",
                "/tickets/{ticket_id:int}/status",
                self.set_status,
                scope="events:write",
                tag="tickets",
                body=NewStatus,
                responses={200: Ticket},
                errors=(NotFound,),
            ),
            Route(
                "POST",
                "/tickets/{ticket_id:int}/reply",
                self.reply,
                scope="events:write",
                tag="tickets",
                body=NewMessage,
                responses={201: TicketReply},
                errors=(NotFound, Conflict),
            ),
        )

    async def create(self, request: Request) -> Ticket:
        """Open a ticket with its first message; emits `ticket.created`."""
        new = request.body_as(NewTicket)
        return await self._hub.write(lambda tx: insert_ticket(tx, self._hub, new))

    async def list(self, request: Request) -> TicketList:
        """List tickets, newest first, without their messages."""
        query = request.query_as(TicketQuery)
        return await self._hub.read(lambda reader: list_tickets(reader, query))

    async def get(self, request: Request) -> Ticket:
        """Get one ticket with its messages."""
        return await self._hub.read(lambda reader: find_ticket(reader, request.id("ticket_id")))

    async def set_status(self, request: Request) -> Ticket:
        """Change a ticket's status; emits `ticket.status_changed` if it had another one."""
        ticket_id, new = request.id("ticket_id"), request.body_as(NewStatus)

        def unit(tx: Transaction) -> Ticket:
            change_ticket_status(tx, self._hub, ticket_id, new)
            return find_ticket(tx, ticket_id)

        return await self._hub.write(unit)

    async def reply(self, request: Request) -> TicketReply:
        """Write in a ticket; emits `ticket.message_added`. The status stays as it is.

        A closed ticket takes no messages: set its status to `open` first.
        """
        ticket_id, new = request.id("ticket_id"), request.body_as(NewMessage)

        def unit(tx: Transaction) -> TicketReply:
            message = insert_ticket_message(tx, self._hub, ticket_id, new)
            return TicketReply(ticket=find_ticket(tx, ticket_id), message=message)

        return await self._hub.write(unit)
