"""The web application: routes of the core and of all plugins as rules of a Quart-Trio app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import quart
import trio
from quart.routing import QuartRule
from quart.sessions import NullSession, SessionInterface
from quart.wrappers import Response as QuartResponse
from quart.wrappers.base import BaseRequestWebsocket
from quart_trio import QuartTrio
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import IntegerConverter, MapAdapter

from hookhub.config import Settings
from hookhub.contracts.errors import UpgradeRequired
from hookhub.contracts.routes import BodyLimit, Route
from hookhub.http.problems import problem_response
from hookhub.plugins import PARAMETER
from hookhub.web.asgi import HTTPConnection, HubRequest
from hookhub.web.cross_origin import CrossOrigin, View
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


class NoSessions(SessionInterface):
    """The API knows tokens, not cookies."""

    def __init__(self) -> None:
        self._session = NullSession()

    async def open_session(self, app: Any, request: Any) -> NullSession:
        return self._session


class HubApp(QuartTrio):
    """The hub's Quart-Trio app; see :mod:`hookhub.web.asgi` for how it is called.

    Args:
        stopping: when set, streamed answers end.
    """

    asgi_http_class = HTTPConnection
    request_class = HubRequest

    def __init__(self, stopping: trio.Event) -> None:
        super().__init__("hookhub.web", static_folder=None)
        self.stopping = stopping
        self.counters = Counters()
        self.session_interface = NoSessions()  # type: ignore[assignment]
        self.url_map.converters["id"] = IdConverter
        # A redirect would name a host that nobody has; what is misspelt is not there.
        self.url_map.merge_slashes = False
        self.register_error_handler(Exception, self._answer_error)

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """Match by path and method alone: which Host a client names makes no difference."""
        if request is None:
            return None
        adapter: MapAdapter = self.url_map.bind(
            "hookhub",
            path_info=request.path,
            default_method=request.method,
            url_scheme=request.scheme,
        )
        return adapter

    async def _answer_error(self, error: Exception) -> QuartResponse:
        """Errors outside of operations: no such address, no such method."""
        request = quart.request
        response = problem_response(error, method=request.method, path=request.path)
        self.counters.count(response.status_code)
        return response


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
            app.counters,
            _body_limit(route, hub.settings),
        )
        if route.cross_origin:
            _add_rule(app, route.path, route.method, cross_origin.shared(operation.serve))
            _add_rule(app, route.path, "OPTIONS", cross_origin.preflight(route.method))
        else:
            _add_rule(app, route.path, route.method, operation.serve)
    _refuse_other_methods(app, served)
    for path in upgrades:
        if f"GET {path}" not in app.view_functions:
            _add_rule(app, path, "GET", _require_upgrade)
    return app


def _body_limit(route: Route, settings: Settings) -> BodyLimit:
    limits = [BodyLimit(settings.server.max_body, "[server] max_body")]
    if route.max_body is not None:
        limits.append(route.max_body)
    elif not route.raw_body:
        parsed = BodyLimit(PARSED_MAX, "the most that is read at one go")
        limits.append(max(parsed, event_limit(settings.events)))
    return min(limits)


async def _require_upgrade() -> QuartResponse:
    raise UpgradeRequired(
        "This address speaks WebSocket; connect to it with a WebSocket client. A proxy in between "
        "must pass Upgrade and Connection on.",
        headers={"Upgrade": "websocket", "Connection": "Upgrade"},
    )


def _add_rule(app: HubApp, path: str, method: str, view: View) -> None:
    app.add_url_rule(
        rule_of(path),
        endpoint=f"{method} {path}",
        view_func=view,
        methods=[method],
        provide_automatic_options=False,
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
        endpoint = f"other methods of {path}"
        # Added last, so that it gets what no rule of the same path takes.
        app.url_map.add(QuartRule(path, endpoint=endpoint, methods=None))
        app.view_functions[endpoint] = _method_refuser(allowed)


def _method_refuser(allowed: Sequence[str]) -> Callable[[], Awaitable[QuartResponse]]:
    async def refuse() -> QuartResponse:
        raise MethodNotAllowed(list(allowed))

    return refuse
