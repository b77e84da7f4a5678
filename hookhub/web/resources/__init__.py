"""The core's own REST resources, one module each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookhub.contracts.routes import Route
from hookhub.web.resources.audit import audit_routes
from hookhub.web.resources.batch import batch_routes
from hookhub.web.resources.deliveries import delivery_routes
from hookhub.web.resources.events import event_routes
from hookhub.web.resources.health import health_routes
from hookhub.web.resources.live import live_routes
from hookhub.web.resources.nodes import node_routes
from hookhub.web.resources.plugins import plugin_routes
from hookhub.web.resources.replays import replay_routes
from hookhub.web.resources.stats import stats_routes
from hookhub.web.resources.stream import stream_routes
from hookhub.web.resources.tokens import token_routes

if TYPE_CHECKING:
    from hookhub.hub import Hub


def core_routes(hub: Hub) -> list[Route]:
    """The routes that a hub has without any plugin."""
    return [
        *event_routes(hub),
        *batch_routes(hub),
        *stream_routes(hub),
        *live_routes(hub),
        *plugin_routes(hub),
        *delivery_routes(hub),
        *replay_routes(hub),
        *audit_routes(hub),
        *stats_routes(hub),
        *node_routes(hub),
        *token_routes(hub),
        *health_routes(hub),
    ]
