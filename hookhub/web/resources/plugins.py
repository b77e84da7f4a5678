"""``/plugins``, ``/event-types``, ``/transforms``: the installed plugins, and what they bring."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import Field

from hookhub.contracts.events import EventType
from hookhub.contracts.routes import Answer, Request, Route
from hookhub.contracts.strict_json import Json

if TYPE_CHECKING:
    from hookhub.hub import Hub


class PluginItem(Answer):
    """A plugin that was found."""

    name: str
    version: str
    distribution: str
    contributes: dict[str, list[str]] = Field(description="Kind to names: event types, sinks …")
    error: str | None = Field(description="Why it could not be loaded, or what fails now")
    disabled: bool = Field(description="Left out by `[plugins] disabled`")
    load_seconds: float = Field(description="What its import and its hooks took at the start")


class PluginList(Answer):
    """All plugins that were found."""

    items: list[PluginItem]
    total: int


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


class TransformItem(Answer):
    """A transform that an endpoint may name."""

    name: str = Field(examples=["template"])
    description: str = Field(description="What it makes")
    plugin: str = Field(description="Who brings it")
    config_schema: dict[str, Any] = Field(description="JSON Schema of its configuration")


class TransformList(Answer):
    """All transforms, by name."""

    items: list[TransformItem]
    total: int


def shown_event_types(types: Iterable[EventType]) -> list[Json]:
    """Event types as they are listed, here and by ``hookhub event-types``."""
    return [
        {
            "name": item.name,
            "description": item.description,
            "plugin": item.plugin,
            "schema": item.json_schema(),
            "example": dict(item.example),
        }
        for item in types
    ]


def plugin_routes(hub: Hub) -> Sequence[Route]:
    """The lists of plugins, event types and transforms."""

    async def list_plugins(request: Request) -> dict[str, Any]:
        """The plugins that were found, what each contributes, and what is wrong with it."""
        items = [asdict(item) for item in hub.plugins.report()]
        for item in items:
            del item["traceback"]  # It is for the author, on the command line.
        return {"items": items, "total": len(items)}

    async def list_event_types(request: Request) -> dict[str, Any]:
        """All event types that the installed plugins declare."""
        items = shown_event_types(hub.registry)
        return {"items": items, "total": len(items)}

    async def list_transforms(request: Request) -> dict[str, Any]:
        """All transforms that hookhub and the installed plugins bring."""
        items = [
            {
                "name": item.name,
                "description": item.description,
                "plugin": hub.transforms.owner(item.name),
                "config_schema": item.config_model.model_json_schema(),
            }
            for item in hub.transforms
        ]
        return {"items": items, "total": len(items)}

    types, transforms = {200: EventTypeList}, {200: TransformList}
    return [
        Route("GET", "/plugins", list_plugins, "admin", "health", responses={200: PluginList}),
        Route("GET", "/event-types", list_event_types, "events:read", "events", responses=types),
        Route(
            "GET", "/transforms", list_transforms, "webhooks:read", "webhooks", responses=transforms
        ),
    ]
