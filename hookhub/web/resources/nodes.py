"""``GET /nodes``: the hubs on this database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from hookhub.contracts.answers import Time
from hookhub.contracts.events import format_timestamp
from hookhub.contracts.routes import Answer, Request, Route
from hookhub.store.units.nodes import Node

if TYPE_CHECKING:
    from hookhub.hub import Hub


class NodeItem(Answer):
    """A hub, as of when it was last seen."""

    id: str = Field(description="Another one each time that a hub is started")
    name: str = Field(description="`[server] name`, or the machine's name")
    version: str = Field(description="Of hookhub")
    tables_version: int = Field(description="Of the core's tables, as this hub knows them")
    started_at: Time
    seen_at: Time = Field(description="When it last said that it is there")
    state: Literal["running", "draining", "gone"] = Field(
        description="`draining`: about to stop; `gone`: went without a word, or does not answer"
    )
    claimed: int = Field(ge=0, description="Deliveries that it has in its hands")
    connections: int = Field(ge=0, description="Its live connections")
    owned: int = Field(ge=0, description="Endpoints whose deliveries it alone attempts")
    this: bool = Field(description="Whether it is the one that answers")


class NodeList(Answer):
    """All hubs that have not left, in the order of their start."""

    items: list[NodeItem]
    total: int


def node_routes(hub: Hub) -> Sequence[Route]:
    """The list of hubs."""

    def shown(node: Node, now: int) -> dict[str, Any]:
        state = "draining" if node.is_draining else "running"
        item = node._asdict()
        del item["seen_until"], item["is_draining"], item["breakers"]
        return {
            **item,
            "started_at": format_timestamp(node.started_at),
            "seen_at": format_timestamp(node.seen_at),
            "state": "gone" if node.seen_until < now else state,
            "this": node.id == hub.membership.id,
        }

    async def list_nodes(request: Request) -> dict[str, Any]:
        """The hubs on this database.

        Each says every few seconds that it is there, and when it leaves; one that went without a
        word is shown as `gone` for ten minutes.
        """
        items = [shown(node, hub.now()) for node in await hub.membership.nodes()]
        return {"items": items, "total": len(items)}

    return [
        Route(
            "GET",
            "/nodes",
            list_nodes,
            scope="webhooks:read",
            tag="stats",
            responses={200: NodeList},
        )
    ]
