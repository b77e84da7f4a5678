"""What people do with a hub besides sending events: deliveries, replays and tickets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from hookhub.client.clients import Client
from hookhub.contracts.strict_json import Json


class Management:
    """Operations of the core's REST API by their names; each answers with its JSON.

    What plugins serve (``/webhooks`` …) is reached by :meth:`hookhub.client.Client.call`.

    Args:
        client: with a token that has the scopes; it stays the caller's to close.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def client(self) -> Client:
        """For all other operations."""
        return self._client

    # -- deliveries ------------------------------------------------------------------------

    def delivery(self, delivery_id: int) -> Json:
        """One delivery with its attempts. Raises NotFound."""
        return self._object("GET", f"/deliveries/{delivery_id}")

    def retry_delivery(self, delivery_id: int) -> Json:
        """Attempt it again, now, or when ``waits_for`` allows it. Raises NotFound, Conflict."""
        return self._object("POST", f"/deliveries/{delivery_id}/retry")

    def skip_delivery(self, delivery_id: int) -> Json:
        """Give it up; under strict order, those behind it go on. Raises NotFound, Conflict."""
        return self._object("POST", f"/deliveries/{delivery_id}/skip")

    # -- replays ---------------------------------------------------------------------------

    def start_replay(
        self,
        endpoint_id: int,
        *,
        since: str | None = None,
        until: str | None = None,
        events: Sequence[str] = (),
        only: str = "all",
        dry_run: bool = False,
    ) -> Json:
        """Send events of the past to an endpoint once more, or count them.

        Args:
            endpoint_id: a webhook, or an endpoint of another sink.
            since: a time (from it on) or a cursor (after it); None for all that is kept.
            until: a time (before it) or a cursor (up to it); None for now.
            events: type patterns; none for all that the endpoint subscribes to.
            only: ``all``, ``failed`` or ``never_sent``.
            dry_run: only count.

        Raises:
            NotFound, ValidationFailed, InvalidCursor: the hub refuses.
        """
        asked: Json = {"endpoint_id": endpoint_id, "since": since, "until": until, "only": only}
        asked |= {"events": list(events) or None, "dry_run": dry_run}
        body = {name: value for name, value in asked.items() if value is not None}
        return self._object("POST", "/replays", body)

    def replays(
        self, *, endpoint_id: int | None = None, state: str | None = None
    ) -> Iterator[Json]:
        """All replays, newest first."""
        return self._client.items("/replays", {"endpoint_id": endpoint_id, "state": state})

    def replay(self, replay_id: int) -> Json:
        """One replay, and how far it is. Raises NotFound."""
        return self._object("GET", f"/replays/{replay_id}")

    def steer_replay(self, replay_id: int, verb: str) -> Json:
        """Do as ``verb`` says: ``pause``, ``resume`` or ``cancel``. Raises NotFound, Conflict."""
        return self._object("POST", f"/replays/{replay_id}/{verb}")

    def _object(self, method: str, path: str, body: Any = None) -> Json:
        return cast("Json", self._client.call(method, path, body=body))
