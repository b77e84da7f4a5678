"""JSON Schemas for the OpenAPI document: of what routes name, and of what plugins bring."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from hookhub.contracts.events import OWN, EventType
from hookhub.contracts.routes import KNOWN_PATTERN, KNOWN_TRANSFORM, KNOWN_TYPE, Route
from hookhub.contracts.strict_json import Json
from hookhub.http.problems import Problem

REF = "#/components/schemas/{model}"


class Schemas:
    """What ``components/schemas`` holds, and the references to it.

    Args:
        routes: whose models.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        inputs = dict.fromkeys(route.body for route in routes if route.body is not None)
        outputs = dict.fromkeys(
            model for route in routes for model in route.responses.values() if model is not None
        )
        wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [
            *((model, "validation") for model in inputs),
            (Problem, "serialization"),
            *((model, "serialization") for model in outputs),
        ]
        found, definitions = models_json_schema(list(dict.fromkeys(wanted)), ref_template=REF)
        self._found = {(model, mode): schema for (model, mode), schema in found.items()}
        self.components: dict[str, Json] = definitions.get("$defs", {})

    def input(self, model: type[BaseModel]) -> Json:
        """The schema of a body."""
        return self._found[model, "validation"]

    def output(self, model: type[BaseModel]) -> Json:
        """The schema of an answer."""
        return self._found[model, "serialization"]

    def query(self, model: type[BaseModel]) -> Iterator[tuple[str, Json, bool]]:
        """The name, the schema and the necessity of each parameter of a query string."""
        schema = model.model_json_schema(ref_template=REF)
        self.components |= schema.get("$defs", {})
        required = schema.get("required", ())
        for name, part in schema.get("properties", {}).items():
            yield name, _without_null(part), name in required


def _without_null(schema: Json) -> Json:
    """The schema of a parameter that may be left out: text cannot say null."""
    kept = {name: value for name, value in schema.items() if name != "title"}
    if "default" in kept and kept["default"] is None:
        del kept["default"]
    options = [option for option in kept.get("anyOf", ()) if option.get("type") != "null"]
    if len(options) == 1:
        del kept["anyOf"]
        return {**options[0], **kept}
    return kept


# -- what plugins bring ----------------------------------------------------------------------

BODY = "PostedEvent"
"""The schema that stands for any event to accept; every type has its own beside it."""


def list_new_events(components: Json, event_types: Sequence[EventType]) -> None:
    """Say of the body of an event that it is one of the declared types with that type's payload.

    Args:
        components: ``components/schemas``, changed in place.
    """
    base = components.get(BODY)
    # The hub's own events are not for others to send.
    theirs = [item for item in event_types if item.plugin != OWN]
    if base is None or not theirs:
        return
    references = {}
    for item in theirs:
        name = f"{BODY}.{item.name}"
        references[item.name] = f"#/components/schemas/{name}"
        components[name] = _new_event(base, item, references[item.name])
    components[BODY] = {
        "title": base["title"],
        "description": base["description"],
        "oneOf": [{"$ref": reference} for reference in references.values()],
        "discriminator": {"propertyName": "type", "mapping": references},
    }


def _new_event(base: Json, item: EventType, reference: str) -> Json:
    # References start at the document's root, wherever they stand.
    template = f"{reference}/properties/payload/$defs/{{model}}"
    members = {
        "type": {"type": "string", "const": item.name},
        "payload": item.model.model_json_schema(ref_template=template),
    }
    return {
        **base,
        "title": item.name,
        "description": item.description,
        "properties": {**base["properties"], **members},
    }


def list_known(document: Any, event_types: Iterable[EventType], transforms: Iterable[str]) -> None:
    """List what there is wherever a schema asks for something that the hub knows.

    Args:
        document: changed in place.
    """
    names = [item.name for item in event_types]
    choices = {KNOWN_TYPE: names, KNOWN_PATTERN: patterns_of(names)}
    _fill(document, {**choices, KNOWN_TRANSFORM: list(transforms)})


def patterns_of(names: Iterable[str]) -> list[str]:
    """All patterns that match at least one of these types; see ``type_matcher``."""
    found = {"*"}
    for name in names:
        found.add(name)
        while "." in name:
            name = name.rpartition(".")[0]
            found.add(f"{name}.*")
    return sorted(found)


def _fill(node: Any, choices: dict[str, list[str]]) -> None:
    if isinstance(node, dict):
        # A property may be called "format"; then what is under it is no text.
        asked = node.get("format")
        if isinstance(asked, str) and choices.get(asked):
            node["enum"] = choices[asked]
        for value in node.values():
            _fill(value, choices)
    elif isinstance(node, list):
        for value in node:
            _fill(value, choices)
