"""Peewee models of the core's tables, for queries; ``schema.py`` makes the tables.

No model is bound to a database: a query is run through a :class:`~hookhub.store.Reader` or a
:class:`~hookhub.store.Transaction`, which know theirs.
"""

from __future__ import annotations

import peewee


class EventRow(peewee.Model):
    """``hookhub_events``."""

    sequence = peewee.BigIntegerField(primary_key=True)
    id = peewee.TextField()
    type = peewee.TextField()
    payload = peewee.TextField()
    timestamp = peewee.BigIntegerField()
    key = peewee.TextField(null=True)
    source = peewee.TextField(null=True)
    deliveries = peewee.IntegerField()
    replayed = peewee.IntegerField(default=0)
    removed = peewee.IntegerField(default=0)

    class Meta:
        table_name = "hookhub_events"


class IdempotencyRow(peewee.Model):
    """``hookhub_idempotency``: keys and what their first request was answered."""

    key = peewee.TextField(primary_key=True)
    fingerprint = peewee.TextField()
    result = peewee.TextField()
    created_at = peewee.BigIntegerField()

    class Meta:
        table_name = "hookhub_idempotency"


class OutboxRow(peewee.Model):
    """``hookhub_outbox``: what other programs put down within their own transactions."""

    id = peewee.BigAutoField()
    type = peewee.TextField()
    payload = peewee.TextField()
    key = peewee.TextField(null=True)
    source = peewee.TextField(null=True)
    event_id = peewee.TextField(null=True)
    error = peewee.TextField(null=True)

    class Meta:
        table_name = "hookhub_outbox"


class EndpointRow(peewee.Model):
    """``hookhub_endpoints``; a deleted one stays until its deliveries are gone."""

    id = peewee.BigAutoField()
    sink = peewee.TextField()
    name = peewee.TextField()
    description = peewee.TextField(null=True)
    event_types = peewee.TextField()
    config = peewee.TextField()
    options = peewee.TextField()
    secrets = peewee.TextField()
    is_active = peewee.BooleanField()
    disabled_reason = peewee.TextField(null=True)
    created_at = peewee.BigIntegerField()
    updated_at = peewee.BigIntegerField()
    deleted_at = peewee.BigIntegerField(null=True)
    last_triggered_at = peewee.BigIntegerField(null=True)
    failing_since = peewee.BigIntegerField(null=True)
    warned_at = peewee.BigIntegerField(null=True)
    success_count = peewee.BigIntegerField(default=0)
    failure_count = peewee.BigIntegerField(default=0)
    deliveries_total = peewee.BigIntegerField(default=0)
    deliveries_failed = peewee.BigIntegerField(default=0)
    removed_delivered = peewee.BigIntegerField(default=0)
    removed_failed = peewee.BigIntegerField(default=0)
    removed_to = peewee.BigIntegerField(default=0)

    class Meta:
        table_name = "hookhub_endpoints"


class DeliveryRow(peewee.Model):
    """``hookhub_deliveries``; see ``schema.py`` for ``due_at`` and ``lease``."""

    id = peewee.BigIntegerField(primary_key=True)
    endpoint_id = peewee.BigIntegerField()
    sequence = peewee.BigIntegerField()
    status = peewee.IntegerField()
    due_at = peewee.BigIntegerField()
    lease = peewee.BigIntegerField(null=True)
    attempts = peewee.IntegerField(default=0)
    schedule_from = peewee.IntegerField(default=0)
    order_key = peewee.TextField(null=True)
    created_at = peewee.BigIntegerField()
    delivered_at = peewee.BigIntegerField(null=True)
    next_retry_at = peewee.BigIntegerField(null=True)
    response_status = peewee.IntegerField(null=True)
    response_body = peewee.TextField(null=True)
    error = peewee.TextField(null=True)
    error_message = peewee.TextField(null=True)

    class Meta:
        table_name = "hookhub_deliveries"


class AttemptRow(peewee.Model):
    """``hookhub_attempts``."""

    id = peewee.BigAutoField()
    delivery_id = peewee.BigIntegerField()
    number = peewee.IntegerField()
    started_at = peewee.BigIntegerField()
    duration = peewee.DoubleField()
    outcome = peewee.TextField()
    response_status = peewee.IntegerField(null=True)
    response_headers = peewee.TextField(null=True)
    response_body = peewee.TextField(null=True)
    error = peewee.TextField(null=True)
    error_message = peewee.TextField(null=True)
    timings = peewee.TextField(null=True)

    class Meta:
        table_name = "hookhub_attempts"


class KeyRow(peewee.Model):
    """``hookhub_keys``: key pairs that the hub signs with."""

    id = peewee.BigAutoField()
    created_at = peewee.BigIntegerField()
    private = peewee.TextField()
    public = peewee.TextField()
    retired_at = peewee.BigIntegerField(null=True)

    class Meta:
        table_name = "hookhub_keys"


class JobRow(peewee.Model):
    """``hookhub_jobs``: long work that survives restarts, done in steps."""

    id = peewee.BigAutoField()
    kind = peewee.TextField()
    state = peewee.TextField()
    endpoint_id = peewee.BigIntegerField()
    event_types = peewee.TextField()
    choice = peewee.TextField()
    start_after = peewee.BigIntegerField()
    end_at = peewee.BigIntegerField()
    since = peewee.BigIntegerField(null=True)
    until = peewee.BigIntegerField(null=True)
    gap = peewee.BooleanField()
    position = peewee.BigIntegerField()
    total = peewee.BigIntegerField(null=True)
    done = peewee.BigIntegerField(default=0)
    created_at = peewee.BigIntegerField()
    updated_at = peewee.BigIntegerField()
    finished_at = peewee.BigIntegerField(null=True)
    owner = peewee.TextField(null=True)
    lease = peewee.BigIntegerField(default=0)
    error = peewee.TextField(null=True)

    class Meta:
        table_name = "hookhub_jobs"


class TokenRow(peewee.Model):
    """``hookhub_tokens``; the token itself is not in it, only its hash."""

    id = peewee.BigAutoField()
    name = peewee.TextField()
    prefix = peewee.TextField()
    hash = peewee.TextField()
    description = peewee.TextField(null=True)
    scopes = peewee.TextField()
    created_at = peewee.BigIntegerField()
    expires_at = peewee.BigIntegerField(null=True)
    last_used_at = peewee.BigIntegerField(null=True)
    revoked_at = peewee.BigIntegerField(null=True)

    class Meta:
        table_name = "hookhub_tokens"
