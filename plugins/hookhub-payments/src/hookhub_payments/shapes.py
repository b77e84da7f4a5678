"""What is asked for and what is shown, over REST and in Python."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from hookhub.contracts.events import format_timestamp
from hookhub.contracts.routes import Answer, Body, Id, Line, PageAnswer, Paging

TransactionType = Literal[
    "deposit", "withdrawal", "subscription_payment", "refund", "referral_reward"
]

AMOUNT_MAX = 10**15 - 1
"""In kopeks. A float holds 15 decimal digits exactly, so ``amount_rubles`` is never rounded."""


class NewTransaction(Body):
    """A transaction to make."""

    user_id: Id
    type: TransactionType
    amount_kopeks: int = Field(ge=1, le=AMOUNT_MAX, description="Always positive; see type")
    payment_method: Line | None = Field(default=None, min_length=1, max_length=64)
    external_id: Line | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="The payment's id at the payment method; makes a repeat harmless",
    )
    description: Line | None = Field(default=None, max_length=1000)
    is_completed: bool = True


class PaymentTransaction(Answer):
    """A transaction."""

    model_config = ConfigDict(title="Transaction")

    id: int
    user_id: int
    type: str
    amount_kopeks: int
    amount_rubles: float
    payment_method: str | None
    external_id: str | None
    is_completed: bool
    description: str | None
    created_at: str = Field(description="RFC 3339, UTC")
    repeated: bool = Field(default=False, exclude=True)
    """Whether an earlier call with the same ``external_id`` made it. Not shown over REST, where
    the status says it."""

    @classmethod
    def from_row(cls, row: dict[str, Any], *, repeated: bool = False) -> PaymentTransaction:
        """The transaction in a row of :class:`hookhub_payments.models.TransactionRow`."""
        derived = {
            "amount_rubles": row["amount_kopeks"] / 100,
            "created_at": format_timestamp(row["created_at"]),
            "repeated": repeated,
        }
        return cls(**row | derived)


class TransactionQuery(Paging):
    """Which transactions to list."""

    user_id: Id | None = None
    type: TransactionType | None = None
    payment_method: Line | None = Field(default=None, max_length=64)
    external_id: Line | None = Field(default=None, max_length=255)


class TransactionList(PageAnswer[PaymentTransaction]):
    """A part of the list of transactions, newest first."""
