"""Transforms by name: what a plugin may bring, and how it is held to the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from hookhub.contracts.errors import PluginError, ValidationFailed
from hookhub.contracts.events import Event, EventType, Payload
from hookhub.contracts.transforms import (
    OUTPUT_MAX,
    Transform,
    TransformError,
    TransformResult,
    UnknownTransform,
    example_event,
)
from hookhub.plugins import TransformRegistry
from hookhub.testing.samples import event
from hookhub_template.template import TemplateTransform


class OrderPayload(Payload):
    """The payload of the types below."""

    order_id: int


def order_type(name: str, **payload: Any) -> EventType:
    """An event type with this example."""
    return EventType(name, OrderPayload, "An order.", {"order_id": 1, **payload})


@pytest.fixture
def registry() -> TransformRegistry:
    """What a hub has with the plugin of templates alone."""
    made = TransformRegistry()
    made.register(TemplateTransform(), "template")
    return made


class Config(BaseModel):
    """The configuration of the transform below."""

    model_config = ConfigDict(strict=True, extra="forbid")
    title: str
    times: int = 2


class Shout(Transform[Config]):
    """What a plugin might bring."""

    name = "shout"
    description = "The title, loudly."
    config_model = Config

    def apply(self, event: Event, config: Config) -> TransformResult:
        """Shout."""
        text = f"{config.title} {event.data()['order_id']}! " * config.times
        return TransformResult(text.encode(), "text/plain")


class Broken(Shout):
    """One that does what it must not."""

    name = "broken"

    def apply(self, event: Event, config: Config) -> Any:
        """Whatever the title says."""
        results: dict[str, Any] = {
            "none": None,
            "text": TransformResult("text"),  # type: ignore[arg-type]
            "large": TransformResult(b"x" * (OUTPUT_MAX + 1)),
            "header": TransformResult(b"", "text/plain\r\nX-Evil: 1"),
            "odd": TransformResult(b"", "text"),
        }
        return results[config.title]


def test_registry(registry: TransformRegistry) -> None:
    """Transforms are listed by name, with who brings them, and can be taken back."""
    registry.register(Shout(), "loud")
    assert [item.name for item in registry] == ["shout", "template"]
    assert registry.owner("shout") == "loud"
    assert registry.get("shout").description == "The title, loudly."
    registry.unregister("shout")
    registry.unregister("shout")
    assert [item.name for item in registry] == ["template"]


def test_two_of_a_name(registry: TransformRegistry) -> None:
    """The error names both plugins."""
    registry.register(Shout(), "loud")
    with pytest.raises(PluginError, match="'loud' and by plugin 'louder'"):
        registry.register(Shout(), "louder")
    assert registry.owner("shout") == "loud"


@pytest.mark.parametrize(
    ("members", "part"),
    [
        ({"name": "Two Words"}, "lower case"),
        ({"name": None}, "lower case"),
        ({"config_model": dict}, "config_model"),
        ({"config_model": None}, "config_model"),
    ],
)
def test_a_wrong_transform(registry: TransformRegistry, members: dict[str, Any], part: str) -> None:
    """What a plugin got wrong is named, with the plugin."""
    wrong = type("Wrong", (Shout,), members)()
    with pytest.raises(PluginError, match=part) as caught:
        registry.register(wrong, "loud")
    assert "'loud'" in caught.value.detail


def test_what_is_no_transform(registry: TransformRegistry) -> None:
    """The class itself, for one."""
    with pytest.raises(PluginError, match="must give Transform"):
        registry.register(Shout, "loud")


def test_an_unknown_name(registry: TransformRegistry) -> None:
    """The error names the nearest one, or all."""
    with pytest.raises(UnknownTransform, match="did you mean 'template'") as caught:
        registry.get("tempalte")
    assert caught.value.errors[0]["loc"] == ["transform", "name"]
    with pytest.raises(UnknownTransform, match="there are: template"):
        registry.validate("xyz", {}, [], ("body", "transform"))
    with pytest.raises(UnknownTransform, match="there are: none"):
        TransformRegistry().get("x" * 1000)


def test_validate(registry: TransformRegistry) -> None:
    """A configuration is completed, and its mistakes are named with their places."""
    registry.register(Shout(), "loud")
    made = registry.validate("shout", {"title": "Order"}, [order_type("order.paid")])
    assert made == {"title": "Order", "times": 2}
    with pytest.raises(ValidationFailed) as caught:
        registry.validate("shout", {"times": "2", "more": 1}, [], ("body", "transform"))
    assert sorted(str(error["loc"][-1]) for error in caught.value.errors) == [
        "more",
        "times",
        "title",
    ]
    assert all(error["loc"][:3] == ["body", "transform", "config"] for error in caught.value.errors)


def test_validate_tries_every_example(registry: TransformRegistry) -> None:
    """A template that fails with the example of one type is refused, naming the type."""
    types = [order_type("order.paid", total=5), order_type("order.lost"), order_type("order.late")]
    config = {"template": '{"text": "{{ payload.total }}"}'}
    assert registry.validate("template", config, types[:1]) == {
        **config,
        "content_type": "application/json",
    }
    with pytest.raises(ValidationFailed, match=r"'order\.lost'.*no member 'total'") as caught:
        registry.validate("template", config, types)
    assert len(caught.value.errors) == 2
    assert caught.value.errors[0]["loc"] == ["transform", "config"]


def test_validate_without_any_example(registry: TransformRegistry) -> None:
    """A syntax error is found even if no event type is declared, and told only once."""
    for types in ([], [order_type("order.paid"), order_type("order.lost")]):
        with pytest.raises(ValidationFailed) as caught:
            registry.validate("template", {"template": "{% if %}"}, types)
        assert len(caught.value.errors) == 1


def test_apply(registry: TransformRegistry) -> None:
    """The body for an attempt, the same at every attempt."""
    registry.register(Shout(), "loud")
    results = [
        registry.apply("shout", {"title": "Order", "times": 1}, event(payload={"order_id": 5}))
        for _ in range(2)
    ]
    assert results == [TransformResult(b"Order 5! ", "text/plain")] * 2


@pytest.mark.parametrize("title", ["none", "text", "large", "header", "odd", "raise"])
def test_apply_holds_transforms_to_the_contract(registry: TransformRegistry, title: str) -> None:
    """Whatever a transform does, the attempt fails with a sentence that names it."""
    registry.register(Broken(), "loud")
    with pytest.raises(TransformError, match="'broken'"):
        registry.apply("broken", {"title": title}, event())


def test_apply_long_after(registry: TransformRegistry) -> None:
    """A transform that is gone or has changed fails the attempt and nothing else."""
    with pytest.raises(TransformError, match="no transform 'shout'"):
        registry.apply("shout", {}, event())
    registry.register(Shout(), "loud")
    with pytest.raises(TransformError, match="title: Field required"):
        registry.apply("shout", {"name": "Order"}, event())


def test_example_event() -> None:
    """The example of a type as an event, always the same."""
    declared = order_type("order.paid", total=5)
    assert example_event(declared) == example_event(declared)
    assert example_event(declared).data() == {"order_id": 1, "total": 5}


def test_the_documented_plugin(registry: TransformRegistry) -> None:
    """The plugin that docs/filters.md shows does what it says."""
    text = (Path(__file__).parents[2] / "docs" / "filters.md").read_text("utf-8")
    names: dict[str, Any] = {"__name__": "hookhub_csv"}
    exec(text.split("```python\n")[1].split("```")[0], names)
    for transform in names["hookhub_transforms"]():
        registry.register(transform, "csv")
    config = registry.validate("csv", {"columns": ["order_id"]}, [order_type("order.paid")])
    made = registry.apply("csv", config, event(payload={"order_id": 5}))
    assert made == TransformResult(b"5", "text/csv")
    with pytest.raises(TransformError, match="no 'order_id'"):
        registry.apply("csv", config, event(payload={}))
