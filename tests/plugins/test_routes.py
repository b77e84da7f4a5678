"""Routes that plugins declare: each can be served and called, and each address is one owner's."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import pytest

from hookhub.contracts.errors import PluginError
from hookhub.contracts.routes import Request, Route
from hookhub.plugins.routes import check_route, check_upgrade, claim_addresses


async def nothing(request: Request) -> None:
    """Do nothing."""


@functools.wraps(nothing)
def wrapped(request: Request) -> Any:
    return nothing(request)


class Callable:
    async def __call__(self, request: Request) -> None:
        """Do nothing."""


def not_async(request: Request) -> None:
    """Do nothing, too early."""


GOOD = Route("GET", "/things", nothing, None, "things")


def route(method: str, path: str) -> Route:
    return replace(GOOD, method=method, path=path)


@pytest.mark.parametrize(
    "path",
    [
        *("", "things", "/a//", "/a//b", "/{Id}", "/{id:str}", "/<id>", "/a?b", "/{a", "/ä"),
        *("/a b", "/{a}/{a:int}"),
    ],
)
def test_impossible_paths(path: str) -> None:
    """The path that cannot be is named."""
    with pytest.raises(PluginError) as caught:
        check_route(route("GET", path))
    assert repr(path) in caught.value.detail


@pytest.mark.parametrize(
    "path", ["/", "/things", "/things/{a}/parts/{b:int}", "/x.json", "/a-b_~c"]
)
def test_possible_paths(path: str) -> None:
    """Fixed words and parameters in braces."""
    assert check_route(route("GET", path)).path == path


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("GET /things", "gave str, not Route"),
        (route("TRACE", "/x"), "no method that is served"),
        (replace(GOOD, handler=not_async), "a handler that is not async"),
        (replace(GOOD, handler=None), "a handler that is not async"),
        (replace(GOOD, scope="event:read"), "did you mean 'events:read'?"),
        (replace(GOOD, scope="root"), "no token can have; there are events:write, events:read"),
        (replace(GOOD, body=dict), "no pydantic model"),
        (replace(GOOD, query="Query"), "no pydantic model"),
        (replace(GOOD, responses={200: 1}), "no pydantic model"),
        (replace(GOOD, responses={404: None}), "no answer for success"),
    ],
)
def test_routes_that_nobody_could_call(wrong: Any, expected: str) -> None:
    """What is found out at the first request otherwise, or never, is said at once."""
    with pytest.raises(PluginError) as caught:
        check_route(wrong)
    assert expected in caught.value.detail


@pytest.mark.parametrize("handler", [nothing, wrapped, functools.partial(nothing), Callable()])
def test_async_in_other_clothes(handler: Any) -> None:
    """A partial, a wrapper and an object with an async ``__call__`` are async."""
    assert check_route(replace(GOOD, handler=handler))


@pytest.mark.parametrize(
    ("path", "handler"), [("ws", nothing), ("/ws/{id}", nothing), (5, nothing), ("/ws", not_async)]
)
def test_upgrades_that_cannot_be(path: Any, handler: Any) -> None:
    """A takeover has a fixed path and an async handler."""
    check_upgrade("/ws", nothing)
    with pytest.raises(PluginError):
        check_upgrade(path, handler)


@pytest.mark.parametrize("other", ["/things/{name}", "/things/{id:int}"])
def test_an_address_belongs_to_one_owner(other: str) -> None:
    """Both are named, whatever the parameter is called; another method is another address."""
    taken = claim_addresses("one", [route("GET", "/things/{id:int}")], ["/ws"], {})
    claim_addresses("two", [route("PUT", other)], (), taken)
    with pytest.raises(PluginError, match=r"GET .* by plugin 'one' and by plugin 'two'"):
        claim_addresses("two", [route("GET", other)], (), taken)
    with pytest.raises(PluginError, match=r"/ws .* by plugin 'one' and by plugin 'two'"):
        claim_addresses("two", (), ["/ws"], taken)
    with pytest.raises(PluginError, match="is declared twice"):
        claim_addresses("two", [route("PUT", other), route("PUT", other)], (), taken)
    core = claim_addresses("hookhub", [route("GET", "/events")], (), {})
    with pytest.raises(PluginError, match="is hookhub's own"):
        claim_addresses("two", [route("GET", "/events")], (), core)
