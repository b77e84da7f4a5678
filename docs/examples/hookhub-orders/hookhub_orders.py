"""A source: orders, kept in a table of their own, each change an event in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hookhub import Answer, Body, EventType, Migration, Payload, Request, Route, Source, hookimpl

if TYPE_CHECKING:
    import click

    from hookhub.hub import Hub
    from hookhub.store import Transaction


# -- event types
class OrderPaid(Payload):
    order_id: int
    amount: int


ORDER_PAID = EventType(
    "order.paid",
    OrderPaid,
    "An order was paid in full.",
    example={"order_id": 7, "amount": 1250},
)


@hookimpl
def hookhub_event_types() -> Iterable[EventType]:
    return [ORDER_PAID]


# -- source
class NewOrder(Body):
    amount: int


class Order(Answer):
    id: int
    amount: int


class Orders(Source):
    name = "orders"

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def migrations(self) -> Sequence[Migration]:
        table = "CREATE TABLE shop_orders (id {pk}, amount {bigint} NOT NULL)"
        return [Migration(1, "orders", (table,))]

    def routes(self) -> Sequence[Route]:
        made = {201: Order}
        return [
            Route("POST", "/orders", self.pay, "events:write", "orders", NewOrder, responses=made)
        ]

    async def pay(self, request: Request) -> Order:
        """Take a paid order."""
        amount = request.body_as(NewOrder).amount

        def unit(tx: Transaction) -> int:
            rows = tx.sql("INSERT INTO shop_orders (amount) VALUES (?) RETURNING id", (amount,))
            order_id: int = rows[0][0]
            payload = {"order_id": order_id, "amount": amount}
            tx.append(self._hub.draft("order.paid", payload, key=f"order:{order_id}"))
            return order_id

        return Order(id=await self._hub.write(unit), amount=amount)


@hookimpl
def hookhub_sources(hub: Hub) -> Iterable[Source]:
    return [Orders(hub)]


# -- command
@hookimpl
def hookhub_commands(cli: click.Group) -> None:
    @cli.command("orders")
    def orders() -> None:
        """Say what a shop is."""
        print("A shop takes orders.")
