"""Which routes can be served: each well-formed, and no two at one address. Pure."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping

from pydantic import BaseModel

from hookhub.contracts.errors import PluginError
from hookhub.contracts.events import OWN
from hookhub.contracts.hints import nearest
from hookhub.contracts.routes import SCOPES, Route

METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
PARAMETER = re.compile(r"\{([a-z_][a-z0-9_]*)(:int)?\}")
# A slash at the end is for pages: their relative links need it.
_PATH = re.compile(r"/|(?:/(?:[A-Za-z0-9._~-]|\{[a-z_][a-z0-9_]*(?::int)?\})+)+/?")

Address = tuple[str, str]
"""Method and path, the parameters without their names."""


def check_route(route: object) -> Route:
    """A route that can be served, and called by somebody.

    Raises:
        PluginError: it cannot; says why.
    """
    if not isinstance(route, Route):
        raise PluginError(f"Its routes() gave {type(route).__name__}, not Route.")
    at = f"The route {route.method} {route.path!r}"
    if route.method not in METHODS:
        raise PluginError(f"{at} has no method that is served: {', '.join(METHODS)}.")
    if not _PATH.fullmatch(route.path):
        raise PluginError(f"{at} has an impossible path; one looks like '/things/{{thing_id:int}}'")
    parameters = [found[1] for found in PARAMETER.finditer(route.path)]
    if len(parameters) != len(set(parameters)):
        raise PluginError(f"{at} has two parameters of one name.")
    if not is_async(route.handler):
        raise PluginError(f"{at} has a handler that is not async; write it as 'async def'.")
    if route.scope is not None and route.scope not in SCOPES:
        near = nearest(route.scope, SCOPES)
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(SCOPES)}."
        raise PluginError(f"{at} needs the scope {route.scope!r}, which no token can have; {hint}")
    _check_models(route, at)
    return route


def _check_models(route: Route, at: str) -> None:
    models = [route.body, route.query, *route.responses.values()]
    wrong = [item for item in models if item is not None and not _is_model(item)]
    if wrong:
        raise PluginError(f"{at} names {wrong[0]!r} as a model, which is no pydantic model.")
    if not any(200 <= status < 300 for status in route.responses):
        raise PluginError(f"{at} has no answer for success; name a 2xx in 'responses'.")


def _is_model(item: object) -> bool:
    return isinstance(item, type) and issubclass(item, BaseModel)


def is_async(function: object) -> bool:
    """Whether this is an async function, or stands for one: a method, a partial, a wrapper."""
    if not callable(function):
        return False
    innermost = inspect.unwrap(function)
    return inspect.iscoroutinefunction(innermost) or inspect.iscoroutinefunction(
        type(innermost).__call__
    )


def claim_addresses(
    owner: str, routes: Iterable[Route], upgrades: Iterable[str], taken: Mapping[Address, str]
) -> dict[Address, str]:
    """The addresses of one owner's routes and takeovers, each with that owner.

    Args:
        owner: a plugin, or :data:`hookhub.contracts.events.OWN`.
        upgrades: paths on which connections are taken over.
        taken: the addresses of others.

    Raises:
        PluginError: an address is taken; names both owners.
    """
    wanted = [(route.method, PARAMETER.sub("{}", route.path)) for route in routes]
    claimed: dict[Address, str] = {}
    for address in (*wanted, *(("upgrade", path) for path in upgrades)):
        other = taken.get(address) or claimed.get(address)
        if other is not None:
            raise PluginError(f"{' '.join(address)} {_both(other, owner)}")
        claimed[address] = owner
    return claimed


def check_upgrade(path: object, handler: object) -> None:
    """Whether connections can be taken over there.

    Raises:
        PluginError: they cannot; says why.
    """
    if not isinstance(path, str) or not _PATH.fullmatch(path) or "{" in path:
        raise PluginError(f"Its upgrades() name the path {path!r}; one looks like '/ws'.")
    if not is_async(handler):
        raise PluginError(f"The handler of the upgrade {path!r} is not async.")


def _both(other: str, owner: str) -> str:
    if other == owner:
        return "is declared twice; take one of them away."
    if other == OWN:
        return "is hookhub's own; choose another path."
    return (
        f"is declared by plugin {other!r} and by plugin {owner!r}; disable one of them in "
        "[plugins] disabled."
    )
