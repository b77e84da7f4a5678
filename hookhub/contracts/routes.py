"""REST routes as data: what the core and every plugin declare, and ``hookhub.web`` serves.

A route names its models, its scope and its answers once; authentication, validation, problem
documents and the OpenAPI description all follow from that, for plugins as for the core. Nothing
here knows the web framework.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, get_args

import trio
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from hookhub.contracts.errors import HookhubError, ValidationFailed
from hookhub.contracts.errors import wrong_field as wrong_field
from hookhub.contracts.events import EVENT_TYPE_MAX, TYPE_PATTERN, check_pattern, field_errors

ModelT = TypeVar("ModelT", bound=BaseModel)
T = TypeVar("T")

ID_MAX = 2**63 - 1
"""The largest integer id; a larger one in a path is answered with 404."""

Id = Annotated[int, Field(ge=1, le=ID_MAX)]
"""An integer id in a body or a query."""

Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""Text without control characters; PostgreSQL cannot store NUL in any text."""

Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")]
"""Text of several lines: of the control characters, only tab and line breaks."""

KNOWN_TYPE = "event-type"
KNOWN_PATTERN = "event-type-pattern"
KNOWN_TRANSFORM = "transform"
"""Formats of JSON Schema that mark text which must be something that this hub knows: an event type,
a pattern that matches any, a transform. The OpenAPI document lists what there is in their places;
the handler checks it."""

EventTypeName = Annotated[
    str, Field(max_length=EVENT_TYPE_MAX, json_schema_extra={"format": KNOWN_TYPE})
]
"""A declared event type in a body."""

TypePattern = Annotated[
    str,
    Field(max_length=EVENT_TYPE_MAX, json_schema_extra={"pattern": f"^({TYPE_PATTERN.pattern})$"}),
    AfterValidator(check_pattern),
]
"""A pattern of event types, whether there are such types or not."""

EventTypePattern = Annotated[TypePattern, Field(json_schema_extra={"format": KNOWN_PATTERN})]
"""A pattern in a body that matches at least one declared event type: ``user.*``."""

TransformName = Annotated[
    str, Field(min_length=1, max_length=64, json_schema_extra={"format": KNOWN_TRANSFORM})
]
"""A transform in a body."""

CURSOR = "[a-z0-9]{4,32}-(?:[0-9a-f]{1,15}|[0-7][0-9a-f]{15})"
"""What :class:`hookhub.contracts.events.Cursor` reads, for the documentation."""

