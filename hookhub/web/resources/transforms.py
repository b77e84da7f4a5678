"""``GET /transforms``: other bodies than the payload, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from hookhub.contracts.routes import Answer, Request, Route

if TYPE_CHECKING:
    from hookhub.hub import Hub


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


def transform_routes(hub: Hub) -> Sequence[Route]:
    """The list of transforms."""

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

    return [
        Route(
            "GET",
            "/transforms",
            list_transforms,
            scope="webhooks:read",
            tag="webhooks",
            responses={200: TransformList},
        )
    ]
