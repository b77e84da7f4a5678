"""Units of work: call them inside your own ``hub.write`` (``tx``) or ``hub.read`` (``reader``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee

from hookhub.contracts.errors import Conflict
from hookhub_payments.events import SOURCE
from hookhub_payments.models import TransactionRow
from hookhub_payments.shapes import (
    NewTransaction,
    PaymentTransaction,
    TransactionList,
    TransactionQuery,
)

if TYPE_CHECKING:
    from hookhub.hub import Hub
    from hookhub.store import Reader, Transaction


def insert_transaction(tx: Transaction, hub: Hub, new: NewTransaction) -> PaymentTransaction:
    """Make a transaction; emits ``payment.completed`` or ``transaction.created``.

    A transaction whose ``external_id`` was used before is returned as it was made (``repeated``).

    Raises:
        Conflict: another program committed the same ``external_id`` at this moment; run again.
    """
    first = _find_first(tx, new)
    if first is not None:
        return PaymentTransaction.from_row(first, repeated=True)
    values = new.model_dump() | {"created_at": tx.now}
    try:
        transaction_id = tx.execute(TransactionRow.insert(**values))
    except peewee.IntegrityError:
        # Another program that shares the database was faster. PostgreSQL takes no further query in
        # this transaction, so the first one cannot be looked up here.
        raise Conflict(
            "The external_id was used by another request at this moment; try again to get the "
            "transaction that it made."
        ) from None
    transaction = PaymentTransaction.from_row(values | {"id": transaction_id})
    tx.append(
        hub.draft(
            "payment.completed" if new.type == "deposit" else "transaction.created",
            _payload(transaction),
            key=f"user:{transaction.user_id}",
            source=SOURCE,
            timestamp=tx.now,
        )
    )
    return transaction


def list_transactions(reader: Reader, query: TransactionQuery) -> TransactionList:
    """The transactions that fit the query, newest first."""
    chosen = TransactionRow.select()
    for name in ("user_id", "type", "payment_method", "external_id"):
        value = getattr(query, name)
        if value is not None:
            chosen = chosen.where(getattr(TransactionRow, name) == value)
    page = chosen.order_by(TransactionRow.id.desc()).limit(query.limit).offset(query.offset)
    items = [PaymentTransaction.from_row(row) for row in reader.rows(page)]
    total = reader.scalar(chosen.select(peewee.fn.COUNT(TransactionRow.id)))
    return TransactionList(**query.page(items, total))


def _find_first(tx: Transaction, new: NewTransaction) -> dict[str, Any] | None:
    if new.external_id is None:
        return None
    method = peewee.fn.COALESCE(TransactionRow.payment_method, "")
    return tx.row(
        TransactionRow.select().where(
            TransactionRow.external_id == new.external_id, method == (new.payment_method or "")
        )
    )


def _payload(transaction: PaymentTransaction) -> dict[str, Any]:
    return {
        "transaction_id": transaction.id,
        "user_id": transaction.user_id,
        "type": transaction.type,
        "amount_kopeks": transaction.amount_kopeks,
        "amount_rubles": transaction.amount_rubles,
        "payment_method": transaction.payment_method,
        "external_id": transaction.external_id,
        "is_completed": transaction.is_completed,
        "description": transaction.description,
    }
