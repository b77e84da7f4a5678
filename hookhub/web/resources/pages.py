"""What browsers see: the API's description (``/openapi.json``, ``/docs``) and ``/hub.js``.

Swagger UI comes from this package, and the pages allow nothing else: no other host is asked for
anything.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hookhub.contracts.errors import NotFound
from hookhub.contracts.events import EventType
from hookhub.contracts.files import PAGE_HEADERS, StaticFile
from hookhub.contracts.routes import Request, Response, Route
from hookhub.web.openapi.openapi import Examples, openapi_document
from hookhub.web.resources.batch import NewEvents
from hookhub.web.resources.models import PostedEvent

if TYPE_CHECKING:
    from hookhub.hub import Hub

STATIC = Path(__file__).parents[1] / "static"
PANEL = "/admin/"
"""Where a plugin serves a panel, if one does."""
FILES = {
    "swagger-ui-bundle.js": ("swagger", "text/javascript; charset=utf-8"),
    "swagger-ui.css": ("swagger", "text/css; charset=utf-8"),
    "docs.js": ("docs", "text/javascript; charset=utf-8"),
    "docs.css": ("docs", "text/css; charset=utf-8"),
}
CLIENT = STATIC / "hub"
"""The live feed's client for browsers, for pages of any origin. It is the core's and not the
WebSocket plugin's: the panel is made of it, and without that plugin it follows the feed as
Server-Sent Events."""
MODULE = "hub.js"
DECLARATIONS = "hub.d.ts"
CLIENT_HEADERS = {
    # Modules are fetched with CORS; there is nothing in them that is not public.
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


class Pages:
    """Serves the description of a hub's API, and the client for browsers.

    Args:
        hub: whose API.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._openapi = b""
        self._client = {path.name: StaticFile.read(path) for path in sorted(CLIENT.iterdir())}
        self._panel = False

    def describe(self, routes: Sequence[Route]) -> None:
        """Write the description, of those of these routes that are an API."""
        self._panel = any(route.path == PANEL for route in routes)
        routes = [route for route in routes if route.described]
        registry = self._hub.registry
        examples = {item.name: _example(item) for item in registry}
        shown: Examples = {PostedEvent: examples, NewEvents: {"all": list(examples.values())}}
        transforms = [item.name for item in self._hub.transforms]
        self._openapi = json.dumps(openapi_document(routes, shown, registry, transforms)).encode()

    def routes(self) -> Sequence[Route]:
        """Where they are served."""
        return [
            Route("GET", "/openapi.json", self.openapi, None, "pages", described=False),
            Route("GET", "/docs", self.docs, None, "pages", described=False),
            Route("GET", "/docs/{name}", self.file, None, "pages", described=False),
            Route("GET", "/", self.root, None, "pages", described=False),
            Route("GET", f"/{MODULE}", self.module, None, "pages", described=False),
            Route("GET", f"/{DECLARATIONS}", self.declarations, None, "pages", described=False),
            Route("GET", "/hub/{name}", self.part, None, "pages", described=False),
        ]

    async def openapi(self, request: Request) -> Response:
        """The REST API as OpenAPI 3.1."""
        return Response(self._openapi)

    async def docs(self, request: Request) -> Response:
        """The API to browse and to try."""
        page = (STATIC / "docs" / "docs.html").read_bytes()
        return Response(page, content_type="text/html; charset=utf-8", headers=PAGE_HEADERS)

    async def file(self, request: Request) -> Response:
        """What ``/docs`` is made of."""
        name = str(request.params["name"])
        if name not in FILES:
            raise NotFound(f"There is no file {name[:100]!r} here.")
        folder, content_type = FILES[name]
        return Response(
            (STATIC / folder / name).read_bytes(),
            content_type=content_type,
            headers={"Cache-Control": "max-age=3600"},
        )

    async def root(self, request: Request) -> Response:
        """There is nothing at the root itself: people want the panel, programs the API."""
        person = "text/html" in request.headers.get("accept", "")
        place = "admin/" if person and self._panel else "/docs"
        return Response(status=302, headers={"Location": place, "Vary": "Accept"})

    # -- the client for browsers; its modules import each other by relative addresses -------

    async def module(self, request: Request) -> Response:
        """The module that pages import."""
        return self._client[MODULE].answer(request, CLIENT_HEADERS)

    async def declarations(self, request: Request) -> Response:
        """Its types, for TypeScript and editors."""
        return self._client[DECLARATIONS].answer(request, CLIENT_HEADERS)

    async def part(self, request: Request) -> Response:
        """What the module is made of."""
        name = str(request.params["name"])
        if name in (MODULE, DECLARATIONS) or name not in self._client:
            raise NotFound(f"There is no file {name[:100]!r} here.")
        return self._client[name].answer(request, CLIENT_HEADERS)


def _example(event_type: EventType) -> dict[str, Any]:
    return {"type": event_type.name, "payload": dict(event_type.example)}
