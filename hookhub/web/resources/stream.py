"""``GET /events/stream``: the live feed as Server-Sent Events."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hookhub.contracts.errors import Forbidden, InvalidCursor, TooManyRequests
from hookhub.contracts.events import Cursor
from hookhub.contracts.routes import CURSOR, Header, Query, Request, Response, Route
from hookhub.feed import SIGNAL_SCOPE, needs_scope
from hookhub.filters import Filter
from hookhub.web.resources.followers import Subscriber, check_room
from hookhub.web.resources.models import (
    After,
    EventPatterns,
    TicketParameter,
    Where,
    event_patterns,
    payload_filter,
)

if TYPE_CHECKING:
    from hookhub.hub import Hub

KEEP_ALIVE = 15.0
"""Seconds of silence before a comment; proxies close connections that are silent for longer."""
RETRY = (1.0, 5.0)
"""Seconds that a browser shall wait before it comes back, if nobody tells it otherwise."""


class StreamQuery(Query):
    """Which events, from where on."""

    after: After
    events: EventPatterns
    where: Where
    ticket: TicketParameter


class EventStream:
    """Serves the live feed as Server-Sent Events.

    Args:
        hub: whose feed.
        keep_alive: seconds of silence before a comment is sent.
    """

    def __init__(self, hub: Hub, keep_alive: float = KEEP_ALIVE) -> None:
        self._hub = hub
        self._keep_alive = keep_alive

    async def open(self, request: Request) -> Response:
        """The live feed as Server-Sent Events.

        Each event has its cursor as `id`, its type as `event` and the JSON object of `GET /events`
        as `data`. A browser that reconnects sends `Last-Event-ID`, and the feed goes on without a
        seam; `after` does the same for a first connection. What was missed is sent first, and then
        an event `resumed` says how many those were; if the history no longer reaches back, an
        event `gap` says how much is missing. When the token is revoked, or the hub stops, a last
        event `closing` or `restarting` says so, and the stream ends.
        """
        query = request.query_as(StreamQuery)
        assert request.principal is not None
        patterns = list(event_patterns(query.events))
        where = payload_filter(query.where)
        if needs_scope(patterns) and not request.principal.may(SIGNAL_SCOPE):
            raise Forbidden(
                f"Watching deliveries needs a token with the scope {SIGNAL_SCOPE!r}; without it "
                "there is 'delivery.failed'.",
                members={"scope": SIGNAL_SCOPE},
            )
        subscriber = await self._subscriber(request, query.after, patterns, where)
        return Response(
            subscriber.chunks(random.uniform(*RETRY)),  # noqa: S311 - not a secret
            content_type="text/event-stream",
            headers={
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            },
            until=subscriber.wait_over,
        )

    async def _subscriber(
        self, request: Request, after: str | None, patterns: Sequence[str], where: Filter | None
    ) -> Subscriber:
        start = None if after is None else Cursor.parse(after)
        if seen := request.headers.get("last-event-id"):
            start = Cursor.parse(seen)
        assert request.principal is not None
        check_room(self._hub, request.principal)
        return Subscriber(
            self._hub,
            request,
            dict.fromkeys(patterns, where),
            None if start is None else await self._hub.feed.resume(start),
            keep_alive=self._keep_alive,
        )


def stream_routes(hub: Hub) -> Sequence[Route]:
    """The live feed over plain HTTP."""
    return [
        Route(
            "GET",
            "/events/stream",
            EventStream(hub).open,
            scope="events:read",
            tag="events",
            query=StreamQuery,
            errors=(InvalidCursor, TooManyRequests),
            response_type="text/event-stream",
            request_headers={
                "Last-Event-ID": Header(
                    "A cursor, as `after`; browsers send it by themselves", f"^({CURSOR})?$"
                )
            },
            ticket=True,
            cross_origin=True,
        )
    ]
