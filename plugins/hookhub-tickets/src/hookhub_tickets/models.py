"""The plugin's tables: how they are made (migrations) and how they are queried (peewee)."""

from __future__ import annotations

import peewee

from hookhub import Migration

_TICKETS = """
CREATE TABLE hookhub_tickets (
    id {pk},
    user_id {bigint} NOT NULL,
    title TEXT NOT NULL,
    status TEXT NOT NULL,
    priority TEXT NOT NULL,
    created_at {bigint} NOT NULL,
    updated_at {bigint} NOT NULL,
    closed_at {bigint}
)
"""

_MESSAGES = """
CREATE TABLE hookhub_ticket_messages (
    id {pk},
    ticket_id {bigint} NOT NULL REFERENCES hookhub_tickets (id),
    user_id {bigint} NOT NULL,
    message_text TEXT NOT NULL,
    is_from_admin {bool} NOT NULL,
    has_media {bool} NOT NULL,
    created_at {bigint} NOT NULL
)
"""

MIGRATIONS = (
    Migration(
        1,
        "tickets and their messages",
        (
            _TICKETS,
            _MESSAGES,
            "CREATE INDEX hookhub_tickets_user ON hookhub_tickets (user_id, id)",
            "CREATE INDEX hookhub_tickets_status ON hookhub_tickets (status, id)",
            "CREATE INDEX hookhub_ticket_messages_ticket "
            "ON hookhub_ticket_messages (ticket_id, id)",
        ),
    ),
)


class TicketRow(peewee.Model):
    """A row. Bound to no database: run its queries through a Reader or a Transaction."""

    id = peewee.BigAutoField()
    user_id = peewee.BigIntegerField()
    title = peewee.TextField()
    status = peewee.TextField()
    priority = peewee.TextField()
    created_at = peewee.BigIntegerField()
    updated_at = peewee.BigIntegerField()
    closed_at = peewee.BigIntegerField(null=True)

    class Meta:
        table_name = "hookhub_tickets"


class MessageRow(peewee.Model):
    """A row. Bound to no database: run its queries through a Reader or a Transaction."""

    id = peewee.BigAutoField()
    ticket_id = peewee.BigIntegerField()
    user_id = peewee.BigIntegerField()
    message_text = peewee.TextField()
    is_from_admin = peewee.BooleanField()
    has_media = peewee.BooleanField()
    created_at = peewee.BigIntegerField()

    class Meta:
        table_name = "hookhub_ticket_messages"
