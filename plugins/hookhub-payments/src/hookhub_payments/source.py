"""The source: its table and its routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hookhub import Migration, Request, Response, Route, Source
from hookhub_payments.models import MIGRATIONS
from hookhub_payments.shapes import (
    NewTransaction,
    PaymentTransaction,
    TransactionList,
    TransactionQuery,
)
from hookhub_payments.transactions import write_transaction
from hookhub_payments.units import list_transactions

if TYPE_CHECKING:
    from hookhub.hub import Hub


class PaymentsSource(Source):
    """Transactions over REST."""

    name = "payments"

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def migrations(self) -> Sequence[Migration]:
        return MIGRATIONS

    def routes(self) -> Sequence[Route]:
        return (
            Route(
                "POST",
                "/transactions",
                self.create,
                scope="events:write",
                tag="transactions",
                body=NewTransaction,
                responses={201: PaymentTransaction, 200: PaymentTransaction},
            ),
            Route(
                "GET",
                "/transactions",
                self.list,
                scope="events:read",
                tag="transactions",
                query=TransactionQuery,
                responses={200: TransactionList},
            ),
        )

    async def create(self, request: Request) -> Response:
        """Make a transaction; emits `payment.completed` (deposits) or `transaction.created`.

        A repeated `external_id` of one `payment_method` makes nothing: the answer is the first
        transaction, with status 200 instead of 201.
        """
        made = await write_transaction(self._hub, request.body_as(NewTransaction))
        return Response(made, 200 if made.repeated else 201)

    async def list(self, request: Request) -> TransactionList:
        """List transactions, newest first."""
        query = request.query_as(TransactionQuery)
        return await self._hub.read(lambda reader: list_transactions(reader, query))
