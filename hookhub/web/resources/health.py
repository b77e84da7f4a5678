"""``/health``: is the hub well."""

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


def health_routes(hub: Hub) -> Sequence[Route]:
    """Health, for supervisors and load balancers."""

    async def live(request: Request) -> dict[str, Any]:
        """Whether the process answers; restart it if not."""
        return {"status": "ok"}

    async def ready(request: Request) -> Response:
        """Whether the hub can do its work; send it no requests if not."""
        wrong = await hub.readiness()
        well = not any(wrong.values())
        checks = {name: text or "ok" for name, text in wrong.items()}
        warning = hub.warnings()
        if warning is not None and wrong["plugins"] is None:
            checks["plugins"] = f"warning: {warning}"
        idle = hub.engine.warnings()
        if idle is not None and wrong["engine"] is None:
            checks["engine"] = f"warning: {idle}"
        return Response(
            {"status": "ok" if well else "failing", "checks": checks},
            status=200 if well else 503,
        )

    states = {200: Readiness, 503: Readiness}
    return [
        Route("GET", "/health/live", live, None, "health", responses={200: Alive}),
        Route("GET", "/health/ready", ready, None, "health", responses=states),
    ]
