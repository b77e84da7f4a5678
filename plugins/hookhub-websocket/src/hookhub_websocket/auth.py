"""Who may connect: the credentials of an upgrade request, and the origins of browsers."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from hookhub.config import Settings
from hookhub.contracts.errors import Unauthorized
from hookhub.contracts.routes import Principal, UpgradeRequest
from hookhub.feed import origin_allowed, origins_known

if TYPE_CHECKING:
    from hookhub.access import Tokens

SCOPE = "events:read"
MAX_PARAMETERS = 100


class Parameters:
    """The query string of an upgrade request. Holds secrets: never to be logged."""

    def __init__(self, query_string: bytes) -> None:
        try:
            text = query_string.decode("ascii", "replace")
            self._values = parse_qs(text, max_num_fields=MAX_PARAMETERS)
        except ValueError:  # more than any client of ours would send
            self._values = {}

    def first(self, name: str) -> str | None:
        """The first value of a parameter that is not empty."""
        return self._values.get(name, [None])[0]

    def all(self, name: str) -> list[str]:
        """Every value of a parameter."""
        return self._values.get(name, [])


def header_values(request: UpgradeRequest, name: bytes) -> list[str]:
    """All values of a header, named in lower case."""
    return [value.decode("latin-1") for key, value in request.headers if key == name]


def _bearer(request: UpgradeRequest) -> str | None:
    for value in header_values(request, b"authorization"):
        scheme, _, token = value.partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
    return None


async def authorize(
    tokens: Tokens, request: UpgradeRequest, parameters: Parameters, scope: str = SCOPE
) -> Principal:
    """Who connects: by ``?token=``, ``?api_key=``, a header or a one-time ``?ticket=``.

    Raises:
        Unauthorized: no credentials, wrong ones, or without the scope; ``detail`` says which.
        TooManyRequests: wrong ones, like others before them from this address.
    """
    token = (
        parameters.first("token")
        or parameters.first("api_key")
        or _bearer(request)
        or next(filter(None, header_values(request, b"x-api-key")), None)
    )
    ticket = parameters.first("ticket")
    if token is not None:
        principal = await tokens.authenticate(token, request.client)
    elif ticket is not None:
        principal = await tokens.redeem_ticket(ticket, request.client)
    else:
        raise Unauthorized("send a token: ?token=…, ?ticket=… or a header.")
    if not principal.may(scope):
        raise Unauthorized(f"this token lacks the scope {scope}.")
    return principal


def check_origin(settings: Settings, request: UpgradeRequest) -> None:
    """Let browsers in only from pages of the hub and of the origins that are allowed.

    Browsers send ``Origin`` and let any page open a WebSocket to anywhere (RFC 6455 §10.2);
    programs send none and need a token anyway. Enforced as soon as the hub knows an origin.

    Raises:
        Unauthorized: the page's origin is not allowed.
    """
    if not origins_known(settings):
        return
    for origin in header_values(request, b"origin"):
        if not origin_allowed(settings, origin):
            raise Unauthorized(f"origin {origin[:40]!r} is not allowed; add it to [live] origins.")
