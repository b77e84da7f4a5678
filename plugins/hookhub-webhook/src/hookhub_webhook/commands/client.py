"""The REST API of webhooks for Python programs and for the commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from hookhub.contracts.errors import NotFound
from hookhub.contracts.strict_json import Json

if TYPE_CHECKING:
    from hookhub.client import Client


class WebhookClient:
    """Webhooks of a hub; each operation answers with its JSON.

    Args:
        client: with a token that has the scopes ``webhooks:read`` and ``webhooks:write``; it stays
            the caller's to close.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(
        self, *, event_type: str | None = None, is_active: bool | None = None
    ) -> Iterator[Json]:
        """All webhooks, in the order in which they were made."""
        return self._client.items("/webhooks", {"event_type": event_type, "is_active": is_active})

    def named(self, name: str) -> Sequence[Json]:
        """The webhooks of this name, at least one; names need not be unique.

        Raises:
            NotFound: there is none.
        """
        found = [item for item in self.list() if item["name"] == name]
        if not found:
            raise NotFound(f"There is no webhook {name!r}; 'hookhub webhook list' shows all.")
        return found

    def get(self, webhook_id: int) -> Json:
        """One webhook. Raises NotFound."""
        return self._object("GET", f"/webhooks/{webhook_id}")

    def create(self, members: Mapping[str, Any]) -> Json:
        """Make one; ``generate_secret`` in ``members`` lets the hub make its secret.

        Raises:
            ValidationFailed, UnknownEventType, EgressBlocked: the hub refuses.
        """
        return self._object("POST", "/webhooks", members)

    def update(self, webhook_id: int, changes: Mapping[str, Any]) -> Json:
        """Change what is named; see :meth:`create`. Raises NotFound, too."""
        return self._object("PATCH", f"/webhooks/{webhook_id}", changes)

    def delete(self, webhook_id: int) -> None:
        """Delete it; nothing more is sent to it. Raises NotFound."""
        self._client.call("DELETE", f"/webhooks/{webhook_id}")

    def enable(self, webhook_id: int) -> Json:
        """Send events to it again. Raises NotFound."""
        return self._object("POST", f"/webhooks/{webhook_id}/enable")

    def disable(self, webhook_id: int) -> Json:
        """Send no more events to it. Raises NotFound."""
        return self._object("POST", f"/webhooks/{webhook_id}/disable")

    def test(self, webhook_id: int, event_type: str | None = None) -> Json:
        """Send the example of an event type now; ``success`` says what came of it."""
        body = {} if event_type is None else {"event_type": event_type}
        return self._object("POST", f"/webhooks/{webhook_id}/test", body)

    def rotate_secret(self, webhook_id: int, secret: str | None = None) -> Json:
        """Give it a new secret, shown in the answer and never again. Raises NotFound."""
        body = {} if secret is None else {"secret": secret}
        return self._object("POST", f"/webhooks/{webhook_id}/rotate-secret", body)

    def replay(self, webhook_id: int, wanted: Mapping[str, Any]) -> Json:
        """Send events of the past once more; ``dry_run`` in ``wanted`` only counts them."""
        return self._object("POST", f"/webhooks/{webhook_id}/replay", wanted)

    def retry_failed(self, webhook_id: int) -> int:
        """Attempt all failed deliveries again; returns how many those are. Raises NotFound."""
        return cast("int", self._object("POST", f"/webhooks/{webhook_id}/retry-failed")["retried"])

    def cancel_pending(self, webhook_id: int) -> int:
        """End the pending deliveries as failed; returns how many those were. Raises NotFound."""
        path = f"/webhooks/{webhook_id}/deliveries"
        answer = self._client.call("DELETE", path, params={"status": "pending"})
        return cast("int", answer["cancelled"])

    def _object(self, method: str, path: str, body: Any = None) -> Json:
        return cast("Json", self._client.call(method, path, body=body))
