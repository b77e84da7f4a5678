"""OpenAPI 3.1 of a hub, made from its routes: what is served is what is described."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from hookhub import __version__
from hookhub.contracts.errors import (
    Forbidden,
    HookhubError,
    MalformedRequest,
    NotFound,
    PayloadTooLarge,
    StoreUnavailable,
    TooManyRequests,
    Unauthorized,
    UnsupportedMediaType,
    ValidationFailed,
)
from hookhub.contracts.events import EventType
from hookhub.contracts.routes import ID_MAX, Header, Route
from hookhub.contracts.strict_json import Json
from hookhub.http.problems import PROBLEM_JSON, Problem, RequestTimedOut
from hookhub.plugins import PARAMETER
from hookhub.web.openapi.schemas import Schemas, list_known, list_new_events
from hookhub.web.reading.bodies import BodyReader

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
DESCRIPTION = """\
Events in, a live feed and signed webhooks out.

Every request but those for health and metrics needs a token, sent as `Authorization: Bearer …` or
as `X-API-Key: …`; each operation names the scope that the token must have, and the scope `admin`
has all. Errors are problem documents (RFC 9457) with a stable `code`. Times are RFC 3339 in UTC.
The live feed is described at [/asyncapi.json](/asyncapi.json), if the hub has a WebSocket.
"""
TAGS = {
    "events": "Events in, and the history of them",
    "live": "Who follows the feed",
    "webhooks": "Where events are sent to",
    "deliveries": "One event on its way to one endpoint",
    "replays": "Events of the past, sent once more",
    "audit": "Is everything there that was promised",
    "stats": "How it goes, and went over the last hour, day and week",
    "tokens": "Who may use the API",
    "health": "Is the hub well",
}

_SECTION = re.compile(r"^\s*(?:Args|Raises|Returns|Yields):\s*$", re.MULTILINE)


Examples = Mapping[type[BaseModel], Mapping[str, Any]]


def openapi_document(
    routes: Sequence[Route],
    examples: Examples | None = None,
    event_types: Iterable[EventType] = (),
    transforms: Iterable[str] = (),
) -> Json:
    """The OpenAPI document of these routes.

    Args:
        examples: for body models, name to an example.
        event_types: what may be sent, and subscribed to.
        transforms: what an endpoint may name.
    """
    schemas = Schemas(routes)
    known = list(event_types)
    list_new_events(schemas.components, known)
    shown = examples or {}
    paths: dict[str, Json] = {}
    for route in routes:
        path = PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schemas, shown)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "hookhub", "version": __version__, "description": DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token"},
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "The same token, for programs that cannot send a bearer token",
                },
            },
        },
        "tags": _tags({route.tag for route in routes}),
    }
    list_known(document, known, transforms)
    return document


def _tags(used: set[str]) -> list[Json]:
    """The core's groups in the order of :data:`TAGS`, then those of plugins."""
    ours = [{"name": tag, "description": text} for tag, text in TAGS.items() if tag in used]
    return [*ours, *({"name": tag} for tag in sorted(used - set(TAGS)))]


def _operation(route: Route, schemas: Schemas, examples: Examples) -> Json:
    summary, description = _texts(route)
    operation: Json = {
        "operationId": _operation_id(route),
        "tags": [route.tag],
        "summary": summary,
        "description": description,
        "responses": _responses(route, schemas),
        "security": [{"bearer": [route.scope]}, {"apiKey": [route.scope]}] if route.scope else [],
    }
    parameters = [*_path_parameters(route), *_query_parameters(route, schemas)]
    parameters += [_header(name, header) for name, header in route.request_headers.items()]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None or route.raw_body:
        operation["requestBody"] = _request_body(route, schemas, examples)
    if route.deprecated:
        operation["deprecated"] = True
    return operation


def _operation_id(route: Route) -> str:
    words = re.findall(r"[a-z0-9_]+", PARAMETER.sub(r"\1", route.path).replace("-", "_"))
    return "_".join([route.method.lower(), *words])


def _texts(route: Route) -> tuple[str, str]:
    """The summary and the description, from the handler's docstring."""
    text = _SECTION.split(inspect.getdoc(route.handler) or "", maxsplit=1)[0].strip()
    summary, _, rest = text.partition("\n\n")
    summary = " ".join(summary.split()).removesuffix(".").replace("`", "")
    needed = f"Needs the scope `{route.scope}`." if route.scope else ""
    return summary, "\n\n".join(part for part in (rest.strip(), needed) if part)


def _path_parameters(route: Route) -> list[Json]:
    integer = {"type": "integer", "minimum": 0, "maximum": ID_MAX}
    text = {"type": "string", "minLength": 1}
    return [
        {
            "name": found[1],
            "in": "path",
            "required": True,
            "schema": integer if found[2] else text,
        }
        for found in PARAMETER.finditer(route.path)
    ]


def _query_parameters(route: Route, schemas: Schemas) -> list[Json]:
    if route.query is None:
        return []
    parameters: list[Json] = []
    for name, schema, required in schemas.query(route.query):
        described = {"description": text} if (text := schema.pop("description", None)) else {}
        parameters.append(
            {"name": name, "in": "query", "required": required, **described, "schema": schema}
        )
    return parameters


def _header(name: str, header: Header) -> Json:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": header.description,
        "schema": {"type": "string", "maxLength": 255, "pattern": header.pattern},
    }


def _request_body(route: Route, schemas: Schemas, examples: Examples) -> Json:
    content: dict[str, Json] = {media: {"schema": {"type": "string"}} for media in route.body_types}
    if route.body is not None and JSON in content:
        content[JSON] = {"schema": schemas.input(route.body)}
        if found := examples.get(route.body):
            content[JSON]["examples"] = {name: {"value": value} for name, value in found.items()}
    return {"required": not BodyReader(route).optional, "content": content}


def _responses(route: Route, schemas: Schemas) -> Json:
    responses: dict[int, Json] = {}
    for status, model in route.responses.items():
        answer: Json = {"description": HTTPStatus(status).phrase}
        if model is not None:
            answer["content"] = {route.response_type: {"schema": schemas.output(model)}}
        elif route.response_type != JSON:
            # Of an endless answer no schema can be given; AsyncAPI describes what comes in it.
            endless = route.response_type == EVENT_STREAM
            answer["content"] = {
                route.response_type: {} if endless else {"schema": {"type": "string"}}
            }
        responses[status] = answer
    problem = {PROBLEM_JSON: {"schema": schemas.output(Problem)}}
    for status, errors in _errors(route).items():
        said = "; ".join(f"{error.title} (`{error.code}`)" for error in errors)
        answer = responses.setdefault(status, {"description": said})
        answer["content"] = {**answer.get("content", {}), **problem}
    return {str(status): responses[status] for status in sorted(responses)}


def _errors(route: Route) -> dict[int, list[type[HookhubError]]]:
    """What can go wrong, by status."""
    errors: list[type[HookhubError]] = [*route.errors, ValidationFailed, HookhubError]
    if route.scope is not None:
        errors += [Unauthorized, Forbidden, TooManyRequests, StoreUnavailable]
    if "{" in route.path:
        errors.append(NotFound)
    if route.body is not None or route.raw_body:
        errors += [MalformedRequest, RequestTimedOut, PayloadTooLarge, UnsupportedMediaType]
    by_status: dict[int, list[type[HookhubError]]] = {}
    for error in dict.fromkeys(errors):
        by_status.setdefault(error.status, []).append(error)
    return by_status
