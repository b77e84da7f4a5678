"""``/hub.js``: the live feed's client for browsers, for pages of any origin.

It is the core's and not the WebSocket plugin's: the panel is made of it, and without that plugin
it follows the feed as Server-Sent Events.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hookhub.contracts.errors import NotFound
from hookhub.contracts.files import StaticFile
from hookhub.contracts.routes import Request, Response, Route

FOLDER = Path(__file__).parents[1] / "static" / "hub"
MODULE = "hub.js"
DECLARATIONS = "hub.d.ts"
HEADERS = {
    # Modules are fetched with CORS; there is nothing in them that is not public.
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


class BrowserClient:
    """Serves ``hub.js``, its types and the modules that it is made of.

    Args:
        folder: what is in it is served, by its name.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {path.name: StaticFile.read(path) for path in sorted(folder.iterdir())}

    def routes(self) -> Sequence[Route]:
        """Where it is served; the modules import each other by relative addresses."""
        return [
            Route("GET", f"/{MODULE}", self.module, None, "pages", described=False),
            Route("GET", f"/{DECLARATIONS}", self.declarations, None, "pages", described=False),
            Route("GET", "/hub/{name}", self.part, None, "pages", described=False),
        ]

    async def module(self, request: Request) -> Response:
        """The module that pages import."""
        return self._files[MODULE].answer(request, HEADERS)

    async def declarations(self, request: Request) -> Response:
        """Its types, for TypeScript and editors."""
        return self._files[DECLARATIONS].answer(request, HEADERS)

    async def part(self, request: Request) -> Response:
        """What the module is made of."""
        name = str(request.params["name"])
        if name in (MODULE, DECLARATIONS) or name not in self._files:
            raise NotFound(f"There is no file {name[:100]!r} here.")
        return self._files[name].answer(request, HEADERS)
