"""One route, ready to serve: whatever can be looked up before the first request is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import quart
import trio
from pydantic import BaseModel
from quart.wrappers import Response as QuartResponse
from quart_trio.wrappers import TrioResponse

from hookhub.contracts.errors import Forbidden, NotFound, Unauthorized, UnsupportedMediaType
from hookhub.contracts.routes import (
    ID_MAX,
    BodyLimit,
    Principal,
    Request,
    Response,
    Returned,
    Route,
)
from hookhub.http.problems import problem_response
from hookhub.plugins import only_fault
from hookhub.web.asgi import StreamedResponse
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
        counters: told of every answer.
    """

    def __init__(
        self,
        route: Route,
        authenticate: Authenticate,
        redeem: Redeem,
        counters: Counters,
        limit: BodyLimit,
    ) -> None:
        self.route = route
        self._authenticate = authenticate
        self._redeem = redeem
        self._counters = counters
        self._limit = limit
        self._body = BodyReader(route) if route.body is not None or route.raw_body else None
        self._query = QueryReader(route.query)

    async def serve(self, **params: int | str) -> QuartResponse:
        """Answer the current request, whatever its handler raises."""
        request = quart.request._get_current_object()  # type: ignore[attr-defined]
        try:
            handed = await self._read(request, params)
            response = _to_response(await self.route.handler(handed), self.route)
        except BaseException as error:
            only_fault(error)
            response = problem_response(error, method=request.method, path=request.path)
        self._counters.count(response.status_code)
        return response

    async def _read(self, request: quart.Request, params: Mapping[str, int | str]) -> Request:
        route = self.route
        scope = request.scope
        headers = _headers(scope["headers"])
        _check_params(params)
        query_string = scope["query_string"]
        peer = scope.get("client")
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
            request.body.bound(self._limit)  # type: ignore[attr-defined]
            data = await request.get_data()
            assert isinstance(data, bytes)
            body = self._body.read(data)
            if len(data) > LARGE:  # Reading it took a while.
                await trio.lowlevel.checkpoint()
        return Request(
            method=request.method,
            path=request.path,
            params=params,
            headers=headers,
            body=body,
            query=query if self._query.declared else None,
            principal=principal,
            client=client,
            gone=request.body.wait_gone,  # type: ignore[attr-defined]
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


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names in lower case; repeated ones are joined, as RFC 9110 §5.2 says."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _check_coding(headers: Mapping[str, str]) -> None:
    """A compressed body is refused: what it would unpack to has no bound (RFC 9110 §15.5.16)."""
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise UnsupportedMediaType(
            f"The hub does not take bodies with Content-Encoding {coding[:100]!r}; send it as it "
            "is.",
            headers={"Accept-Encoding": "identity"},
        )


def _check_params(params: Mapping[str, int | str]) -> None:
    """An id that no database could hold names nothing."""
    for name, value in params.items():
        if (isinstance(value, int) and value > ID_MAX) or (
            isinstance(value, str) and "\0" in value
        ):
            raise NotFound(f"There is nothing with this {name}.")


# -- answers ---------------------------------------------------------------------------------


def _to_response(answer: Returned, route: Route) -> QuartResponse:
    """The HTTP answer for what ``route``'s handler returned."""
    if not isinstance(answer, Response):
        return _whole(_encode(answer), route.success, route.response_type)
    status = answer.status if answer.status is not None else route.success
    body = answer.body
    response: QuartResponse
    if isinstance(body, AsyncIterator):
        response = StreamedResponse(body, status, answer.content_type, answer.until)
    else:
        response = _whole(_encode(body), status, answer.content_type)
    for name, value in answer.headers.items():
        response.headers[name] = value
    return response


def _whole(data: bytes | None, status: int, content_type: str) -> QuartResponse:
    if data is not None:
        return TrioResponse(data, status=status, content_type=content_type)
    response = TrioResponse(b"", status=status)
    del response.headers["Content-Type"]
    if status == 204:
        del response.headers["Content-Length"]  # RFC 9110 §8.6 forbids it
    return response


def _encode(body: BaseModel | Mapping[str, Any] | list[Any] | bytes | None) -> bytes | None:
    """An answer's body as bytes: JSON, unless it is bytes already."""
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, BaseModel):
        return type(body).__pydantic_serializer__.to_json(body, by_alias=True)
    return json.dumps(body).encode()
