"""From bytes to what a handler is given: tokens, media types, bodies and query strings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import reduce
from operator import getitem
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from pydantic import BaseModel, RootModel, ValidationError

from hookhub.contracts.errors import (
    FieldError,
    MalformedRequest,
    UnsupportedMediaType,
    ValidationFailed,
    wrong_field,
)
from hookhub.contracts.events import ERRORS_NAMED, field_errors, parse_json
from hookhub.contracts.routes import Query, Route

MAX_ERRORS = 100
"""Wrong fields that one answer names at most."""

MAX_QUERY_FIELDS = 100

_INTEGER = re.compile(r"(-?(?:0|[1-9][0-9]{0,30}))(?:\.0{1,30})?")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,30})?")
_SURROGATE = re.compile("[\ud800-\udfff]")


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """The token of a request: ``Authorization: Bearer …`` (RFC 6750) or ``X-API-Key: …``."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if token and scheme.lower() == "bearer":
        return token.strip()
    return headers.get("x-api-key")


def ticket_of(query_string: bytes) -> str | None:
    """The one-time ticket of ``?ticket=``, if there is one."""
    for pair in query_string.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name == b"ticket" and value:
            return unquote_plus(value.decode("latin-1"))
    return None


def media_type(headers: Mapping[str, str]) -> str | None:
    """The Content-Type without its parameters, in lower case; None if there is none."""
    value = headers.get("content-type")
    return value.partition(";")[0].strip().lower() if value is not None else None


class BodyReader:
    """Turns the body of one route into its model, or says what is wrong with it."""

    def __init__(self, route: Route) -> None:
        self._types = frozenset(route.body_types)
        self._raw = route.raw_body
        self._model = route.body
        self.optional = route.body is not None and not _required(route.body)

    def check_type(self, headers: Mapping[str, str]) -> None:
        """Refuse a Content-Type that the route does not take; none at all is fine.

        Raises:
            UnsupportedMediaType: names those it takes.
        """
        given = media_type(headers)
        if given is not None and given not in self._types:
            raise UnsupportedMediaType(
                f"This address does not take {given[:100]!r}; send "
                + " or ".join(sorted(self._types))
                + "."
            )

    def read(self, data: bytes) -> Any:
        """The body as the handler wants it.

        Raises:
            MalformedRequest: it is not JSON.
            ValidationFailed: names every wrong field.
        """
        if self._raw or self._model is None:
            return data
        if not data:
            if not self.optional:
                raise MalformedRequest("The body is empty; send JSON.")
            data = b"{}"
        return validate_json_body(self._model, parse_json(data), has_escapes(data))


def has_escapes(data: bytes) -> bool:
    """Whether JSON text holds ``\\u`` escapes: only those can make NUL and lone surrogates."""
    return b"\\u" in data


def validate_json_body(
    model: type[BaseModel], value: Any, escapes: bool, *loc: str | int
) -> BaseModel:
    """Check a parsed body strictly: a string is no number, but an RFC 3339 text is a time.

    ``5.0`` is an integer, as JSON Schema has it; in ``value`` it then is ``5``.

    Args:
        escapes: whether what ``value`` was parsed from :func:`has_escapes`.
        loc: what stands before the place of each wrong field.

    Raises:
        ValidationFailed: names every wrong field.
    """
    if not isinstance(value, dict) and not issubclass(model, RootModel):
        message = "must be a JSON object"
        raise invalid([{"loc": [*loc], "msg": message}])
    try:
        checked: BaseModel = model.__pydantic_validator__.validate_python(value, strict=True)
    except ValidationError as error:
        checked = _validate_as_json(model, value, error, loc)
    if escapes:
        check_text(checked, *loc)
    return checked


def _validate_as_json(
    model: type[BaseModel], value: Any, first: ValidationError, loc: tuple[str | int, ...]
) -> BaseModel:
    """Pydantic's JSON mode, which knows that JSON has no times, tuples and enumerations.

    Only what Python mode refused comes here, so that the usual request is read once.
    """
    if first.error_count() > ERRORS_NAMED:
        raise invalid(field_errors(first, *loc)) from None
    _make_whole(value, first)
    try:
        text = json.dumps(value)
        checked: BaseModel = model.__pydantic_validator__.validate_json(text, strict=True)
    except ValidationError as error:
        # Lone surrogates, for one, are no JSON to pydantic's own parser.
        unread = error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid"
        raise invalid(field_errors(first if unread else error, *loc)) from None
    except RecursionError:
        raise MalformedRequest("The JSON is nested too deeply; flatten it.") from None
    return checked


