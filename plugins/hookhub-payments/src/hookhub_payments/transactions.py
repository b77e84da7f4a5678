"""Making transactions, each with its event in one database transaction.

``hookhub_payments.units`` has the same as units of work, for database transactions of your own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookhub.contracts.errors import Conflict
from hookhub.contracts.routes import checked
from hookhub_payments.shapes import NewTransaction, PaymentTransaction, TransactionType
from hookhub_payments.units import insert_transaction

if TYPE_CHECKING:
    from hookhub.hub import Hub


async def create_transaction(
    hub: Hub,
    *,
    user_id: int,
    type: TransactionType,
    amount_kopeks: int,
    payment_method: str | None = None,
    external_id: str | None = None,
    description: str | None = None,
    is_completed: bool = True,
) -> PaymentTransaction:
    """Make a transaction.

    Its event is ``payment.completed`` for a deposit and ``transaction.created`` for every other
    type. If ``external_id`` was used before with this ``payment_method``, the first transaction
    is returned (``repeated`` is true) and nothing is written.

    Raises:
        ValidationFailed: names every wrong field.
    """
    new = checked(
        NewTransaction,
        user_id=user_id,
        type=type,
        amount_kopeks=amount_kopeks,
        payment_method=payment_method,
        external_id=external_id,
        description=description,
        is_completed=is_completed,
    )
    return await write_transaction(hub, new)


async def write_transaction(hub: Hub, new: NewTransaction) -> PaymentTransaction:
    """:func:`create_transaction` for fields that are checked already."""
    try:
        return await hub.write(lambda tx: insert_transaction(tx, hub, new))
    except Conflict:
        # The faster one has committed by now: the second time, it is found.
        return await hub.write(lambda tx: insert_transaction(tx, hub, new))
