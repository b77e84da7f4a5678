"""Events from Django, put down in the transaction that changes the data."""

import json
from typing import Any

from django.db import models


class OutboxEvent(models.Model):
    """A row of the hub's table; no migration of this project touches it."""

    id = models.BigAutoField(primary_key=True)
    type = models.TextField()
    payload = models.TextField()
    key = models.TextField(null=True)

    class Meta:
        app_label = "events"
        db_table = "hookhub_outbox"
        managed = False


def emit(type: str, payload: dict[str, Any], key: str | None = None) -> None:
    """Inside of transaction.atomic(): the event is there when, and only if, that commits."""
    OutboxEvent.objects.create(type=type, payload=json.dumps(payload), key=key)
