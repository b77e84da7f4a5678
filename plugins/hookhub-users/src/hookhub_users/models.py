"""The plugin's table: how it is made (migrations) and how it is queried (peewee)."""

from __future__ import annotations

import peewee

from hookhub import Migration

_USERS = """
CREATE TABLE hookhub_users (
    id {pk},
    telegram_id {bigint},
    username TEXT,
    first_name TEXT,
    last_name TEXT,
    email TEXT,
    email_key TEXT,
    language TEXT,
    referral_code TEXT NOT NULL,
    referred_by_id {bigint} REFERENCES hookhub_users (id),
    created_at {bigint} NOT NULL
)
"""

MIGRATIONS = (
    Migration(
        1,
        "users",
        (
            _USERS,
            "CREATE UNIQUE INDEX hookhub_users_telegram_id ON hookhub_users (telegram_id)",
            "CREATE UNIQUE INDEX hookhub_users_email_key ON hookhub_users (email_key)",
            "CREATE UNIQUE INDEX hookhub_users_referral_code ON hookhub_users (referral_code)",
            "CREATE INDEX hookhub_users_referred_by ON hookhub_users (referred_by_id)",
        ),
    ),
)


class UserRow(peewee.Model):
    """A row. Bound to no database: run its queries through a Reader or a Transaction."""

    id = peewee.BigAutoField()
    telegram_id = peewee.BigIntegerField(null=True)
    username = peewee.TextField(null=True)
    first_name = peewee.TextField(null=True)
    last_name = peewee.TextField(null=True)
    email = peewee.TextField(null=True)
    # Databases disagree about lower() beyond ASCII, so Python does it.
    email_key = peewee.TextField(null=True)
    language = peewee.TextField(null=True)
    referral_code = peewee.TextField()
    referred_by_id = peewee.BigIntegerField(null=True)
    created_at = peewee.BigIntegerField()

    class Meta:
        table_name = "hookhub_users"


def email_key(email: str) -> str:
    """What two spellings of one address have in common."""
    return email.lower()
