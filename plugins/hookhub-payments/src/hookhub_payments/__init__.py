"""Transactions as a source of hookhub events: the domain row and its event in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hookhub import EventType, Source, hookimpl
from hookhub_payments.events import EVENT_TYPES
from hookhub_payments.shapes import NewTransaction, Transaction
from hookhub_payments.source import PaymentsSource
from hookhub_payments.transactions import create_transaction
from hookhub_payments.units import insert_transaction

if TYPE_CHECKING:
    from hookhub.hub import Hub

__all__ = ["NewTransaction", "Transaction", "create_transaction", "insert_transaction"]


@hookimpl
def hookhub_event_types() -> Iterable[EventType]:
    return EVENT_TYPES


@hookimpl
def hookhub_sources(hub: Hub) -> Iterable[Source]:
    return [PaymentsSource(hub)]
