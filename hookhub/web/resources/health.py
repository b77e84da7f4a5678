"""``/health`` and ``/plugins``: is the hub well, and what is it made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from hookhub.contracts.routes import Answer, Request, Response, Route

if TYPE_CHECKING:
    from hookhub.hub import Hub


class Alive(Answer):
    """The process answers."""

    status: Literal["ok"]


class Readiness(Answer):
    """Whether the hub can do its work."""

    status: Literal["ok", "failing"]
    checks: dict[str, str] = Field(description="For each part `ok`, or what is wrong with it")


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


class _Health:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def live(self, request: Request) -> dict[str, Any]:
        """Whether the process answers; restart it if not."""
        return {"status": "ok"}

    async def ready(self, request: Request) -> Response:
        """Whether the hub can do its work; send it no requests if not."""
        wrong = await self._hub.readiness()
        well = not any(wrong.values())
        checks = {name: text or "ok" for name, text in wrong.items()}
        warning = self._hub.warnings()
        if warning is not None and wrong["plugins"] is None:
            checks["plugins"] = f"warning: {warning}"
        idle = self._hub.engine.warnings()
        if idle is not None and wrong["engine"] is None:
            checks["engine"] = f"warning: {idle}"
        return Response(
            {"status": "ok" if well else "failing", "checks": checks},
            status=200 if well else 503,
        )

    async def plugins(self, request: Request) -> dict[str, Any]:
        """The plugins that were found, what each contributes, and what is wrong with it."""
        items = [
            {
                "name": item.name,
                "version": item.version,
                "distribution": item.distribution,
                "contributes": item.contributes,
                "error": item.error,
                "disabled": item.disabled,
                "load_seconds": item.load_seconds,
            }
            for item in self._hub.plugins.report()
        ]
        return {"items": items, "total": len(items)}


def health_routes(hub: Hub) -> Sequence[Route]:
    """Health, for supervisors and load balancers, and the list of plugins."""
    health = _Health(hub)
    ready = {200: Readiness, 503: Readiness}
    return [
        Route("GET", "/health/live", health.live, None, "health", responses={200: Alive}),
        Route("GET", "/health/ready", health.ready, None, "health", responses=ready),
        Route("GET", "/plugins", health.plugins, "admin", "health", responses={200: PluginList}),
    ]
