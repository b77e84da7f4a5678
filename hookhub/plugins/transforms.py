"""The transforms of all plugins in one registry."""

from __future__ import annotations

from functools import partial

from hookhub.plugins.manager import Plugins
from hookhub.transforms import TransformRegistry


def load_transforms(plugins: Plugins) -> TransformRegistry:
    """All transforms of all plugins; a plugin with a wrong one is left out.

    Raises:
        PluginError: a plugin with a wrong one is required.
    """
    registry = TransformRegistry()
    for plugin, transforms in plugins.collect("hookhub_transforms"):
        with plugins.blaming(plugin):
            for transform in transforms:
                registry.register(transform, plugin)
                undo = partial(registry.unregister, transform.name)
                plugins.contributed(plugin, "transforms", transform.name, undo)
    plugins.check_required()
    return registry
