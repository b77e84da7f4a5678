"""A hub put together: here it is decided which plugins are in use.

Whatever runs a hub or looks at what it would be goes through :func:`assemble`, so that they all say
the same of a plugin, and before anything of it runs.
"""

from __future__ import annotations

from hookhub.config import Settings
from hookhub.contracts.events import OWN
from hookhub.contracts.routes import Route
from hookhub.hub import Hub
from hookhub.plugins import PARAMETER, Plugins, claim_addresses, inspect_component
from hookhub.store import Store
from hookhub.web.openapi.openapi import openapi_document
from hookhub.web.resources import core_routes
from hookhub.web.resources.metrics import metrics_routes
from hookhub.web.resources.pages import Pages


def assemble(settings: Settings, store: Store, plugins: Plugins) -> Hub:
    """A hub that does not run yet; a plugin that does not keep to the contracts is left out.

    Args:
        store: may be closed.
        plugins: loaded; their hooks are called here.

    Raises:
        ConfigError: ``[plugins.<name>]`` is wrong.
        PluginError: a plugin of ``[plugins] required`` is missing or broken.
    """
    hub = Hub(settings, store, plugins)
    components = hub.components
    for component in list(components):
        if component.name in components.owners:
            with plugins.blaming(components.owners[component.name]):
                components.brought[component.name] = inspect_component(component)
    core = [*core_routes(hub), *Pages(hub).routes(), *metrics_routes(hub, dict)]
    taken = claim_addresses(OWN, core, (), {})
    for plugin in list(dict.fromkeys(components.owners.values())):
        brought = [components.brought[item.name] for item in components.of(plugin)]
        routes = [route for item in brought for route in item.routes]
        upgrades = [path for item in brought for path in item.upgrades]
        with plugins.blaming(plugin):
            # What /openapi.json will show must be there to show.
            openapi_document(routes)
            taken |= claim_addresses(plugin, routes, upgrades, taken)
            for name in (*map(_shown, routes), *(f"GET {path}" for path in upgrades)):
                plugins.contributed(plugin, "routes", name)
    plugins.check_required()
    return hub


def _shown(route: Route) -> str:
    path = PARAMETER.sub(r"{\1}", route.path)
    return f"{route.method} {path}"
