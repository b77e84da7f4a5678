"""Transactions as a source of hookhub events: the domain row and its event in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hookhub import EventType, Source, hookimpl

if TYPE_CHECKING:
    from hookhub.hub import Hub
    from hookhub_payments.shapes import NewTransaction, PaymentTransaction
    from hookhub_payments.transactions import create_transaction
    from hookhub_payments.units import insert_transaction

__all__ = ["NewTransaction", "PaymentTransaction", "create_transaction", "insert_transaction"]


_PLACES = {
    "NewTransaction": "hookhub_payments.shapes",
    "PaymentTransaction": "hookhub_payments.shapes",
    "create_transaction": "hookhub_payments.transactions",
    "insert_transaction": "hookhub_payments.units",
}


def __getattr__(name: str) -> Any:
    # PEP 562: 'hookhub --help' imports every plugin, and need not wait for the database's library.
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@hookimpl
def hookhub_event_types() -> Iterable[EventType]:
    from hookhub_payments.events import EVENT_TYPES

    return EVENT_TYPES


@hookimpl
def hookhub_sources(hub: Hub) -> Iterable[Source]:
    from hookhub_payments.source import PaymentsSource

    return [PaymentsSource(hub)]
