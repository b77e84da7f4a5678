"""For programs outside the hub: publish events, read them back, verify webhooks.

Light on purpose: it needs httpx and hookhub's errors and events, none of the server's parts.

    from hookhub.client import Client

    with Client("http://127.0.0.1:8080", token) as hub:
        hub.send("user.created", {"user_id": 1})
"""

from __future__ import annotations

from hookhub.client.clients import AsyncClient, Client
from hookhub.client.management import Management
from hookhub.client.models import HistoryGap, NewEvent, StoredEvent
from hookhub.client.verify import InvalidSignature, VerifiedWebhook, verify
from hookhub.contracts.events import Accepted

__all__ = [
    "Accepted",
    "AsyncClient",
    "Client",
    "HistoryGap",
    "InvalidSignature",
    "Management",
    "NewEvent",
    "StoredEvent",
    "VerifiedWebhook",
    "verify",
]
