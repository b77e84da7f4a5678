"""From what a handler returns to an HTTP answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from pydantic import BaseModel
from quart.wrappers import Response as QuartResponse
from quart_trio.wrappers import TrioResponse

from hookhub.contracts.routes import Response, Route
from hookhub.web.asgi import StreamedResponse

Answer = Response | BaseModel | Mapping[str, Any] | None


def to_response(answer: Answer, route: Route) -> QuartResponse:
    """The HTTP answer for what ``route``'s handler returned."""
    if not isinstance(answer, Response):
        return _whole(encode(answer), route.success, route.response_type)
    status = answer.status if answer.status is not None else route.success
    body = answer.body
    response: QuartResponse
    if isinstance(body, AsyncIterator):
        response = StreamedResponse(body, status, answer.content_type, answer.until)
    else:
        response = _whole(encode(body), status, answer.content_type)
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


def encode(body: BaseModel | Mapping[str, Any] | list[Any] | bytes | None) -> bytes | None:
    """An answer's body as bytes: JSON, unless it is bytes already."""
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, BaseModel):
        return type(body).__pydantic_serializer__.to_json(body, by_alias=True)
    return json.dumps(body).encode()
