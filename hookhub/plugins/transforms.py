"""All transforms that the installed plugins bring, by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError

from hookhub.contracts.errors import PluginError, ValidationFailed
from hookhub.contracts.events import Event, EventType, field_errors
from hookhub.contracts.hints import nearest
from hookhub.contracts.transforms import (
    OUTPUT_MAX,
    Transform,
    TransformError,
    TransformResult,
    UnknownTransform,
    example_event,
)
from hookhub.plugins.components import COMPONENT_NAME
from hookhub.plugins.manager import Plugins

# RFC 9110 §8.3.1, with at most one parameter; nothing that could end a header line.
_CONTENT_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:; ?[\w-]+=[\w!#$&^.+:\"-]+)?", re.ASCII)


class TransformRegistry:
    """The transforms of a hub."""

    def __init__(self) -> None:
        self._transforms: dict[str, Transform[Any]] = {}
        self._owners: dict[str, str] = {}

    def register(self, transform: object, plugin: str) -> None:
        """Add a transform.

        Raises:
            PluginError: not a transform, a bad name, no model, or a taken name (both plugins are
                named).
        """
        if not isinstance(transform, Transform):
            raise PluginError(
                f"Its hookhub_transforms() gave {type(transform).__name__}; it must give Transform."
            )
        name = getattr(transform, "name", None)
        if not isinstance(name, str) or not COMPONENT_NAME.fullmatch(name):
            raise PluginError(
                f"Plugin {plugin!r} brings a transform named {name!r}; names are words in lower "
                "case, such as 'template'."
            )
        if name in self._transforms:
            raise PluginError(
                f"The transform {name!r} is brought by plugin {self._owners[name]!r} and by plugin "
                f"{plugin!r}; disable one of them in [plugins] disabled."
            )
        model = getattr(transform, "config_model", None)
        if not isinstance(model, type) or not issubclass(model, BaseModel):
            raise PluginError(
                f"The transform {name!r} of plugin {plugin!r} has no config_model; give it a "
                "pydantic model, an empty one if there is nothing to configure."
            )
        self._transforms[name] = transform
        self._owners[name] = plugin

    def unregister(self, name: str) -> None:
        """Take a transform back: its plugin turned out to be broken."""
        self._transforms.pop(name, None)
        self._owners.pop(name, None)

    def __iter__(self) -> Iterator[Transform[Any]]:
        return iter(sorted(self._transforms.values(), key=lambda item: item.name))

    def owner(self, name: str) -> str:
        """The plugin that brings this transform.

        Raises:
            UnknownTransform: names the nearest one that there is.
        """
        self.get(name)
        return self._owners[name]

    def get(self, name: str, loc: Sequence[str | int] = ("transform", "name")) -> Transform[Any]:
        """The transform of this name.

        Args:
            loc: the place of the name in the request, for the error.

        Raises:
            UnknownTransform: names the nearest one that there is.
        """
        found = self._transforms.get(name)
        if found is None:
            message = _unknown(name, sorted(self._transforms))
            raise UnknownTransform(message, errors=[{"loc": list(loc), "msg": message}])
        return found

    def validate(
        self,
        name: str,
        config: Mapping[str, Any],
        event_types: Iterable[EventType],
        loc: Sequence[str | int] = ("transform",),
    ) -> dict[str, Any]:
        """Check and complete a transform's configuration before it is stored.

        Args:
            event_types: those that the endpoint wants; the transform must cope with the example
                of each.
            loc: the place of ``{"name", "config"}`` in the request, for the errors.

        Returns:
            The configuration with its defaults, JSON-compatible.

        Raises:
            UnknownTransform: names the nearest one that there is.
            ValidationFailed: names every wrong member, or every example that it fails with.
        """
        transform = self.get(name, (*loc, "name"))
        try:
            checked = transform.config_model.model_validate(dict(config))
        except ValidationError as error:
            errors = field_errors(error, *loc, "config")
            raise ValidationFailed(
                f"The configuration of the transform {name!r} is wrong: {errors[0]['msg']}.",
                errors=errors,
            ) from None
        failures = _check(transform, checked)
        failures = failures or [
            failure for item in event_types if (failure := _try(transform, checked, item))
        ]
        if failures:
            place = [*loc, "config"]
            raise ValidationFailed(
                failures[0], errors=[{"loc": place, "msg": failure} for failure in failures]
            )
        dumped: dict[str, Any] = checked.model_dump(mode="json")
        return dumped

    def apply(self, name: str, config: Mapping[str, Any], event: Event) -> TransformResult:
        """Make the body for one attempt.

        Args:
            config: what :meth:`validate` returned.

        Raises:
            TransformError: the transform is gone, its configuration does not fit any more, or it
                cannot make a body of this event; nothing else, whatever the transform raises.
        """
        try:
            transform = self.get(name)
            return _apply(transform, transform.config_model.model_validate(dict(config)), event)
        except UnknownTransform as error:
            raise TransformError(error.detail) from None
        except ValidationError as error:
            found = field_errors(error)[0]
            raise TransformError(
                f"The stored configuration of the transform {name!r} does not fit any more: "
                f"{'.'.join(map(str, found['loc']))}: {found['msg']}. Save it anew."
            ) from None


def _apply(transform: Transform[Any], config: BaseModel, event: Event) -> TransformResult:
    """The result, held to the contract."""
    name = transform.name
    try:
        result = transform.apply(event, config)
    except TransformError:
        raise
    except (Exception, SystemExit) as error:
        raise TransformError(
            f"The transform {name!r} failed with {type(error).__name__}: {str(error)[:200]}."
        ) from error
    if not _is_result(result):
        raise TransformError(f"The transform {name!r} returned no TransformResult with bytes.")
    if len(result.body) > OUTPUT_MAX:
        raise TransformError(
            f"The transform {name!r} made {len(result.body)} bytes; {OUTPUT_MAX} are allowed."
        )
    if not _CONTENT_TYPE.fullmatch(result.content_type):
        raise TransformError(
            f"The transform {name!r} gave the content type {result.content_type[:80]!r}, which is "
            "none; it must look like 'application/json'."
        )
    return result


def _is_result(result: object) -> bool:
    return isinstance(result, TransformResult) and isinstance(result.body, bytes)


def _check(transform: Transform[Any], config: BaseModel) -> list[str]:
    """What is wrong whatever the event: nothing, or one sentence."""
    try:
        transform.check(config)
    except TransformError as error:
        return [error.detail]
    return []


def _try(transform: Transform[Any], config: BaseModel, event_type: EventType) -> str | None:
    """Why the transform fails with a type's example, or None."""
    try:
        _apply(transform, config, example_event(event_type))
    except TransformError as error:
        return f"With the example of {event_type.name!r}: {error.detail}"
    return None


def _unknown(name: str, known: Sequence[str]) -> str:
    near = nearest(name, known)
    hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(known) or 'none'}."
    return f"There is no transform {str(name)[:64]!r}; {hint}"


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
