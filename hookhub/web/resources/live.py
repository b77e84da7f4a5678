"""``/live/connections``: who follows the live feed of this process."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from hookhub.contracts.answers import Time
from hookhub.contracts.errors import NotFound
from hookhub.contracts.events import Cursor
from hookhub.contracts.routes import Answer, Id, PageAnswer, Paging, Request, Route

if TYPE_CHECKING:
    from hookhub.hub import Hub

Kind = Literal["ws", "sse", "poll"]


class ConnectionsQuery(Paging):
    """Which connections."""

    kind: Kind | None = Field(None, description="Only WebSockets, streams or waiting requests")
    token_id: Id | None = Field(None, description="Only those of one token")


class ConnectionItem(Answer):
    """A live connection."""

    id: str
    kind: Kind = Field(description="WebSocket, Server-Sent Events, or a waiting `GET /events`")
    token_id: int
    token_name: str
    since: Time = Field(description="When it was opened")
    address: str = Field(description="Of the peer: a proxy's, if there is one in between")
    user_agent: str = Field(description="Empty if the client does not say")
    events: list[str] = Field(description="Type patterns")
    where: dict[str, Any] = Field(description="Pattern to the payload filter of those with one")
    cursor: str = Field(description="Everything up to here was sent, or is not wanted")
    lag: int = Field(description="How many events it is behind")
    events_sent: int
    bytes_sent: int
    messages_received: int


class ConnectionList(PageAnswer[ConnectionItem]):
    """Live connections, oldest first."""


def _own(request: Request) -> int | None:
    """The token whose connections alone may be seen; None: all."""
    assert request.principal is not None
    return None if request.principal.may("admin") else request.principal.token_id


def live_routes(hub: Hub) -> Sequence[Route]:
    """Presence, and an end by hand."""

    async def list_connections(request: Request) -> dict[str, Any]:
        """Who follows the live feed.

        A token without the scope `admin` sees its own connections. Each process of a hub knows its
        own; they are gone from the list when they end.
        """
        query = request.query_as(ConnectionsQuery)
        items, total = hub.presence.page(
            query.limit, query.offset, query.kind, query.token_id, own=_own(request)
        )
        shown = [item_json(item) for item in items]
        return query.page(shown, total)

    def item_json(item: dict[str, Any]) -> dict[str, Any]:
        feed = hub.feed
        position = item.pop("position")
        return {
            **item,
            "cursor": str(Cursor(feed.epoch, position)),
            "lag": max(0, feed.last - position),
        }

    async def close(request: Request) -> None:
        """Close a live connection.

        A WebSocket ends with 4410, a stream with an event `closing` that has this code; a waiting
        request is answered at once. A token without the scope `admin` may close its own. To keep a
        client out, revoke its token.
        """
        id = str(request.params["connection_id"])
        if not hub.presence.dismiss(id, own=_own(request)):
            raise NotFound("There is no such live connection in this process (any more).")

    route = partial(Route, scope="events:read", tag="live")
    every, one = "/live/connections", "/live/connections/{connection_id}"
    found = {200: ConnectionList}
    return [
        route("GET", every, list_connections, query=ConnectionsQuery, responses=found),
        route("DELETE", one, close, responses={204: None}),
    ]