def _make_whole(value: Any, refused: ValidationError) -> None:
    """Turn ``5.0`` into ``5`` wherever an integer was wanted (JSON Schema, "integer")."""
    for found in refused.errors(include_url=False, include_context=False):
        number = found["input"]
        if found["type"] != "int_type" or not isinstance(number, float) or not number.is_integer():
            continue
        # A place within a union is none in the value; the value itself has none at all.
        with suppress(LookupError, TypeError, ValueError):
            *path, last = found["loc"]
            holder = reduce(getitem, path, value)
            if holder[last] is number:
                holder[last] = int(number)


def invalid(errors: list[FieldError]) -> ValidationFailed:
    """The 422 for these wrong fields; its sentence shows the first."""
    first = errors[0]
    place = ".".join(map(str, first["loc"]))
    more = f" ({len(errors) - 1} more in errors)" if len(errors) > 1 else ""
    message = first["msg"].rstrip(".")
    where = f"{place}: {message}" if place else f"The body: {message}"
    return ValidationFailed(f"{where}{more}.", errors=errors[:MAX_ERRORS])


def check_text(model: BaseModel, *loc: str | int) -> None:
    """Refuse text that no database keeps: NUL and lone surrogates.

    Free-form objects (a ``dict``) are not looked into: they are kept as ASCII JSON.

    Raises:
        ValidationFailed: names every such field.
    """
    errors: list[FieldError] = [
        {"loc": [*loc, *place], "msg": message} for place, message in _bad_text(model, ())
    ]
    if errors:
        raise invalid(errors)


def _bad_text(
    value: Any, loc: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        if "\0" in value:
            yield loc, "must not contain NUL (U+0000)"
        elif _SURROGATE.search(value):
            yield loc, "must not contain half of a surrogate pair"
    elif isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(value):
            yield from _bad_text(item, (*loc, index))
    elif isinstance(value, RootModel):
        yield from _bad_text(value.root, loc)
    elif isinstance(value, BaseModel):
        for name, item in value:
            yield from _bad_text(item, (*loc, name))


def _required(model: type[BaseModel]) -> bool:
    return any(item.is_required() for item in model.model_fields.values())


class QueryReader:
    """Turns query strings into the model of one route."""

    def __init__(self, model: type[BaseModel] | None) -> None:
        self.declared = model is not None
        self._model = model or Query
        schema = self._model.model_json_schema()
        properties = schema.get("properties", {})
        self._converters = {name: _converter(properties[name]) for name in properties}

    def read(self, query_string: bytes) -> BaseModel:
        """The query as the handler wants it.

        Raises:
            ValidationFailed: names every wrong parameter, also repeated and unknown ones.
        """
        values: dict[str, Any] = {}
        for name, text in _pairs(query_string):
            if name in values:
                raise invalid([{"loc": ["query", name], "msg": "must not be repeated"}])
            values[name] = self._converters.get(name, str)(text)
        try:
            found: BaseModel = self._model.__pydantic_validator__.validate_json(
                json.dumps(values), strict=True
            )
        except ValidationError as error:
            raise invalid(field_errors(error, "query")) from None
        check_text(found, "query")
        return found


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_QUERY_FIELDS,
        )
    except UnicodeDecodeError:
        message = "is not UTF-8, percent-encoded"
    except ValueError:
        message = f"has more than {MAX_QUERY_FIELDS} parameters"
    raise wrong_field(f"The query string {message}.", "query", msg=message)


def _converter(schema: Mapping[str, Any]) -> Callable[[str], Any]:
    """How the text of a parameter becomes JSON; what does not fit stays text and is refused."""
    options = [schema, *schema.get("anyOf", ())]
    types = {option.get("type") for option in options}
    if "string" in types:
        return str
    if "boolean" in types:
        return lambda text: {"true": True, "false": False}.get(text, text)
    if "integer" in types:
        return _integer
    if "number" in types:
        return lambda text: float(text) if _NUMBER.fullmatch(text) else text
    return str


def _integer(text: str) -> int | str:
    """``5``, and also ``5.0``, as in bodies."""
    found = _INTEGER.fullmatch(text)
    return int(found[1]) if found is not None else text
