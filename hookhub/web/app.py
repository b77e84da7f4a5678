"""The web application: routes of the core and of all plugins as rules of a Quart-Trio app.

Quart keeps the rules and starts and ends the app; requests do not go through it, see
:mod:`hookhub.web.asgi`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import trio
from quart_trio import QuartTrio
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import IntegerConverter, Rule

from hookhub.config import Settings
from hookhub.contracts.errors import UpgradeRequired
from hookhub.contracts.routes import BodyLimit, Response, Route
from hookhub.plugins import PARAMETER
from hookhub.web.asgi import Call, HTTPConnection, Params, View
from hookhub.web.cross_origin import CrossOrigin
from hookhub.web.operation import Counters, Operation
from hookhub.web.resources.metrics import metrics_routes
from hookhub.web.resources.models import event_limit
from hookhub.web.resources.pages import Pages

if TYPE_CHECKING:
    from hookhub.hub import Hub

BODY_TIMEOUT = 60.0
"""Seconds for the whole body of a request, however many bytes come at a time."""
PARSED_MAX = 272 * 1024
"""Bytes of a body that is parsed at one go: tens of milliseconds in which nobody has a turn."""


class IdConverter(IntegerConverter):
    """A decimal integer without sign; what is longer than any id does not match."""

    regex = r"[0-9]{1,19}"


class HubApp(QuartTrio):
    """The hub's Quart-Trio app; see :mod:`hookhub.web.asgi` for how it is called.

    Args:
        stopping: when set, streamed answers end.
    """

    asgi_http_class = HTTPConnection  # type: ignore[assignment]

    def __init__(self, stopping: trio.Event) -> None:
        super().__init__("hookhub.web", static_folder=None)
        self.stopping = stopping
        self.counters = Counters()
        self.url_map.converters["id"] = IdConverter
        # A redirect would name a host that nobody has; what is misspelt is not there.
        self.url_map.merge_slashes = False
        self._fixed: dict[tuple[str, str], View] = {}

    def add_view(self, method: str, path: str, view: View) -> None:
        """Have ``view`` answer this method of a path, written as routes have it."""
        self.url_map.add(Rule(rule_of(path), methods=[method], endpoint=view))
        if "{" not in path:
            self._fixed[method, path] = view

    def view(self, method: str, path: str) -> tuple[View, Params]:
        """Who answers; which Host a client names makes no difference.

        Raises:
            werkzeug.exceptions.HTTPException: nobody does.
        """
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed, {}
        endpoint: Any
        endpoint, params = self.url_map.bind("hookhub").match(path, method)
        return endpoint, params


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


async def _require_upgrade(call: Call, params: Params) -> Response:
    raise UpgradeRequired(
        "This address speaks WebSocket; connect to it with a WebSocket client. A proxy in between "
        "must pass Upgrade and Connection on.",
        headers={"Upgrade": "websocket", "Connection": "Upgrade"},
    )


def rule_of(path: str) -> str:
    """Quart's form of a path: ``/webhooks/{id:int}`` is ``/webhooks/<id:id>``."""
    return PARAMETER.sub(lambda found: f"<{'id:' if found[2] else ''}{found[1]}>", path)


def _refuse_other_methods(app: HubApp, routes: Sequence[Route]) -> None:
    """405 for the other methods of fixed paths, even where ``/events/{event_id}`` would match."""
    methods: dict[str, set[str]] = {}
    for route in routes:
        if "{" not in route.path:
            methods.setdefault(route.path, set()).add(route.method)
    for path, declared in methods.items():
        allowed = sorted(declared | ({"HEAD"} if "GET" in declared else set()))
        # Added last, so that it gets what no rule of the same path takes.
        app.url_map.add(Rule(path, endpoint=_method_refuser(allowed)))


def _method_refuser(allowed: Sequence[str]) -> View:
    async def refuse(call: Call, params: Params) -> Response:
        raise MethodNotAllowed(list(allowed))

    return refuse
