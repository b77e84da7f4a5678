"""For programs outside the hub: publish events, read them back, verify webhooks.

Light on purpose: it needs httpx and hookhub's errors and events, none of the server's parts.

    from hookhub.client import Client

    with Client("http://127.0.0.1:8080", token) as hub:
        hub.send("user.created", {"user_id": 1})
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookhub.client.clients import AsyncClient, Client
from hookhub.client.management import Management
from hookhub.client.models import HistoryGap, NewEvent, StoredEvent
from hookhub.client.verify import InvalidSignature, VerifiedWebhook, verify
from hookhub.contracts.events import Accepted
from hookhub.contracts.lazy import lazy

if TYPE_CHECKING:
    from hookhub.client.publishing import Publisher

__all__ = [
    "Accepted",
    "AsyncClient",
    "Client",
    "HistoryGap",
    "InvalidSignature",
    "Management",
    "NewEvent",
    "Publisher",
    "StoredEvent",
    "VerifiedWebhook",
    "verify",
]

# It needs Trio's WebSockets, which the others do not.
__getattr__ = lazy(__name__, __all__, "publishing")
