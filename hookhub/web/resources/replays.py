"""``/replays``: events of the past, sent to an endpoint once more."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from hookhub.contracts.answers import ReplayCount, ReplayItem
from hookhub.contracts.deliveries import ReplayChoice, ReplayState
from hookhub.contracts.errors import Conflict, InvalidCursor, NotFound
from hookhub.contracts.routes import (
    Body,
    Id,
    PageAnswer,
    Paging,
    Place,
    Request,
    Response,
    Route,
    TypePattern,
)

if TYPE_CHECKING:
    from hookhub.hub import Hub


class NewReplay(Body):
    """Which events to send once more, and where."""

    endpoint_id: Id = Field(description="A webhook, or an endpoint of another sink")
    since: Place | None = Field(
        None,
        description="From this time (RFC 3339) on, or after this cursor; the oldest event that is "
        "kept if left out",
        examples=["2026-01-31T00:00:00Z"],
    )
    until: Place | None = Field(
        None,
        description="Before this time, or up to this cursor; the newest event if left out",
    )
    events: list[TypePattern] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="Type patterns, within what the endpoint subscribes to; all of that if left "
        "out",
        examples=[["user.*"]],
    )
    only: ReplayChoice = Field(
        "all",
        description="`failed`: events whose deliveries to the endpoint have all failed; "
        "`never_sent`: events without any delivery to it",
    )
    dry_run: bool = Field(False, description="Only count them")


class ReplayList(PageAnswer[ReplayItem]):
    """A part of the list of replays, newest first."""


class ReplayQuery(Paging):
    """Which replays."""

    endpoint_id: Id | None = None
    state: ReplayState | None = None


def replay_routes(hub: Hub) -> Sequence[Route]:
    """Starting replays, and watching and steering them."""

    async def create(request: Request) -> Response:
        """Send events of the past to an endpoint once more.

        Each gets a new delivery with the same event id. The replay goes on in the background,
        through restarts, no faster than the endpoint takes it. With `dry_run` the answer is 200
        and a count, and nothing is stored.
        """
        new = request.body_as(NewReplay)
        wanted: dict[str, Any] = {
            "since": new.since,
            "until": new.until,
            "events": new.events,
            "only": new.only,
        }
        if new.dry_run:
            total = await hub.replays.count(None, new.endpoint_id, **wanted)
            return Response({"dry_run": True, "total": total}, status=200)
        replay = await hub.replays.start(None, new.endpoint_id, **wanted)
        return Response(ReplayItem.of(replay))

    async def list_replays(request: Request) -> dict[str, Any]:
        """List replays, newest first."""
        query = request.query_as(ReplayQuery)
        page = await hub.replays.list(
            endpoint_id=query.endpoint_id,
            state=query.state,
            limit=query.limit,
            offset=query.offset,
        )
        return query.page([ReplayItem.of(replay).model_dump() for replay in page.items], page.total)

    async def get(request: Request) -> ReplayItem:
        """One replay, and how far it is."""
        return ReplayItem.of(await hub.replays.get(request.id("replay_id")))

    async def pause(request: Request) -> ReplayItem:
        """Make no more deliveries until it is resumed; those that it has made go on."""
        return ReplayItem.of(await hub.replays.pause(request.id("replay_id")))

    async def resume(request: Request) -> ReplayItem:
        """Go on where it stopped, if it is paused or failed."""
        return ReplayItem.of(await hub.replays.resume(request.id("replay_id")))

    async def cancel(request: Request) -> ReplayItem:
        """End it; the deliveries that it has made stay."""
        return ReplayItem.of(await hub.replays.cancel(request.id("replay_id")))

    one = "/replays/{replay_id:int}"
    reads = partial(Route, scope="webhooks:read", tag="replays")
    writes = partial(Route, scope="webhooks:write", tag="replays")
    steers = partial(writes, responses={200: ReplayItem}, errors=(Conflict,))
    return [
        writes(
            "POST",
            "/replays",
            create,
            body=NewReplay,
            responses={201: ReplayItem, 200: ReplayCount},
            errors=(NotFound, InvalidCursor),
        ),
        reads("GET", "/replays", list_replays, query=ReplayQuery, responses={200: ReplayList}),
        reads("GET", one, get, responses={200: ReplayItem}),
        steers("POST", f"{one}/pause", pause),
        steers("POST", f"{one}/resume", resume),
        steers("POST", f"{one}/cancel", cancel),
    ]
