"""The web application: the routes of the core and of all plugins put together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from werkzeug.exceptions import MethodNotAllowed

from hookhub.config import Settings
from hookhub.contracts.errors import UpgradeRequired
from hookhub.contracts.routes import BodyLimit, Response, Route
from hookhub.web.asgi import HubApp
from hookhub.web.call import Params, View, WebRequest
from hookhub.web.cross_origin import CrossOrigin
from hookhub.web.operation import Operation
from hookhub.web.resources.metrics import metrics_routes
from hookhub.web.resources.models import event_limit
from hookhub.web.resources.pages import Pages

if TYPE_CHECKING:
    from hookhub.hub import Hub

BODY_TIMEOUT = 60.0
"""Seconds for the whole body of a request, however many bytes come at a time."""
PARSED_MAX = 272 * 1024
"""Bytes of a body that is parsed at one go: tens of milliseconds in which nobody has a turn."""


def create_app(hub: Hub, routes: Sequence[Route], upgrades: Iterable[str] = ()) -> HubApp:
    """The app that serves these routes, ``/metrics`` and the descriptions of the API.

    Args:
        hub: what they act on.
        routes: the core's (:func:`hookhub.web.resources.core_routes`) and those of plugins, as
            :func:`hookhub.web.assembly.assemble` has checked them.
        upgrades: paths where connections are taken over; plain requests are told so.
    """
    app = HubApp(hub.stopping)
    app.config["MAX_CONTENT_LENGTH"] = hub.settings.server.max_body
    app.config["BODY_TIMEOUT"] = BODY_TIMEOUT
    pages = Pages(hub)
    served = [*pages.routes(), *routes, *metrics_routes(hub, app.counters.statistics)]
    pages.describe(served)
    cross_origin = CrossOrigin(hub.settings)
    for route in served:
        operation = Operation(
            route,
            hub.tokens.authenticate,
            hub.tokens.redeem_ticket,
            _body_limit(route, hub.settings),
        )
        if route.cross_origin:
            app.add_view(route.method, route.path, cross_origin.shared(operation.serve))
            app.add_view("OPTIONS", route.path, cross_origin.preflight(route.method))
        else:
            app.add_view(route.method, route.path, operation.serve)
    _refuse_other_methods(app, served)
    taken = {(route.method, route.path) for route in served}
    for path in upgrades:
        if ("GET", path) not in taken:
            app.add_view("GET", path, _require_upgrade)
    return app


def _body_limit(route: Route, settings: Settings) -> BodyLimit:
    limits = [BodyLimit(settings.server.max_body, "[server] max_body")]
    if route.max_body is not None:
        limits.append(route.max_body)
    elif not route.raw_body:
        parsed = BodyLimit(PARSED_MAX, "the most that is read at one go")
        limits.append(max(parsed, event_limit(settings.events)))
    return min(limits)


async def _require_upgrade(call: WebRequest, params: Params) -> Response:
    raise UpgradeRequired(
        "This address speaks WebSocket; connect to it with a WebSocket client. A proxy in between "
        "must pass Upgrade and Connection on.",
        headers={"Upgrade": "websocket", "Connection": "Upgrade"},
    )


def _refuse_other_methods(app: HubApp, routes: Sequence[Route]) -> None:
    """405 for the other methods of fixed paths, even where ``/events/{event_id}`` would match."""
    methods: dict[str, set[str]] = {}
    for route in routes:
        if "{" not in route.path:
            methods.setdefault(route.path, set()).add(route.method)
    for path, declared in methods.items():
        allowed = sorted(declared | ({"HEAD"} if "GET" in declared else set()))
        # Added last, so that it gets what no rule of the same path takes.
        app.add_view(None, path, _method_refuser(allowed))


def _method_refuser(allowed: Sequence[str]) -> View:
    async def refuse(call: WebRequest, params: Params) -> Response:
        raise MethodNotAllowed(list(allowed))

    return refuse
