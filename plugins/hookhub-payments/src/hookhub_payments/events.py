"""The event types that this plugin declares."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hookhub import EventType, Payload

SOURCE = "hookhub-payments"
"""What the events of this plugin carry as ``source``."""


class TransactionMade(Payload):
    """Payload of ``payment.completed`` and ``transaction.created``."""

    transaction_id: int
    user_id: int
    type: str = Field(description="deposit, withdrawal, subscription_payment, refund …")
    amount_kopeks: int
    amount_rubles: float = Field(description="The same amount, in rubles")
    payment_method: str | None = None
    external_id: str | None = Field(
        default=None, description="The payment's id at the payment method"
    )
    is_completed: bool
    description: str | None = None


def _example(**members: Any) -> dict[str, Any]:
    return {
        "transaction_id": 981,
        "user_id": 123,
        "type": "deposit",
        "amount_kopeks": 49900,
        "amount_rubles": 499.0,
        "payment_method": "yookassa",
        "external_id": "2d9f1c1e-000f-5000-9000-1b5f6a4c8a11",
        "is_completed": True,
        "description": "Пополнение баланса",
    } | members


EVENT_TYPES = (
    EventType(
        "payment.completed",
        TransactionMade,
        "A transaction of type deposit was made: a user paid in.",
        _example(),
    ),
    EventType(
        "transaction.created",
        TransactionMade,
        "A transaction of any type but deposit was made.",
        _example(
            transaction_id=982,
            type="subscription_payment",
            amount_kopeks=19950,
            amount_rubles=199.5,
            payment_method="balance",
            external_id=None,
            description="Подписка на 30 дней",
        ),
    ),
)
