"""``GET /events/stream``: the live feed as Server-Sent Events."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

import trio

from hookhub.errors import InvalidCursor, TooManyRequests
from hookhub.events import Cursor, type_matcher
from hookhub.routes import CURSOR, Header, Principal, Query, Request, Response, Route
from hookhub.sinks import Entry
from hookhub.web.resources.models import After, EventPatterns, event_patterns

if TYPE_CHECKING:
    from hookhub.hub import Hub

KEEP_ALIVE = 15.0
"""Seconds of silence before a comment; proxies close connections that are silent for longer."""

TOKEN_CHECK = 0.5
"""Seconds after which a revoked token is noticed."""


class StreamQuery(Query):
    """Which events, from where on."""

    after: After
    events: EventPatterns


class EventStream:
    """Serves the live feed as Server-Sent Events.

    Args:
        hub: whose feed.
        keep_alive: seconds of silence before a comment is sent.
    """

    def __init__(self, hub: Hub, keep_alive: float = KEEP_ALIVE) -> None:
        self._hub = hub
        self._keep_alive = keep_alive
        self._open: Counter[int] = Counter()

    async def open(self, request: Request) -> Response:
        """The live feed as Server-Sent Events.

        Each event has its cursor as `id`, its type as `event` and the JSON object of `GET /events`
        as `data`. A browser that reconnects sends `Last-Event-ID`, and the feed goes on without a
        seam; `after` does the same for a first connection. If the history no longer reaches back,
        an event `gap` says how much is missing. When the token is revoked, or the hub stops, the
        stream ends.
        """
        query = request.query_as(StreamQuery)
        assert request.principal is not None
        self._check_limits(request.principal)
        match = type_matcher(event_patterns(query.events))
        feed = self._hub.feed
        position, opening = feed.last, b": connected\n\n"
        start = None if query.after is None else Cursor.parse(query.after)
        if seen := request.headers.get("last-event-id"):
            start = Cursor.parse(seen)
        if start is not None:
            resume = await feed.resume(start)
            position = resume.position
            if resume.gap:
                opening += self._gap(position, resume.missed)
        return Response(
            self._chunks(opening, position, match, request.principal),
            content_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    def _check_limits(self, principal: Principal) -> None:
        live = self._hub.settings.live
        if self._open.total() >= live.max_connections:
            raise TooManyRequests(
                f"There are {live.max_connections} live connections ([live] max_connections); "
                "come back later.",
                headers={"Retry-After": "30"},
            )
        if self._open[principal.token_id] >= live.max_connections_per_token:
            raise TooManyRequests(
                f"This token has {live.max_connections_per_token} live connections "
                "([live] max_connections_per_token); close some.",
                headers={"Retry-After": "30"},
            )

    def _gap(self, position: int, missed: int | None) -> bytes:
        cursor = str(Cursor(self._hub.feed.epoch, position))
        data = json.dumps({"type": "gap", "missed": missed, "cursor": cursor})
        return f"id: {cursor}\nevent: gap\ndata: {data}\n\n".encode()

    async def _chunks(
        self, opening: bytes, position: int, match: Callable[[str], bool], principal: Principal
    ) -> AsyncIterator[bytes]:
        # Counted here and not in open(): a generator that was never started has no finally.
        self._open[principal.token_id] += 1
        try:
            yield opening
            spoke = trio.current_time()
            while self._hub.tokens.still_valid(principal) is None:
                part = await self._hub.feed.read(position, match)
                if part.missed:
                    # Retention went faster than this reader.
                    yield self._gap(position + part.missed, part.missed)
                unchanged, position = part.position == position, part.position
                if part.entries:
                    yield b"".join(map(self._frame, part.entries))
                    spoke = trio.current_time()
                elif unchanged:
                    with trio.move_on_after(min(TOKEN_CHECK, self._keep_alive)):
                        await self._hub.feed.wait(position)
                if trio.current_time() - spoke >= self._keep_alive:
                    yield b": keep-alive\n\n"
                    spoke = trio.current_time()
        finally:
            self._open[principal.token_id] -= 1

    def _frame(self, entry: Entry) -> bytes:
        cursor = Cursor(self._hub.feed.epoch, entry.event.sequence)
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (
            str(cursor).encode(),
            entry.event.type.encode(),
            entry.frame,
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
        )
    ]
