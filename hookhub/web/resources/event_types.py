"""``GET /event-types``: what the installed plugins declare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from hookhub.contracts.routes import Answer, Request, Route

if TYPE_CHECKING:
    from hookhub.hub import Hub


class EventTypeItem(Answer):
    """A kind of event."""

    name: str = Field(examples=["user.created"])
    description: str = Field(description="When it happens")
    plugin: str = Field(description="Who declares it")
    payload_schema: dict[str, Any] = Field(alias="schema", description="JSON Schema of the payload")
    example: dict[str, Any] = Field(description="A payload that fits")


class EventTypeList(Answer):
    """All event types, by name."""

    items: list[EventTypeItem]
    total: int


def event_type_routes(hub: Hub) -> Sequence[Route]:
    """The list of event types."""

    async def list_event_types(request: Request) -> dict[str, Any]:
        """All event types that the installed plugins declare."""
        items = [
            {
                "name": item.name,
                "description": item.description,
                "plugin": item.plugin,
                "schema": item.json_schema(),
                "example": dict(item.example),
            }
            for item in hub.registry
        ]
        return {"items": items, "total": len(items)}

    return [
        Route(
            "GET",
            "/event-types",
            list_event_types,
            scope="events:read",
            tag="events",
            responses={200: EventTypeList},
        )
    ]
