"""One route, ready to serve: whatever can be looked up before the first request is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import trio

from hookhub.contracts.errors import (
    Forbidden,
    NotFound,
    Unauthorized,
    UnsupportedMediaType,
)
from hookhub.contracts.routes import (
    ID_MAX,
    BodyLimit,
    Principal,
    Request,
    Response,
    Route,
)
from hookhub.http.problems import problem_response
from hookhub.plugins import only_fault
from hookhub.web.call import Params, WebRequest
from hookhub.web.reading.bodies import BodyReader, QueryReader, bearer_token, ticket_of

Authenticate = Callable[[str, str], Awaitable[Principal]]
Redeem = Callable[[str, str], Awaitable[Principal]]

LARGE = 32 * 1024
"""Bytes of a body after whose parsing others have their turn."""


@dataclass(slots=True)
class Counters:
    """What the web room counts."""

    requests: int = 0
    client_errors: int = 0
    server_errors: int = 0

    def statistics(self) -> Mapping[str, float]:
        """Counters since start."""
        return {
            "requests_total": self.requests,
            "client_errors_total": self.client_errors,
            "server_errors_total": self.server_errors,
        }

    def count(self, status: int) -> None:
        """Note one answered request."""
        self.requests += 1
        if status >= 500:
            self.server_errors += 1
        elif status >= 400:
            self.client_errors += 1


class Operation:
    """Serves one route.

    Args:
        route: what to serve.
        authenticate: who holds a token that came from an address; raises Unauthorized.
        redeem: who a one-time ticket from an address is for; raises Unauthorized.
        limit: the most that a body may have.
    """

    def __init__(
        self,
        route: Route,
        authenticate: Authenticate,
        redeem: Redeem,
        limit: BodyLimit,
    ) -> None:
        self.route = route
        self._authenticate = authenticate
        self._redeem = redeem
        self._limit = limit
        self._body = BodyReader(route) if route.body is not None or route.raw_body else None
        self._query = QueryReader(route.query)

    async def serve(self, call: WebRequest, params: Params) -> Response:
        """Answer a request, whatever its handler raises."""
        try:
            answer = await self.route.handler(await self._read(call, params))
        except BaseException as error:
            only_fault(error)
            return problem_response(error, method=call.method, path=call.path)
        route = self.route
        if not isinstance(answer, Response):
            return Response(answer, route.success, content_type=route.response_type)
        return answer if answer.status is not None else replace(answer, status=route.success)

    async def _read(self, call: WebRequest, params: Params) -> Request:
        route = self.route
        headers = call.headers
        _check_params(params)
        query_string = call.scope["query_string"]
        peer = call.scope.get("client")
        client = peer[0] if peer else ""
        principal = None
        if route.scope is not None:
            principal = await self._authorize(headers, query_string, client, route.scope)
        query = None
        if self._query.declared or query_string:
            query = self._query.read(query_string)
        body = None
        if self._body is not None:
            _check_coding(headers)
            self._body.check_type(headers)
            data = await call.body.read(headers.get("content-length"), self._limit)
            body = self._body.read(data)
            if len(data) > LARGE:  # Reading it took a while.
                await trio.lowlevel.checkpoint()
        return Request(
            method=call.method,
            path=call.path,
            params=params,
            headers=headers,
            body=body,
            query=query if self._query.declared else None,
            principal=principal,
            client=client,
            gone=call.body.wait_gone,
        )

    async def _authorize(
        self, headers: Mapping[str, str], query_string: bytes, client: str, scope: str
    ) -> Principal:
        token = bearer_token(headers)
        if token:
            principal = await self._authenticate(token, client)
        elif self.route.ticket and (ticket := ticket_of(query_string)):
            principal = await self._redeem(ticket, client)
        else:
            raise Unauthorized(
                "This needs a token; send it as 'Authorization: Bearer …' or as 'X-API-Key: …'."
            )
        if not principal.may(scope):
            raise Forbidden(
                f"The token {principal.name!r} lacks the scope {scope!r}; use one that has it.",
                members={"scope": scope},
            )
        return principal


def _check_coding(headers: Mapping[str, str]) -> None:
    """A compressed body is refused: what it would unpack to has no bound (RFC 9110 §15.5.16)."""
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise UnsupportedMediaType(
            f"The hub does not take bodies with Content-Encoding {coding[:100]!r}; send it as it "
            "is.",
            headers={"Accept-Encoding": "identity"},
        )


def _check_params(params: Params) -> None:
    """An id that no database could hold names nothing."""
    for name, value in params.items():
        if (isinstance(value, int) and value > ID_MAX) or (
            isinstance(value, str) and "\0" in value
        ):
            raise NotFound(f"There is nothing with this {name}.")
