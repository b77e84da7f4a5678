"""``/events``: one event in, and what there was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from hookhub.errors import Conflict, IdempotencyMismatch, InvalidCursor, NotFound, UnknownEventType
from hookhub.events import Cursor, type_matcher
from hookhub.routes import Answer, Query, Request, Response, Route
from hookhub.web.resources.models import (
    IDEMPOTENCY_KEY,
    AcceptedEvent,
    After,
    EventItem,
    EventPatterns,
    NewEvent,
    accepted_json,
    event_patterns,
    idempotency_key,
)

if TYPE_CHECKING:
    from hookhub.hub import Hub

READS_PER_PAGE = 20
"""How often a page that is not full yet looks further before it answers with what it has."""


class EventsQuery(Query):
    """Which events."""

    after: After
    limit: int = Field(50, ge=1, le=200, description="How many items at most")
    events: EventPatterns


class Missed(Answer):
    """Events between the cursor and the first item that are gone."""

    missed: int | None = Field(description="How many; null if the cursor is of another database")


class EventPage(Answer):
    """Events in the order of their commits."""

    items: list[EventItem]
    cursor: str = Field(description="Where the next page begins: send it as `after`")
    has_more: bool = Field(description="Whether there is more to look at now")
    gap: Missed | None = Field(
        None, description="Only if the history no longer reaches back to the cursor"
    )


class _Events:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def publish(self, request: Request) -> Response:
        """Accept an event.

        The answer comes after the event and a delivery for every subscription that wants it are
        committed to disk. Repeating a request with the same `Idempotency-Key` (or with the same
        `id`) answers with the first event.
        """
        new = request.body_as(NewEvent)
        draft = self._hub.draft(new.type, new.payload, key=new.key, source=new.source, id=new.id)
        [accepted] = await self._hub.accept([draft], idempotency_key=idempotency_key(request))
        return Response(accepted_json(accepted).encode())

    async def page(self, request: Request) -> Response:
        """Events after a cursor.

        Without `after` the pages begin with the oldest event that is kept. The cursor is the one
        of the live feeds: what follows a page's cursor can be had from `/ws` or `/events/stream`
        without a seam.
        """
        query = request.query_as(EventsQuery)
        feed = self._hub.feed
        match = type_matcher(event_patterns(query.events))
        position, gap = 0, ""
        if query.after is not None:
            resume = await feed.resume(Cursor.parse(query.after))
            position = resume.position
            if resume.gap:
                missed = "null" if resume.missed is None else resume.missed
                gap = f', "gap": {{"missed": {missed}}}'
        frames: list[bytes] = []
        for _ in range(READS_PER_PAGE):
            part = await feed.read(position, match, query.limit - len(frames))
            frames += [entry.frame for entry in part.entries]
            unchanged, position = part.position == position, part.position
            if unchanged or len(frames) >= query.limit:
                break
        more = "true" if position < feed.last else "false"
        tail = f'], "cursor": "{Cursor(feed.epoch, position)}", "has_more": {more}{gap}}}'
        return Response(b'{"items": [' + b", ".join(frames) + tail.encode())

    async def get(self, request: Request) -> Response:
        """One event."""
        event = await self._hub.get_event(str(request.params["event_id"]))
        return Response(event.encode(self._hub.feed.epoch))


def event_routes(hub: Hub) -> Sequence[Route]:
    """Accepting one event, listing and showing."""
    events = _Events(hub)
    return [
        Route(
            "POST",
            "/events",
            events.publish,
            scope="events:write",
            tag="events",
            body=NewEvent,
            responses={202: AcceptedEvent},
            errors=(UnknownEventType, IdempotencyMismatch, Conflict),
            request_headers={IDEMPOTENCY_KEY: "1 to 255 characters; makes a repeat harmless"},
        ),
        Route(
            "GET",
            "/events",
            events.page,
            scope="events:read",
            tag="events",
            query=EventsQuery,
            responses={200: EventPage},
            errors=(InvalidCursor,),
        ),
        Route(
            "GET",
            "/events/{event_id}",
            events.get,
            scope="events:read",
            tag="events",
            responses={200: EventItem},
            errors=(NotFound,),
        ),
    ]
