"""The plugin's table: how it is made (migrations) and how it is queried (peewee)."""

from __future__ import annotations

import peewee

from hookhub import Migration

_TRANSACTIONS = """
CREATE TABLE hookhub_transactions (
    id {pk},
    user_id {bigint} NOT NULL,
    type TEXT NOT NULL,
    amount_kopeks {bigint} NOT NULL,
    payment_method TEXT,
    external_id TEXT,
    is_completed {bool} NOT NULL,
    description TEXT,
    created_at {bigint} NOT NULL
)
"""

MIGRATIONS = (
    Migration(
        1,
        "transactions",
        (
            _TRANSACTIONS,
            # coalesce: to a unique index, two NULLs are different.
            "CREATE UNIQUE INDEX hookhub_transactions_external ON hookhub_transactions "
            "(external_id, coalesce(payment_method, '')) WHERE external_id IS NOT NULL",
            "CREATE INDEX hookhub_transactions_user ON hookhub_transactions (user_id, id)",
        ),
    ),
)


class TransactionRow(peewee.Model):
    """A row. Bound to no database: run its queries through a Reader or a Transaction."""

    id = peewee.BigAutoField()
    user_id = peewee.BigIntegerField()
    type = peewee.TextField()
    amount_kopeks = peewee.BigIntegerField()
    payment_method = peewee.TextField(null=True)
    external_id = peewee.TextField(null=True)
    is_completed = peewee.BooleanField()
    description = peewee.TextField(null=True)
    created_at = peewee.BigIntegerField()

    class Meta:
        table_name = "hookhub_transactions"
