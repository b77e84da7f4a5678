"""``/events``: one event in, and what there was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from hookhub.contracts.errors import (
    Conflict,
    IdempotencyMismatch,
    InvalidCursor,
    TooManyRequests,
    UnknownEventType,
)
from hookhub.contracts.events import Cursor
from hookhub.contracts.routes import Answer, Header, Query, Request, Response, Route
from hookhub.feed import Gap, Select, joined
from hookhub.web.resources.followers import FoundFrames, Poll
from hookhub.web.resources.models import (
    IDEMPOTENCY_KEY,
    AcceptedEvent,
    After,
    EventItem,
    EventPatterns,
    PostedEvent,
    Where,
    accepted_json,
    event_limit,
    event_patterns,
    payload_filter,
    replay_headers,
)
from hookhub.web.resources.new_events import take

if TYPE_CHECKING:
    from hookhub.hub import Hub

READS_PER_PAGE = 20
"""How often a page that is not full yet looks further before it answers with what it has."""

WAIT_MAX = 60
"""Seconds that a request may wait for the next event; proxies give up soon after."""

WINDOW = 500
"""How many events one look back of ``newest`` covers; at least the largest ``limit``."""


class EventsQuery(Query):
    """Which events."""

    after: After
    limit: int = Field(50, ge=1, le=200, description="How many items at most")
    events: EventPatterns
    where: Where
    wait: float = Field(
        0,
        ge=0,
        le=WAIT_MAX,
        description="Seconds to wait for an item if there is none yet (long polling)",
    )
    newest: bool = Field(
        False,
        description=(
            "The last items instead of the first; they are in the same order, and `cursor` is "
            f"now. With `events`, the last {READS_PER_PAGE * WINDOW:,} events are looked through"
        ),
    )


class Missed(Answer):
    """Events between the cursor and the first item that are gone."""

    missed: int | None = Field(description="How many; null if that cannot be known")


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
        new = request.body_as(PostedEvent)
        draft = self._hub.draft(new.type, new.payload, key=new.key, source=new.source, id=new.id)
        [accepted] = await take(self._hub, request, [draft])
        headers = replay_headers([accepted])
        return Response(accepted_json(accepted).encode(), headers=headers)

    async def page(self, request: Request) -> Response:
        """Events after a cursor.

        Without `after` the pages begin with the oldest event that is kept. The cursor is the one
        of the live feeds: what follows a page's cursor can be had from `/ws` or `/events/stream`
        without a seam. With `newest` the page ends now instead. With `wait`, a page that would be
        empty is answered as soon as there is an item, or empty when the time is over or the hub
        stops.
        """
        query = request.query_as(EventsQuery)
        feed = self._hub.feed
        wanted = dict.fromkeys(event_patterns(query.events), payload_filter(query.where))
        match = feed.select(wanted)
        resume = None if query.after is None else await feed.resume(Cursor.parse(query.after))
        read = self._newest if query.newest else self._following
        start = Cursor(feed.epoch, 0) if resume is None else resume.position
        found = await read(start, match, query.limit)
        if resume is None and found.gap is not None and found.gap.missed is not None:
            found = found._replace(gap=None)  # The history begins where it begins.
        gone = None if resume is None else resume.gap
        if query.wait and not (found.frames or found.gap or gone):
            poll = Poll(self._hub, request, wanted, found.position)
            found = await poll.wait(
                query.wait, lambda after: self._following(after, match, query.limit)
            )
        more = "true" if found.position.sequence < feed.last else "false"
        gap = joined(gone, found.gap)
        told = "" if gap is None else f', "gap": {json.dumps({"missed": gap.missed})}'
        tail = f'], "cursor": "{found.position}", "has_more": {more}{told}}}'
        return Response(b'{"items": [' + b", ".join(found.frames) + tail.encode())

    async def _following(self, position: Cursor, match: Select, limit: int) -> FoundFrames:
        """The first events after a position."""
        frames: list[bytes] = []
        gap: Gap | None = None
        for _ in range(READS_PER_PAGE):
            part = await self._hub.feed.read(position, match, limit - len(frames))
            if part.void:
                # What was found until now is of an epoch that has ended meanwhile.
                return FoundFrames([], part.position, part.gap)
            frames += [entry.frame for entry in part.entries]
            gap = joined(gap, part.gap)
            unchanged, position = part.position == position, part.position
            if unchanged or len(frames) >= limit:
                break
        return FoundFrames(frames, position, gap)

    async def _newest(self, floor: Cursor, match: Select, limit: int) -> FoundFrames:
        """The last events after a position, and the position of now."""
        feed = self._hub.feed
        now = feed.cursor()
        # Below the oldest event that is kept there is nothing to look through.
        oldest = (await feed.resume(Cursor(now.epoch, 0))).position
        lowest, high = max(floor.sequence, oldest.sequence), now.sequence
        frames: list[bytes] = []
        for _ in range(READS_PER_PAGE):
            low = max(lowest, high - WINDOW)
            found = await self._between(Cursor(now.epoch, low), high, match)
            if found is None:
                return FoundFrames([], feed.cursor(), Gap(None, feed.cursor()))
            frames = found + frames
            if low == lowest or len(frames) >= limit:
                break
            high = low
        return FoundFrames(frames[-limit:], now)

    async def _between(self, low: Cursor, high: int, match: Select) -> list[bytes] | None:
        """The events after ``low`` up to and including ``high``, at most WINDOW.

        None if another epoch has begun meanwhile.
        """
        frames: list[bytes] = []
        while low.sequence < high:
            part = await self._hub.feed.read(low, match, WINDOW)
            if part.void:
                return None
            frames += [entry.frame for entry in part.entries if entry.event.sequence <= high]
            if part.position == low:
                break
            low = part.position
        return frames

    async def get(self, request: Request) -> Response:
        """One event."""
        event = await self._hub.get_event(str(request.params["event_id"]))
        return Response(event.encode(self._hub.feed.epoch))


def event_routes(hub: Hub) -> Sequence[Route]:
    """Accepting one event, listing and showing."""
    events = _Events(hub)
    reads = partial(Route, "GET", scope="events:read", tag="events")
    return [
        Route(
            "POST",
            "/events",
            events.publish,
            scope="events:write",
            tag="events",
            body=PostedEvent,
            max_body=event_limit(hub.settings.events),
            responses={202: AcceptedEvent},
            errors=(UnknownEventType, IdempotencyMismatch, Conflict),
            request_headers={IDEMPOTENCY_KEY: Header("Makes a repeat harmless")},
        ),
        reads(
            "/events",
            events.page,
            query=EventsQuery,
            responses={200: EventPage},
            errors=(InvalidCursor, TooManyRequests),
            cross_origin=True,
        ),
        reads("/events/{event_id}", events.get, responses={200: EventItem}),
    ]
