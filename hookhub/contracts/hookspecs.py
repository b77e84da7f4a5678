"""Everything a plugin can do, on one page.

A plugin is a distribution with an entry point in the group ``hookhub`` that names a module (or
object) with some of these functions, each marked ``@hookhub.hookimpl``. Hooks are synchronous,
called once at start, and return objects; what happens later happens through those objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click

    from hookhub.contracts.components import Source
    from hookhub.contracts.events import EventType
    from hookhub.contracts.sinks import DurableSink, LiveSink
    from hookhub.contracts.transforms import Transform
    from hookhub.hub import Hub

hookspec = pluggy.HookspecMarker("hookhub")
hookimpl = pluggy.HookimplMarker("hookhub")


@hookspec
def hookhub_event_types() -> Iterable[EventType]:  # type: ignore[empty-body]
    """The event types that this plugin declares."""


@hookspec
def hookhub_sources(hub: Hub) -> Iterable[Source]:  # type: ignore[empty-body]
    """Domains whose changes are events: tables, routes, background work."""


@hookspec
def hookhub_sinks(hub: Hub) -> Iterable[LiveSink | DurableSink]:  # type: ignore[empty-body]
    """Where events go: live sinks see all at once, durable sinks make single attempts."""


@hookspec
def hookhub_transforms() -> Iterable[Transform[Any]]:  # type: ignore[empty-body]
    """Other bodies than the payload, by name, for endpoints that ask for them."""


@hookspec
def hookhub_commands(cli: click.Group) -> None:
    """Add commands below ``hookhub``. No hub is running then; open what the command needs."""
