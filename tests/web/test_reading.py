"""Bodies are checked strictly, query strings exactly, and every wrong place is named."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from pydantic import Field, RootModel

from hookhub.contracts.errors import (
    HookhubError,
    MalformedRequest,
    UnsupportedMediaType,
    ValidationFailed,
)
from hookhub.contracts.routes import Body, Line, Query, Request, Route
from hookhub.web.reading.bodies import BodyReader, QueryReader, bearer_token


class Thing(Body):
    name: Line = Field(max_length=20)
    amount: float = 0.0
    due: datetime | None = None
    tags: list[str] = []
    free: dict[str, Any] = {}


class Things(RootModel[list[Thing]]):
    """Several."""


class Options(Body):
    loud: bool = False


class Which(Query):
    limit: int = Field(50, ge=1, le=200)
    active: bool | None = None
    ratio: float = 1.0
    name: str | None = None


class Counted(Body):
    number: int
    maybe: int | None = Field(None, ge=1)
    several: list[int] = []


class Nested(Body):
    thing: Thing
    things: list[Thing] = []


async def handler(request: Request) -> None:
    raise NotImplementedError


def reader(model: Any, **more: Any) -> BodyReader:
    return BodyReader(Route("POST", "/x", handler, None, "x", body=model, **more))


def refused(model: Any, data: bytes) -> list[Any]:
    with pytest.raises(ValidationFailed) as caught:
        reader(model).read(data)
    return [item["loc"] for item in caught.value.errors]


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"authorization": "Bearer abc"}, "abc"),
        ({"authorization": "bearer  abc "}, "abc"),
        ({"x-api-key": "abc"}, "abc"),
        ({"authorization": "Basic abc", "x-api-key": "def"}, "def"),
        ({"authorization": "Bearer abc", "x-api-key": "def"}, "abc"),
        ({"authorization": "Bearer"}, None),
        ({"authorization": "Basic abc"}, None),
        ({}, None),
    ],
)
def test_where_the_token_is(headers: dict[str, str], token: str | None) -> None:
    """Authorization: Bearer comes first, X-API-Key second; other schemes are not ours."""
    assert bearer_token(headers) == token


@pytest.mark.parametrize("given", [None, "application/json", "APPLICATION/JSON; charset=utf-8"])
def test_json_may_be_declared_or_not(given: str | None) -> None:
    """A Content-Type is compared without parameters and case; none at all is JSON."""
    reader(Thing).check_type({} if given is None else {"content-type": given})


@pytest.mark.parametrize("given", ["text/plain", "", "application/jsonp", ";", "*/*"])
def test_other_media_types(given: str) -> None:
    """Anything else is 415, and the detail says what is taken."""
    with pytest.raises(UnsupportedMediaType, match="application/json"):
        reader(Thing).check_type({"content-type": given})


def test_what_json_can_say_only_as_text() -> None:
    """Strict, but an RFC 3339 text is a time: JSON has no other way to say one."""
    thing = reader(Thing).read(b'{"name": "a", "due": "2024-05-06T07:08:09Z"}')
    assert thing.due.isoformat() == "2024-05-06T07:08:09+00:00"


def test_whole_numbers() -> None:
    """5.0 is an integer, as JSON Schema has it, wherever one is wanted; 5.5 is none."""
    counted = reader(Counted).read(b'{"number": 5.0, "maybe": 1e3, "several": [1, 2.0]}')
    assert counted.model_dump_json() == '{"number":5,"maybe":1000,"several":[1,2]}'
    assert refused(Counted, b'{"number": 5.5, "maybe": 0.0, "several": [true, 1e999]}') == [
        ["number"],
        ["maybe"],
        ["several", 0],
        ["several", 1],
    ]


@pytest.mark.parametrize(
    ("data", "places"),
    [
        (b'{"name": 5}', [["name"]]),
        (b'{"name": "a", "amount": "1"}', [["amount"]]),
        (b'{"name": "a", "amount": true}', [["amount"]]),
        (b'{"name": "a", "amount": 1e999}', [["amount"]]),
        (b'{"name": "a", "due": 5}', [["due"]]),
        (b'{"name": "a", "tags": "b"}', [["tags"]]),
        (b'{"name": "a", "tags": ["b", 1, null]}', [["tags", 1], ["tags", 2]]),
        (b'{"name": "a", "nome": "b"}', [["nome"]]),
        (b'{"amount": []}', [["name"], ["amount"]]),
        (b"[]", [[]]),
        (b"null", [[]]),
        (b'"text"', [[]]),
        (b"5", [[]]),
    ],
)
def test_every_wrong_field_is_named(data: bytes, places: list[Any]) -> None:
    """A string is no number, a bool neither, unknown names are refused: all at once."""
    assert refused(Thing, data) == places


@pytest.mark.parametrize(
    ("model", "data", "places"),
    [
        (Thing, rb'{"name": "a\u0000"}', [["name"]]),
        (Thing, rb'{"name": "\ud800"}', [["name"]]),
        (Thing, rb'{"name": "a", "tags": ["b", "\udfff", "\u0000"]}', [["tags", 1], ["tags", 2]]),
        (Nested, rb'{"thing": {"name": "a", "tags": ["\u0000"]}}', [["thing", "tags", 0]]),
        (Things, rb'[{"name": "a", "tags": ["\ud800"]}]', [[0, "tags", 0]]),
    ],
)
def test_text_that_no_database_keeps(model: Any, data: bytes, places: list[Any]) -> None:
    """NUL and halves of surrogate pairs are refused wherever a model has text."""
    assert refused(model, data) == places


def test_free_form_objects_may_hold_anything() -> None:
    """A dict is kept as ASCII JSON, which can say NUL; pairs of surrogates are fine anyway."""
    thing = reader(Thing).read(rb'{"name": "\ud83d\ude00", "free": {"a": "\u0000\ud800"}}')
    assert thing.name == "😀"
    assert thing.free == {"a": "\0\ud800"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"name": NaN}',
        b'{"name": -Infinity}',
        b'{"name": "\xff"}',
        b'{"name": "\x00"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 5000,
        b"{} {}",
    ],
)
def test_what_is_no_json(data: bytes) -> None:
    """Malformed bodies are 400 with a sentence, however they are malformed."""
    with pytest.raises(MalformedRequest):
        reader(Thing).read(data)


def test_deep_nesting_ends_in_an_answer() -> None:
    """Between what the parser refuses and what is fine, nothing but 4xx comes out."""
    for depth in (100, 300, 600, 800, 900, 950, 980, 1000, 3000, 10_000):
        data = b'{"name": 5, "free": {"a": ' + b"[" * depth + b"]" * depth + b"}}"
        with pytest.raises(HookhubError) as caught:
            reader(Thing).read(data)
        assert caught.value.status in (400, 422)


def test_nothing_sent_is_an_empty_object_where_nothing_is_needed() -> None:
    """A body whose members may all be left out may be left out."""
    assert reader(Options).read(b"").loud is False
    assert reader(Options).optional
    assert not reader(Thing).optional


def test_raw_bodies_are_not_touched() -> None:
    """A route that reads the bytes itself gets them."""
    assert reader(Thing, raw_body=True).read(b"\xff") == b"\xff"


@pytest.mark.parametrize(
    ("text", "members"),
    [
        (b"", {"limit": 50, "active": None, "ratio": 1.0, "name": None}),
        (b"limit=7&active=false", {"limit": 7, "active": False}),
        (b"limit=7.0", {"limit": 7}),
        (b"ratio=2&active=true", {"ratio": 2.0, "active": True}),
        (b"ratio=0.25&name=", {"ratio": 0.25, "name": ""}),
        (b"name=5&name%5f=", None),
        (b"name=%D0%AF+%26", {"name": "Я &"}),
    ],
)
def test_query_strings(text: bytes, members: dict[str, Any] | None) -> None:
    """Text becomes what the model says."""
    if members is None:
        with pytest.raises(ValidationFailed):
            QueryReader(Which).read(text)
    else:
        assert QueryReader(Which).read(text).model_dump().items() >= members.items()


@pytest.mark.parametrize(
    "text",
    [
        b"limit=0",
        b"limit=-1",
        b"limit=201",
        b"limit=" + b"9" * 40,
        b"limit=" + b"9" * 5000,
        b"limit=1_0",
        b"limit=%2050",
        b"limit=5.5",
        b"limit=5.",
        b"limit=0x5",
        b"limit=%D9%A5",
        b"limit=",
        b"limit=null",
        b"limit=1&limit=1",
        b"active=1",
        b"active=yes",
        b"active=True",
        b"ratio=nan",
        b"ratio=inf",
        b"ratio=1e999",
        b"name=%00",
        b"name=%FF",
        b"unknown=1",
        b"limit",
        b"=",
        b"&".join(b"a%d=1" % number for number in range(200)),
    ],
)
def test_query_strings_that_are_refused(text: bytes) -> None:
    """Wrong types, other spellings, repeated and unknown names: 422 below ``query``."""
    with pytest.raises(ValidationFailed) as caught:
        QueryReader(Which).read(text)
    assert {item["loc"][0] for item in caught.value.errors} == {"query"}


def test_a_route_without_parameters_has_none() -> None:
    """Unknown names are refused there too."""
    reader = QueryReader(None)
    reader.read(b"")
    with pytest.raises(ValidationFailed):
        reader.read(b"a=1")
