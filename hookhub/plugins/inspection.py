"""Holds components to their contracts before anything of them runs. Calls them; no I/O."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hookhub.contracts.components import Component, Migration
from hookhub.contracts.errors import PluginError
from hookhub.contracts.routes import Route, UpgradeHandler
from hookhub.plugins.routes import check_route, check_upgrade, is_async

CONTRACTS = ("hookhub.contracts.sinks", "hookhub.contracts.components")
METRIC = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Brought:
    """What a component brings besides itself."""

    routes: Sequence[Route]
    upgrades: Mapping[str, UpgradeHandler]
    migrations: Sequence[Migration]


def inspect_component(component: Component) -> Brought:
    """What a component brings, all of it as it should be.

    Raises:
        PluginError: something is not; says what.
        Exception: whatever the component itself raises.
    """
    _check_methods(component)
    upgrades = dict(component.upgrades())
    for path, handler in upgrades.items():
        check_upgrade(path, handler)
    routes = [check_route(route) for route in component.routes()]
    return Brought(routes, upgrades, _migrations(component))


def _check_methods(component: Component) -> None:
    """What its contract has as async must be async, and nothing else."""
    contracts = [kind for kind in type(component).__mro__ if kind.__module__ in CONTRACTS]
    for name, method in (item for kind in contracts for item in vars(kind).items()):
        if not inspect.isfunction(method) or name.startswith("_"):
            continue
        if is_async(getattr(component, name)) is not is_async(method):
            must = "must be" if is_async(method) else "must not be"
            raise PluginError(f"{name}() of {component.name!r} {must} async.")


def _migrations(component: Component) -> Sequence[Migration]:
    steps = list(component.migrations())
    for position, step in enumerate(steps, 1):
        if not isinstance(step, Migration):
            raise PluginError(f"Its migrations() gave {type(step).__name__}, not Migration.")
        if step.version != position:
            numbers = ", ".join(str(item.version) for item in steps)
            raise PluginError(
                f"The migrations of {component.name!r} are numbered {numbers}; they must be "
                "1, 2, 3 … in order."
            )
    return steps


def check_numbers(statistics: Mapping[Any, Any]) -> dict[str, float]:
    """What a component's ``statistics()`` gave, if ``/metrics`` can show it.

    Raises:
        PluginError: a name or a value is none; says which.
    """
    numbers = dict(statistics)
    for name, value in numbers.items():
        if not isinstance(name, str) or not METRIC.fullmatch(name):
            raise PluginError(f"statistics() names a number {name!r}, which is no snake_case name.")
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise PluginError(f"statistics() gives {value!r} as {name!r}, which is no number.")
    return numbers
