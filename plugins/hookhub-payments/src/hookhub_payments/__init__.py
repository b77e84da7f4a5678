"""Transactions as a source of hookhub events: the domain row and its event in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hookhub import EventType, Source, hookimpl
from hookhub.contracts.lazy import lazy

if TYPE_CHECKING:
    from hookhub.hub import Hub
    from hookhub_payments.shapes import NewTransaction, PaymentTransaction
    from hookhub_payments.transactions import create_transaction
    from hookhub_payments.units import insert_transaction

__all__ = ["NewTransaction", "PaymentTransaction", "create_transaction", "insert_transaction"]

__getattr__ = lazy(__name__, __all__, "shapes", "units", "transactions")


@hookimpl
def hookhub_event_types() -> Iterable[EventType]:
    from hookhub_payments.events import EVENT_TYPES

    return EVENT_TYPES


@hookimpl
def hookhub_sources(hub: Hub) -> Iterable[Source]:
    from hookhub_payments.source import PaymentsSource

    return [PaymentsSource(hub)]