RFC_3339 = (
    "[1-9][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]"
    ":[0-5][0-9](?:\\.[0-9]{1,9})?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
"""A time that somebody sends; which days a month has is left to whoever reads it."""

Place = Annotated[
    Line,
    Field(max_length=100, json_schema_extra={"pattern": f"^(?:{RFC_3339}|{CURSOR})$"}),
]
"""A time, or a cursor: both are places in the history."""

PRINTABLE = r"^[!-~]([ -~]*[!-~])?$"
"""A header's value: the spaces around it are not part of it (RFC 9110 §5.5)."""


@dataclass(frozen=True, slots=True)
class Header:
    """A request header that a handler looks at; the hub describes it, the handler checks it.

    Args:
        description: shown in the documentation.
        pattern: a regular expression of its value, up to 255 characters.
    """

    description: str
    pattern: str = PRINTABLE


Scope = Literal["events:write", "events:read", "webhooks:read", "webhooks:write", "admin"]
"""What a token may do; ``admin`` may do all."""
SCOPES: tuple[str, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the token behind a request, without its secret."""

    token_id: int
    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether this token has ``scope``; ``admin`` has all."""
        return scope in self.scopes or "admin" in self.scopes


@dataclass(frozen=True, slots=True)
class Request:
    """A request that passed authentication and validation."""

    method: str
    path: str
    params: Mapping[str, int | str]
    """Path parameters; ``{id:int}`` gives an int."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Any
    """An instance of the route's ``body`` model; bytes if the route says ``raw_body``; or None."""
    query: Any
    """An instance of the route's ``query`` model, or None."""
    principal: Principal | None
    """None only on routes without a scope."""
    client: str
    """The peer's address."""
    gone: Callable[[], Awaitable[None]] = trio.sleep_forever
    """Returns when the client has hung up: for a handler that lets it wait."""

    def id(self, name: str) -> int:
        """The integer path parameter ``name``."""
        value = self.params[name]
        assert isinstance(value, int)
        return value

    def body_as(self, model: type[ModelT]) -> ModelT:
        """The body as the model that the route declared."""
        assert isinstance(self.body, model)
        return self.body

    def query_as(self, model: type[ModelT]) -> ModelT:
        """The query as the model that the route declared."""
        assert isinstance(self.query, model)
        return self.query


@dataclass(slots=True)
class Response:
    """An answer that is more than a model with the usual status.

    ``body`` may be a model, JSON-compatible objects, JSON text already encoded (bytes, sent with
    ``content_type``), an async iterator of bytes (streamed, without a time limit), or None.
    """

    body: BaseModel | Mapping[str, Any] | list[Any] | bytes | AsyncIterator[bytes] | None = None
    status: int | None = None
    """None: the first 2xx of the route's ``responses``."""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    until: Callable[[], Awaitable[None]] | None = None
    """Of a streamed answer: when this returns, the stream has a moment left to end by itself; then
    it is cut, whether the client reads or not. The hub's stop does the same to all streams."""


Returned = Response | BaseModel | Mapping[str, Any] | None
Handler = Callable[[Request], Awaitable[Returned]]


class BodyLimit(NamedTuple):
    """The most that the body of a request may have."""

    bytes: int
    reason: str
    """Where it comes from, for whoever is refused: ``[server] max_body``."""


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the REST API.

    Args:
        method: ``GET``, ``POST``, ``PATCH``, ``PUT`` or ``DELETE``.
        path: with parameters in braces: ``/webhooks/{webhook_id:int}``, ``/events/{event_id}``.
        handler: an async function; its docstring becomes the operation's description.
        scope: the token scope that is needed; None lets everybody in.
        tag: the group in the documentation: ``events``, ``webhooks`` …
        body: model of the JSON body, checked strictly (a string is no number).
        query: model of the query string.
        responses: status to model (None: no body); the first 2xx is the usual one.
        errors: errors that this operation adds to the general ones (400, 401, 403, 413, 422 …).
        raw_body: the handler reads the bytes itself; ``body`` only documents them.
        max_body: the most that its body may have, if that is less than ``[server] max_body``; what
            is longer is refused unread. None for all that ``[server] max_body`` allows where the
            handler reads the bytes itself, and else for 272 KiB, or what an event may have if that
            is more: nobody else has a turn while a body is parsed.
        body_types: accepted Content-Types.
        response_type: Content-Type of the answer.
        request_headers: headers that the handler looks at, by name (documentation).
        deprecated: shown in the documentation.
        ticket: a one-time ticket in the query (``?ticket=``) does in place of a token: for what
            browsers call without headers.
        cross_origin: pages of other origins may call it from browsers, those that may open the
            live feed (CORS).
        described: whether the API's descriptions show it; pages and files are no API.
    """

    method: str
    path: str
    handler: Handler
    scope: str | None
    tag: str
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    responses: Mapping[int, type[BaseModel] | None] = field(default_factory=lambda: {200: None})
    errors: tuple[type[HookhubError], ...] = ()
    raw_body: bool = False
    max_body: BodyLimit | None = None
    body_types: tuple[str, ...] = ("application/json",)
    response_type: str = "application/json"
    request_headers: Mapping[str, Header] = field(default_factory=dict)
    deprecated: bool = False
    ticket: bool = False
    cross_origin: bool = False
    described: bool = True

    @property
    def success(self) -> int:
        """The usual status: the first 2xx of ``responses``."""
        return next(status for status in self.responses if 200 <= status < 300)


class Body(BaseModel):
    """Base of request bodies: strict types, unknown members refused by name."""

    # JSON has no infinities, but a number such as 1e999 reads as one.
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Query(BaseModel):
    """Base of query strings: values are converted from text, unknown names are refused."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """Base of answers."""

    model_config = ConfigDict(extra="allow")


class Paging(Query):
    """``limit`` and ``offset`` as every list has them."""

    limit: int = Field(50, ge=1, le=200, description="How many items at most")
    offset: int = Field(0, ge=0, le=ID_MAX, description="How many items to leave out first")

    def page(self, items: Sequence[Any], total: int) -> dict[str, Any]:
        """The answer of a list: these items of so many."""
        return {"items": items, "total": total, "limit": self.limit, "offset": self.offset}


class PageAnswer(Answer, Generic[T]):
    """Base of what the lists of :class:`Paging` answer."""

    items: list[T]
    total: int
    limit: int
    offset: int


def only(model: BaseModel) -> dict[str, Any]:
    """The members that the request really sent: what PATCH must change, and nothing else."""
    return {name: getattr(model, name) for name in model.model_fields_set}


def checked(model: type[ModelT], **members: Any) -> ModelT:
    """The model made of ``members``: what a route checks in a body, for calls from Python.

    Raises:
        ValidationFailed: names every wrong member.
    """
    try:
        return model(**members)
    except ValidationError as error:
        errors = field_errors(error)
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in errors)
        raise ValidationFailed(f"{wrong}.", errors=errors) from None


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """An HTTP/1.1 upgrade request (RFC 9110 §7.8) whose connection is handed over."""

    path: str
    query_string: bytes
    headers: list[tuple[bytes, bytes]]
    """Names in lower case, in the order sent."""
    client: str
    secure: bool


UpgradeHandler = Callable[[UpgradeRequest, trio.abc.Stream], Awaitable[None]]
"""Owns the connection until it returns, from the answer to the upgrade on; the caller closes the
stream. Bytes that the client sent after its request come out of the stream first."""
