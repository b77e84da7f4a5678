"""The event types of all plugins in one registry."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from hookhub.contracts.errors import PluginError
from hookhub.contracts.events import OWN, EventRegistry, EventType, canonical_json
from hookhub.plugins.manager import Plugins


def load_event_types(plugins: Plugins, own: Iterable[EventType] = ()) -> EventRegistry:
    """All event types of all plugins; a plugin with a wrong one is left out altogether.

    Args:
        own: types of the hub itself, which no plugin may declare.

    Raises:
        PluginError: a plugin with a wrong one is required.
    """
    registry = EventRegistry()
    for event_type in own:
        registry.register(event_type, OWN)
    for name, event_types in plugins.collect("hookhub_event_types"):
        with plugins.blaming(name):
            for event_type in event_types:
                _register(plugins, registry, name, event_type)
    plugins.check_required()
    return registry


def _register(plugins: Plugins, registry: EventRegistry, plugin: str, event_type: object) -> None:
    if not isinstance(event_type, EventType):
        raise PluginError(
            f"Its hookhub_event_types() gave {type(event_type).__name__}; it must give EventType."
        )
    registry.register(event_type, plugin)
    undo = partial(registry.unregister, event_type.name)
    plugins.contributed(plugin, "event_types", event_type.name, undo)
    # What GET /event-types will show must be there to show.
    event_type.json_schema()
    canonical_json(event_type.example)
