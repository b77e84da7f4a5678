"""The components that plugins bring: collected, and told apart by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hookhub.contracts.components import Component, Source
from hookhub.contracts.errors import PluginError
from hookhub.contracts.events import OWN, EventRegistry
from hookhub.contracts.own_events import sink_event_types
from hookhub.contracts.routes import Route, UpgradeHandler
from hookhub.contracts.sinks import DurableSink, LiveSink
from hookhub.plugins.inspection import Brought
from hookhub.plugins.manager import Plugins

if TYPE_CHECKING:
    from hookhub.hub import Hub
    from hookhub.store import Store


COMPONENT_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
GROUPS = frozenset(
    {
        *("broadcaster", "delivery", "egress", "feed", "http", "live", "loop", "outbox"),
        *("replays", "retention", "stats", "store", "tokens", OWN),
    }
)
"""The core's own groups of numbers in ``/metrics``, and its name: not for components."""


@dataclass(slots=True)
class Components:
    """What the installed plugins bring, by name.

    Args:
        registry: gets the event types that the hub itself has because of a durable sink.
    """

    registry: EventRegistry
    sources: dict[str, Source] = field(default_factory=dict)
    live_sinks: dict[str, LiveSink] = field(default_factory=dict)
    durable_sinks: dict[str, DurableSink] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    """Component to plugin."""
    failing: dict[str, str] = field(default_factory=dict)
    """Component to what is wrong with its background task."""
    brought: dict[str, Brought] = field(default_factory=dict)
    """Component to its routes and the like; see :func:`hookhub.web.assembly.assemble`."""

    def __iter__(self) -> Iterator[Component]:
        yield from self.sources.values()
        yield from self.live_sinks.values()
        yield from self.durable_sinks.values()

    def of(self, plugin: str) -> list[Component]:
        """The components of one plugin."""
        return [item for item in self if self.owners[item.name] == plugin]

    def routes(self) -> list[Route]:
        """The routes of all components."""
        return [route for item in self for route in self.brought[item.name].routes]

    def upgrades(self) -> dict[str, UpgradeHandler]:
        """Path to handler of all connection takeovers."""
        brought = (self.brought[item.name].upgrades for item in self)
        return {path: handler for upgrades in brought for path, handler in upgrades.items()}

    def add(self, plugins: Plugins, plugin: str, component: object) -> None:
        """Take a component in; should its plugin turn out to be broken, it goes out again.

        Raises:
            PluginError: not a component, or its name is none or taken (both plugins are named).
        """
        if not isinstance(component, Source | LiveSink | DurableSink):
            raise PluginError(
                f"It brought an object of class {type(component).__name__}, which is no Source, "
                "LiveSink or DurableSink."
            )
        name = self._checked_name(plugin, component)
        self.owners[name] = plugin
        if isinstance(component, Source):
            self.sources[name], kind = component, "sources"
        elif isinstance(component, LiveSink):
            self.live_sinks[name], kind = component, "live_sinks"
        else:
            self.durable_sinks[name], kind = component, "durable_sinks"
        plugins.contributed(plugin, kind, name, undo=lambda: self._remove(name))
        if isinstance(component, DurableSink):
            self._register_types(plugin, name)

    def _checked_name(self, plugin: str, component: Component) -> str:
        name = getattr(component, "name", None)
        if not isinstance(name, str) or not COMPONENT_NAME.fullmatch(name):
            raise PluginError(
                f"It brought a component named {name!r}; a name is a word in lower case of at most "
                "64 letters, digits, '_' and '-'."
            )
        if name in GROUPS:
            raise PluginError(
                f"Its component {name!r} has the name of a part of hookhub; give it another one."
            )
        # In the names of metrics both are the same.
        taken = {other.replace("-", "_"): other for other in self.owners}
        other = taken.get(name.replace("-", "_"))
        if other is not None and self.owners[other] == plugin:
            raise PluginError(
                f"It brings two components of the name {name!r}; give each a name of its own, "
                f"such as {name + '-source'!r}."
            )
        if other is not None:
            raise PluginError(
                f"The component {other!r} is brought by plugin {self.owners[other]!r} and {name!r} "
                f"by plugin {plugin!r}; disable one of them in [plugins] disabled."
            )
        return name

    def _register_types(self, plugin: str, sink: str) -> None:
        for event_type in sink_event_types(sink):
            if event_type.name in self.registry:
                declared = self.registry.get(event_type.name).plugin
                raise PluginError(
                    f"Because of its sink {sink!r} the hub itself has the event type "
                    f"{event_type.name!r}, which plugin {declared!r} declares too; rename one."
                )
            self.registry.register(event_type, OWN)

    def _remove(self, name: str) -> None:
        self.owners.pop(name, None)
        self.sources.pop(name, None)
        self.live_sinks.pop(name, None)
        self.brought.pop(name, None)
        if self.durable_sinks.pop(name, None) is not None:
            for event_type in sink_event_types(name):
                if event_type.name in self.registry.own:
                    self.registry.unregister(event_type.name)


def collect_components(hub: Hub) -> Components:
    """Ask every plugin for its sources and sinks; a broken one is reported and left out."""
    components = Components(hub.registry)
    for hook in ("hookhub_sources", "hookhub_sinks"):
        for plugin, values in hub.plugins.collect(hook, hub=hub):
            with hub.plugins.blaming(plugin):
                for value in values:
                    components.add(hub.plugins, plugin, value)
    return components


async def migrate_components(components: Components, plugins: Plugins, store: Store) -> None:
    """Bring the tables of all components up to date; one that fails takes its plugin out."""
    for name, plugin in list(components.owners.items()):
        # The plugin may be out already, because of its component before.
        brought = components.brought.get(name)
        if brought is not None and brought.migrations:
            with plugins.blaming(plugin):
                await store.migrate(name, brought.migrations)
