"""JSON Schemas of the models that routes name, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from hookhub.contracts.routes import Route
from hookhub.http.problems import Problem

REF = "#/components/schemas/{model}"

Json = dict[str, Any]


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
