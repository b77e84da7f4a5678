"""Pages of other origins: browsers let them call only what says so (CORS, Fetch §3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hookhub.config import Settings
from hookhub.contracts.routes import Response
from hookhub.feed import origin_allowed, origins_known
from hookhub.web.call import Params, View, WebRequest

HEADERS = "Authorization, X-API-Key, Last-Event-ID"
MAX_AGE = 7200
"""Seconds that browsers remember a permission; none of them does so for longer."""


class CrossOrigin:
    """Lets the pages that may open ``/ws`` call routes that are marked ``cross_origin``.

    A token is needed all the same: the hub has no cookies, so that a page gains nothing by whose
    browser it is in.

    Args:
        settings: ``[live] origins`` and ``[server] public_url``; any page if there is neither.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known = origins_known(settings)

    def shared(self, view: View) -> View:
        """A view whose answers, refusals included, these pages may read."""

        async def answer(call: WebRequest, params: Params) -> Response:
            response = await view(call, params)
            return replace(response, headers={**response.headers, **self._permission(call)})

        return answer

    def preflight(self, method: str) -> View:
        """The view that answers whether a page may send this method, with a token."""

        allowed = {
            "Access-Control-Allow-Methods": method,
            "Access-Control-Allow-Headers": HEADERS,
            "Access-Control-Max-Age": str(MAX_AGE),
        }

        async def answer(call: WebRequest, params: Params) -> Response:
            return Response(status=204, headers={**allowed, **self._permission(call)})

        return answer

    def _permission(self, call: WebRequest) -> Mapping[str, str]:
        exposed = {"Access-Control-Expose-Headers": "Retry-After"}
        if not self._known:
            return {"Access-Control-Allow-Origin": "*", **exposed}
        origin = call.headers.get("origin")
        if origin is None or not origin_allowed(self._settings, origin):
            return {"Vary": "Origin"}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin", **exposed}
