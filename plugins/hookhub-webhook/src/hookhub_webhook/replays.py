"""``POST /webhooks/{webhook_id}/replay``: events of the past once more; the hub does the work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from hookhub.contracts.answers import ReplayCount, ReplayItem
from hookhub.contracts.deliveries import ReplayChoice
from hookhub.contracts.errors import InvalidCursor, NotFound
from hookhub.contracts.routes import Body, Place, Request, Response, Route, TypePattern
from hookhub_webhook.config import NAME

if TYPE_CHECKING:
    from hookhub.hub import Hub


class WebhookReplayRequest(Body):
    """Which events to send once more; all that are kept if nothing is said."""

    since: Place | None = Field(
        None,
        description="From this time (RFC 3339) on, or after this cursor",
        examples=["2026-01-31T00:00:00Z"],
    )
    until: Place | None = Field(None, description="Before this time, or up to this cursor")
    events: list[TypePattern] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="Type patterns, within what the webhook subscribes to",
        examples=[["user.*"]],
    )
    only: ReplayChoice = Field(
        "all",
        description="`failed`: events whose deliveries to the webhook have all failed; "
        "`never_sent`: events without any delivery to it",
    )
    dry_run: bool = Field(False, description="Only count them")


def replay_routes(hub: Hub) -> Sequence[Route]:
    """The route."""

    async def replay(request: Request) -> Response:
        """Send events of the past to the webhook once more.

        Each gets a new delivery with the same `webhook-id`. The replay goes on in the background,
        through restarts, no faster than the receiver takes it. With `dry_run` the answer is 200
        and a count, and nothing is stored.
        """
        body = request.body_as(WebhookReplayRequest)
        webhook_id = request.id("webhook_id")
        wanted: dict[str, Any] = body.model_dump(exclude={"dry_run"})
        if body.dry_run:
            total = await hub.replays.count(NAME, webhook_id, **wanted)
            return Response({"dry_run": True, "total": total}, status=200)
        return Response(ReplayItem.of(await hub.replays.start(NAME, webhook_id, **wanted)))

    return [
        Route(
            "POST",
            "/webhooks/{webhook_id:int}/replay",
            replay,
            scope="webhooks:write",
            tag="replays",
            body=WebhookReplayRequest,
            responses={201: ReplayItem, 200: ReplayCount},
            errors=(NotFound, InvalidCursor),
        )
    ]
