"""Transforms: the registry holds what plugins bring; a template bends no value and no hub."""

from __future__ import annotations

import gc
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from hookhub.errors import PluginError, ValidationFailed
from hookhub.events import Event, EventType, Payload, canonical_json
from hookhub.transforms import (
    OUTPUT_MAX,
    TEMPLATE_MAX,
    TemplateTransform,
    Transform,
    TransformError,
    TransformRegistry,
    TransformResult,
    UnknownTransform,
    builtin_transforms,
    example_event,
)
from hookhub.transforms.budget import STEPS_MAX
from hookhub.transforms.library import ALIASES, FILTERS, RANGE_MAX, TESTS
from hookhub.transforms.sandbox import NAMES
from hookhub.transforms.syntax import TOKENS_MAX

PAYLOAD = {
    "amount_kopeks": 123450,
    "name": 'Zoë "Z" <b>&\n',
    "username": None,
    "done": True,
    "items": [{"sku": "A", "price": 10}, {"sku": "b", "price": 2.5}],
    "tags": ["x", "y", "x"],
    "user": {"first name": "Зоя", "get": "got"},
}


def event(payload: Any = PAYLOAD, type: str = "payment.completed", key: str | None = None) -> Event:
    """An event with this payload."""
    return Event(7, "evt_7", type, canonical_json(payload), 1_735_689_600_123_456, key, "shop")


class OrderPayload(Payload):
    """The payload of the types below."""

    order_id: int


def order_type(name: str, **payload: Any) -> EventType:
    """An event type with this example."""
    return EventType(name, OrderPayload, "An order.", {"order_id": 1, **payload})


@pytest.fixture
def registry() -> TransformRegistry:
    """What a hub has without any plugin."""
    made = TransformRegistry()
    for transform in builtin_transforms():
        made.register(transform, "hookhub")
    return made


# One for all: it holds nothing but compiled templates.
TEMPLATE = TemplateTransform()


def render(template: str, payload: Any = PAYLOAD, content_type: str = "application/json") -> str:
    """What a template makes."""
    config = TEMPLATE.config_model(template=template, content_type=content_type)
    return TEMPLATE.apply(event(payload), config).body.decode("utf-8")


def fails(template: str, payload: Any = PAYLOAD, content_type: str = "text/plain") -> str:
    """Why a template fails."""
    with pytest.raises(TransformError) as caught:
        render(template, payload, content_type)
    detail = caught.value.detail
    assert detail.endswith((".", "?"))
    assert len(detail) < 600
    return detail


# The registry.


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
    assert len(registry) == 2
    assert "shout" in registry
    assert registry.owner("shout") == "loud"
    assert registry.get("shout").description == "The title, loudly."
    registry.unregister("shout")
    registry.unregister("shout")
    assert "shout" not in registry


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
        registry.apply("shout", {"title": "Order", "times": 1}, event({"order_id": 5}))
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


def body_or_sentence(template: str, content_type: str) -> str | None:
    """What a template makes; None if it fails as it should."""
    try:
        return render(template, content_type=content_type)
    except TransformError as caught:
        failure = caught
    assert failure.detail[0].isupper()
    assert failure.detail.endswith((".", "?"))
    return None


# Templates.


def test_what_a_template_knows() -> None:
    """The event's members, absent ones as null."""
    written = "[" + ", ".join(f"{{{{ {name} }}}}" for name in NAMES) + "]"
    assert json.loads(render(written)) == [
        "payment.completed",
        PAYLOAD,
        "2025-01-01T00:00:00.123456Z",
        "evt_7",
        7,
        None,
        "shop",
    ]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('{"a": "{{ payload.name }}"}', {"a": PAYLOAD["name"]}),
        ('{"a": {{ payload.name }}}', {"a": PAYLOAD["name"]}),
        ('{"a": {{ payload.name | tojson }}}', {"a": PAYLOAD["name"]}),
        ('{"a": "{{ payload.tags | tojson }}"}', {"a": '["x", "y", "x"]'}),
        ('{"a": {{ payload.tags }}}', {"a": ["x", "y", "x"]}),
        ('{"a": "{{ payload.tags }}"}', {"a": '["x", "y", "x"]'}),
        ('{"a": "{{ payload.username }}"}', {"a": ""}),
        ('{"a": {{ payload.username }}}', {"a": None}),
        ('{"a": "{{ payload.done }}"}', {"a": "true"}),
        ('{"a": {{ payload.done }}}', {"a": True}),
        ('{"a": {{ payload.amount_kopeks / 100 }}}', {"a": 1234.5}),
        ('{"a\\"{{ payload.name }}": "\\\\"}', {'a"' + str(PAYLOAD["name"]): "\\"}),
        (
            '{{ {"a": "Hi " ~ payload.name, "b": [1, none]} }}',
            {"a": "Hi " + str(PAYLOAD["name"]), "b": [1, None]},
        ),
        ('{"a": "{{ payload.name | e }}"}', {"a": "Zoë &quot;Z&quot; &lt;b&gt;&amp;\n"}),
        (
            '[{% for i in payload["items"] %}"{{ i.sku }}"{{ "," if not loop.last }}{% endfor %}]',
            ["A", "b"],
        ),
        (
            "[{% for i in payload.tags %}{{ i }}{% if not loop.last %},{% endif %}{% endfor %}]",
            ["x", "y", "x"],
        ),
        (
            '{% for k, v in payload.user | items %}{{ "{" if loop.first else "," }}'
            "{{ k }}:{{ v }}{% endfor %}}",
            PAYLOAD["user"],
        ),
        ('["{{ "," if true else 1 }}"]', [","]),
        ('["{{ "x" if false }}"]', [""]),
    ],
)
def test_json(template: str, expected: Any) -> None:
    """A value inside a string is its text, escaped; outside it is JSON."""
    assert json.loads(render(template)) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ payload.username }}|{{ payload.done }}|{{ payload.tags }}", '|true|["x", "y", "x"]'),
        ("{{ '%.2f' | format(payload.amount_kopeks / 100) }}", "1234.50"),
        ("{{ '%s-%05d' | format(payload.username, 7) }}", "-00007"),
        ("{{ payload['items'] | map(attribute='sku') | join(', ') }}", "A, b"),
        ("{{ payload['items'] | join('+', attribute='price') }}", "10+2.5"),
        ("{{ payload['items'] | sum(attribute='price') }}", "12.5"),
        ("{{ payload['items'] | sort(attribute='sku', reverse=true) | map('sku') | join }}", "bA"),
        ("{{ payload.tags | unique | join }}", "xy"),
        ("{{ payload.tags | reverse | join }}{{ 'ab' | reverse }}", "xyxba"),
        ("{{ payload.tags | first }}{{ payload.tags | last }}{{ 'ab' | first }}", "xxa"),
        ("{{ payload.tags | length }}{{ payload.tags | count }}{{ 'abc' | length }}", "333"),
        ("{{ [3, 1, 2] | max }}{{ [3, 1, 2] | min }}{{ -3 | abs }}", "313"),
        (
            "{{ 2.567 | round(1) }} {{ 2.6 | round }} {{ '3' | int }} {{ 'x' | int(9) }}",
            "2.6 3 3 9",
        ),
        ("{{ '2.5' | float }} {{ none | float(1.5) }} {{ 12 | string }}", "2.5 1.5 12"),
        ("{{ 'aBc d' | upper }} {{ 'aBc d' | lower }} {{ 'aBc d' | title }}", "ABC D abc d Abc D"),
        ("{{ 'aBc' | capitalize }}{{ '  x ' | trim }}", "Abcx"),
        ("{{ 'hello world' | truncate(8) }} {{ 'hi' | truncate(8) }}", "hello w… hi"),
        ("{{ 'a-b-c' | replace('-', '+') }} {{ 'a-b-c' | replace('-', '', 1) }}", "a+b+c ab-c"),
        ("{{ 'a/b &' | urlencode }}", "a%2Fb%20%26"),
        ("{{ '<!channel> & \"' | slack }}", '&lt;!channel&gt; &amp; "'),
        ("{{ '<b>' | e }}{{ '<b>' | escape }}", "&lt;b&gt;&lt;b&gt;"),
        (
            "{{ timestamp | date }}|{{ timestamp | date('%d.%m.%Y %H:%M', hours=3) }}",
            "2025-01-01 00:00|01.01.2025 03:00",
        ),
        ("{{ payload.nope | default('-') }}{{ payload.nope.deeper.still | d('-') }}", "--"),
        ("{{ payload.username | default('-', true) }}", "-"),
        ("{{ payload.nope is defined }} {{ payload.nope is undefined }}", "false true"),
        (
            "{{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 1 is number }}",
            "true true true true",
        ),
        (
            "{{ true is number }} {{ [] is sequence }} {{ {} is mapping }} {{ none is none }}",
            "false true true true",
        ),
        ("{{ payload.user.get }} {{ payload.user['first name'] }}", "got Зоя"),
        ("{{ payload.tags.0 }}{{ payload.tags[0] }}{{ payload.tags[-1] }}", "xxx"),
        ("{{ payload.tags[1:] | join }}{{ 'hello'[:2] }}", "yxhe"),
        (
            "{{ 'x' in payload.tags }} {{ 'ell' in 'hello' }} {{ 'nope' in payload }}",
            "true true false",
        ),
        ("{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ 7 % 2 }} {{ -(1) }}", "5.0 3 1 -1"),
        ("{{ 'a' + 'b' }}{{ ([1] + [2]) | join }}{{ 1 ~ none ~ true }}", "ab121true"),
        ("{% set x = payload.user %}{{ x['first name'] }}", "Зоя"),
        (
            "{% for x in payload.tags if x == 'x' %}{{ loop.index }}/{{ loop.length }}"
            "{% else %}none{% endfor %}",
            "1/22/2",
        ),
        ("{% for x in [] %}{% else %}none{% endfor %}", "none"),
        ("{% for x in range(3) %}{{ x }}{{ loop.cycle('a', 'b') }}{% endfor %}", "0a1b2a"),
        ("{% for x in 'ab' %}{{ x }}.{% endfor %}", "a.b."),
        (
            "{{ 'Anna Maria'.split() | last }}{{ 'abc'.startswith('a') }}{{ ' x '.strip() }}",
            "Mariatruex",
        ),
        ("{{ payload.user.keys() | join(',') }}", "first name,get"),
        ("{% if payload.done %}\n  yes\n{% endif %}\nend", "  yes\nend"),
        ("{{ 'a' if payload.done else 'b' }}{{ 'c' if not payload.done }}", "a"),
        ("{# a remark #}{% raw %}{{ raw }}{% endraw %}", "{{ raw }}"),
    ],
)
def test_text(template: str, expected: str) -> None:
    """What filters, tests, methods and operators make."""
    assert render(template, content_type="text/plain") == expected


def test_markup() -> None:
    """HTML and XML are escaped, but not twice."""
    for content_type in ("text/html; charset=utf-8", "application/xml", "image/svg+xml"):
        made = render("<p>{{ payload.name }}{{ '&' | e }}</p>", content_type=content_type)
        assert made == "<p>Zoë &quot;Z&quot; &lt;b&gt;&amp;\n&amp;</p>"


def test_slack_and_telegram() -> None:
    """The examples of the documentation run with the example payload of their type."""
    text = (Path(__file__).parents[1] / "docs" / "filters.md").read_text("utf-8")
    templates = [
        block for block in text.split("```") if block.startswith("text\n{") and "{{" in block
    ]
    assert len(templates) >= 2
    payload = {
        "transaction_id": 1,
        "user_id": 2,
        "type": "deposit",
        "amount_kopeks": 150_000,
        "payment_method": "card",
        "description": '<b>"&',
        "items": [{"title": "<A>", "price": 1}],
    }
    for template in templates:
        assert isinstance(json.loads(render(template.removeprefix("text\n"), payload)), dict)


TEXTS = st.text(st.characters(), max_size=20) | st.sampled_from(
    ['"', '\\"', "\\", '", "admin": true, "x": "', "\n", "\u2028", "{{ 1 }}", "</script>", "\ud800"]
)
PAYLOADS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(TEXTS)
def test_no_text_breaks_out_of_its_string(text: str) -> None:
    """Whatever a user is called, the body has the members that the template wrote."""
    template = (
        '{"text": "Hi {{ payload.a }}!", "name": {{ payload.a }}, "x": "{{ payload.a | e }}"}'
    )
    made = json.loads(render(template, {"a": text}))
    assert list(made) == ["text", "name", "x"]
    assert made["name"] == text
    assert made["text"] == f"Hi {text}!"


@given(PAYLOADS)
def test_no_value_breaks_out_of_its_place(value: Any) -> None:
    """Nor does any other value."""
    made = json.loads(
        render('[{{ payload.a }}, "{{ payload.a }}", {"b": {{ [payload.a] }}}]', {"a": value})
    )
    assert len(made) == 3
    assert made[0] == value
    assert isinstance(made[1], str)
    assert made[2] == {"b": [value]}


@pytest.mark.parametrize(
    ("template", "part"),
    [
        ('{"a": {{ payload.done }}', "line 1, column"),
        ('{"a": {{ payload.done }},}', "column"),
        ('{"a": NaN}', "NaN is no JSON"),
        ("", "no JSON"),
        ('{"a": "\\{{ payload.name }}"}', "backslash"),
        ('\\{{ payload.name }}{"a": 1}', "backslash"),
        ("{{ 1e300 * 1e300 }}", "JSON compliant"),
    ],
)
def test_what_is_no_json(template: str, part: str) -> None:
    """A body that says it is JSON is JSON, or the attempt fails with the place of the mistake."""
    assert part in fails(template, content_type="application/vnd.api+json")


@pytest.mark.parametrize(
    ("template", "part"),
    [
        ("{{ payload.nmae }}", "did you mean 'name'"),
        ("\n\n{{ payload.nope }}", "Line 3 of the template: there is no member 'nope'"),
        ("{{ paylod.name }}", "did you mean 'payload'"),
        ("{{ whatever }}", "there are type, payload"),
        ("{{ payload.done.x }}", "true has no 'x'"),
        ("{{ payload.username.x }}", "null has no 'x'"),
        ("{{ payload.nope | upper }}", "no member 'nope'"),
        ("{{ payload.nope ~ 'x' }}", "no member 'nope'"),
        ("{{ payload.nope + 1 }}", "no member 'nope'"),
        ("{{ payload.nope == 1 }}", "no member 'nope'"),
        ("{{ payload.nope() }}", "no member 'nope'"),
        ("{{ payload[payload.nope] }}", "no member 'nope'"),
        ("{{ payload.tags[payload.nope] }}", "no member 'nope'"),
        ("{% for x in payload.nope %}{% endfor %}", "no member 'nope'"),
        ("{% if payload.nope %}{% endif %}", "no member 'nope'"),
        ("{{ [payload.nope] }}", "no member 'nope'"),
        ("{{ [] | first }}{{ [] | last }}", "it is empty"),
        ("{% for x in 5 %}{% endfor %}", "an array or an object, not a number"),
        ("{{ 'a' * 5 }}", "joined with ~"),
        ("{{ [1] + 'a' }}", "an array and a text"),
        ("{{ 'a' < 1 }}", "'<' not supported"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 'x' is odd }}", "only numbers"),
        ("{{ 5 | join }}", "an array is needed"),
        ("{{ 'ab' | sort }}", "not a text"),
        ("{{ ['a'] | sum }}", "a text among them"),
        ("{{ payload['items'] | sum(attribute='pice') }}", "no member 'pice'"),
        ("{{ 'x' | round }}", "round takes"),
        ("{{ 1 | round(99999) }}", "round takes"),
        ("{{ '%s' | format([1]) }}", "join or tojson"),
        ("{{ 'x' | date }}", "Invalid isoformat"),
        ("{{ timestamp | date('%9999d') }}", "date takes"),
        ("{{ ' x'.strip('x') }}", "replace"),
        ("{{ range(10) }}", "range"),
        ("{{ payload.done() }}", "cannot be called"),
        ("{{ payload.items() }}", "an array cannot be called"),
        ("{{ x | nofilter }}", "there are abs"),
        ("{{ x is notest }}", "there are boolean"),
        ("{% if %}", "Line 1"),
        ("{{ x", "unexpected end"),
        ("{% unknown %}", "unknown"),
        ("{{ 5 | truncate('x') }}", "Line 1"),
    ],
)
def test_mistakes_are_told_in_a_sentence(template: str, part: str) -> None:
    """With the line, and where it helps with what there is."""
    assert part in fails(template)


@pytest.mark.parametrize(
    "template",
    [
        "{% macro m() %}{% endmacro %}",
        "{% call x() %}{% endcall %}",
        "{% filter upper %}{% endfilter %}",
        "{% set x %}a{% endset %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% from 'x' import y %}",
        "{% extends 'x' %}",
        "{% block x %}{% endblock %}",
        "{% with %}{% endwith %}",
        "{% autoescape true %}{% endautoescape %}",
        "{% set x.y = 1 %}",
        "{% for x in [1] recursive %}{% endfor %}",
        "{{ 2 ** 2 }}",
        "{{ [](1) }}",
        "{{ payload.get(*[1]) }}",
        "{{ payload.get(**{}) }}",
        "{{ 1 | round(*[1]) }}",
    ],
)
def test_what_templates_do_not_have(template: str) -> None:
    """The language is small: expressions, if, for and set."""
    assert "Line 1 of the template" in fails(template)


@pytest.mark.parametrize(
    "expression",
    [
        "payload.__class__",
        "payload['__class__']",
        "payload.name.__class__.__mro__",
        "''['__class__']",
        "''['__cla' ~ 'ss__']",
        "(1).__class__",
        "[].append",
        "[].__class__.__base__.__subclasses__()",
        "payload.name.format",
        "'{0.__class__}'.format(1)",
        "'%(x)s'.format_map(payload)",
        "payload.update({'a': 1})",
        "payload.pop('name')",
        "payload.setdefault('a', 1)",
        "payload.tags.append(1)",
        "payload.get.__self__",
        "payload.user.keys.__globals__",
        "range.__globals__",
        "range.__call__",
        "self.__init__",
        "self._TemplateReference__context",
        "loop",
        "cycler.__init__.__globals__",
        "lipsum.__globals__",
        "joiner()",
        "namespace()",
        "dict()",
        "caller()",
        "super()",
        "varargs",
        "budget",
        "environment",
        "context",
        "payload | attr('__class__')",
        "payload.tags | map('upper')",
        "payload.tags | map(attribute='__class__')",
        "payload | safe",
        "payload | pprint",
        "payload | xmlattr",
    ],
)
def test_no_way_out(expression: str) -> None:
    """Nothing but the event's data can be reached, and none of it can be changed."""
    fails("{{ " + expression + " }}")
    fails("{% set x = " + expression + " %}{{ x }}")
    fails("{% for x in " + expression + " %}{{ x }}{% endfor %}")


def test_loop_has_no_way_out() -> None:
    """The loop variable is Python's object; only its documented members are there."""
    for name in ("__class__", "_context", "_iterator", "_undefined", "changed", "depth"):
        fails("{% for x in [1] %}{{ loop." + name + " }}{% endfor %}")
        fails("{% for x in [1] %}{{ loop['" + name + "'] }}{% endfor %}")


S = "s" * 250_000
MANY: dict[str, Any] = {"l": [0] * 85_000}
BOMBS: list[tuple[str, Any]] = [
    (
        "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}"
        "{% endfor %}{% endfor %}{% endfor %}",
        {},
    ),
    ("{% for a in payload.l %}{% for b in payload.l %}{{ a }}{% endfor %}{% endfor %}", MANY),
    ("{% for a in range(1000) %}{% if payload.l == payload.l %}{% endif %}{% endfor %}", MANY),
    ("{% for a in range(1000) %}{% set b = payload.l[1:] %}{% endfor %}", MANY),
    ("{% for a in range(1000) %}{% set b = payload.l | sort %}{% endfor %}", MANY),
    ("{% for a in range(1000) %}{% set b = payload.l | unique %}{% endfor %}", MANY),
    ("{% for a in range(1000) %}{% set b = payload.l | tojson %}{% endfor %}", MANY),
    ("{% set a = 'aaaa' %}" + "{% set a = a ~ a %}" * 300, {}),
    ("{% set a = 'aaaa' %}" + "{% set a = a + a %}" * 300, {}),
    ("{% set a = [1] %}" + "{% set a = a + a %}" * 300, {}),
    ("{% set a = [1] %}" + "{% set a = [a, a] %}" * 240 + "{{ a == a }}", {}),
    ("{% set a = 1 %}" + "{% set a = {'a': a, 'b': a} %}" * 150 + "{{ a }}", {}),
    ("{% set a = [payload.s, payload.s, payload.s, payload.s] | join %}" * 40, {"s": S}),
    ("{% set a = payload.s %}" + "{% set a = a * a %}" * 300, {"s": 10**300}),
    ("{{ payload.s | replace('', payload.s) }}", {"s": S}),
    ("{{ payload.l | join(payload.s) }}", {"l": [1] * 1000, "s": S[:200_000]}),
    ("{% for a in range(1000) %}{% set b = payload.s.split('s') %}{% endfor %}", {"s": S}),
    ("{% for a in range(1000) %}{% set b = payload.s.upper() %}{% endfor %}", {"s": S}),
    ("{% for a in range(1000) %}{% set b = payload.s.endswith(payload.s) %}{% endfor %}", {"s": S}),
    ("{% for a in range(1000) %}{% if payload.s in payload.s %}{% endif %}{% endfor %}", {"s": S}),
    (
        "{% for a in range(1000) %}{% set b = payload.s | title %}{% endfor %}",
        {"s": "- " * 100_000},
    ),
    ("{% for a in range(1000) %}{% set b = payload.s | urlencode %}{% endfor %}", {"s": S}),
    ("{% for a in range(1000) %}{% set b = payload.s | int %}{% endfor %}", {"s": "1" * 250_000}),
    ("{% for a in range(1000) %}{% set b = payload.n ~ '' %}{% endfor %}", {"n": 10**4200}),
    ("{% for a in range(1000) %}{{ payload.s }}{% endfor %}", {"s": S}),
    ("{{ payload.s }}{{ payload.s }}", {"s": S}),
    ("{{ payload.s }}", {"s": "я" * 200_000}),
    ("{{ '%999999999d' | format(1) }}", {}),
    ("{{ '%.*f' | format(999999999, 1) }}", {}),
    ("{{ '%999999999d' % 1 }}", {}),
    ("{{ '%999999999d' is odd }}", {}),
    ("{{ '%999999999d' is divisibleby 3 }}", {}),
    ("{{ 'a' * 999999999 }}", {}),
    ("{{ [1] * 999999999 }}", {}),
    ("{{ 9 * (9 ** 999999999) }}", {}),
    ("{{ range(999999999) | length }}", {}),
    ("{{ range(99999999999999999999999) | length }}", {}),
    ("{{ 'a'.ljust(999999999) }}", {}),
    ("{{ 'a' | center(999999999) }}", {}),
    ("{{ 'a' | indent(999999999) }}", {}),
    ("{{ 1.5 | round(999999999) }}", {}),
    ("{{ " + "9" * 10_000 + " }}", {}),
    ("{{ " + "(" * 16_000, {}),
    ("{{ " + "[" * 8_000 + "]" * 8_000 + " }}", {}),
    ("{{ " + "-" * 16_000 + "1 }}", {}),
    ("{{ " + "-" * 2_900 + "1 }}", {}),
    ("{{ " + "not " * 2_900 + "1 }}", {}),
    ("{{ " + "1+" * 8_000 + "1 }}", {}),
    ("{{ " + "1 if 0 else " * 700 + "1 }}", {}),
    ("{{ payload" + ".a" * 1_400 + " }}", {}),
    ("{{ payload" + "|string" * 1_400 + " }}", {}),
    ("{% if 1 %}" * 500 + "{% endif %}" * 500, {}),
    ("{% for a in [1] %}" * 25 + "{% endfor %}" * 25, {}),
    ("{{ 1 }}" * 2_000, {}),
    ("{{ payload." + "a" * 45 + " }}", {"a" * 44 + str(number): 1 for number in range(4_000)}),
]


@pytest.mark.parametrize(("template", "payload"), BOMBS, ids=lambda value: str(value)[:40])
def test_bombs(template: str, payload: Any) -> None:
    """A template that would work or grow for ever is stopped by counting, and soon."""
    gc.collect()
    began = time.process_time()
    fails(template, payload)
    # On any machine hundreds of times less than the bomb would take.
    assert time.process_time() - began < 2.0


def test_long_rows_are_fine() -> None:
    """What only looks like a bomb is rendered."""
    assert render("[" + "1," * 200 + "{{ 1 }}]")
    assert render("{{ [" + "1," * 1_000 + "] }}")
    assert render("{{ " + "1 ~ " * 1_000 + "1 }}")
    assert render("{{ payload }}", {"l": [0] * 85_000})
    assert render("{% for x in range(1000) %}{% endfor %}1")


def test_rendering_leaves_nothing_behind() -> None:
    """No rendering sees what another set, or what another spent."""
    template = (
        "{% if x is defined %}seen{% endif %}{% set x = 1 %}{% for a in range(900) %}{% endfor %}"
    )
    for _ in range(300):
        assert render(template, content_type="text/plain") == ""


def test_depth_is_no_danger() -> None:
    """How deep JSON may be is Python's to say; a body that is too deep fails like any other."""
    body_or_sentence("[" * 8_000 + "]" * 8_000, "application/json")
    deep = json.loads("[" * 900 + "]" * 900)
    for template in ("{{ payload.a }}", "{{ payload.a == payload.a }}", "{{ payload.a | unique }}"):
        config = TEMPLATE.config_model(template=template)
        sequence = Event(1, "evt_1", "a.b", json.dumps({"a": deep}), 0)
        assert TEMPLATE.apply(sequence, config).body


def test_a_payload_is_data() -> None:
    """What looks like a template in a payload is not rendered."""
    text = "{{ payload }}{% for x in range(9) %}"
    assert render("{{ payload.a }}", {"a": text}, "text/plain") == text


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({}, "Field required"),
        ({"template": 5}, "string"),
        ({"template": "x" * (TEMPLATE_MAX + 1)}, str(TEMPLATE_MAX)),
        ({"template": "я" * (TEMPLATE_MAX // 2 + 1)}, str(TEMPLATE_MAX)),
        ({"template": "\ud800"}, "surrogate"),
        ({"template": "x", "content_type": "json"}, "application/json"),
        ({"template": "x", "content_type": "text/plain\r\nX: y"}, "application/json"),
        ({"template": "x", "content_type": "text/plain; charset=koi8-r"}, "UTF-8"),
        ({"template": "x", "contenttype": "text/plain"}, "Extra inputs"),
    ],
)
def test_configuration(registry: TransformRegistry, config: dict[str, Any], part: str) -> None:
    """A wrong configuration of a template is refused before it is compiled."""
    with pytest.raises(ValidationFailed, match=part):
        registry.validate("template", config, [])


FRAGMENTS = st.sampled_from(
    [
        *("{{ ", " }}", "{% ", " %}", "if", "for", "in", "set", "else", "endif", "endfor", "loop"),
        *("payload", ".name", ".tags", "['", "']", "[0]", "[1:]", "(", ")", "[", "]", "{", "}"),
        *("1", "2.5", "'x'", '"', "~", "+", "-", "*", "/", "%", "==", "<", "and", "not", "is"),
        *(
            "|",
            "|e",
            "|join",
            "|tojson",
            "|first",
            "|length",
            "odd",
            "defined",
            ",",
            ":",
            " ",
            "\n",
        ),
        *("range(3)", ".items()", ".get('name')", "=", "x", "\\", "{#", "#}", "none", "-%}", "{%-"),
    ]
)


@given(st.lists(FRAGMENTS, max_size=25).map("".join), st.sampled_from(["text/plain", "a/b+json"]))
def test_any_template_makes_a_body_or_a_sentence(template: str, content_type: str) -> None:
    """There is no third way."""
    made = body_or_sentence(template, content_type)
    if made is not None and content_type != "text/plain":
        json.loads(made)


OPERATORS = ["+", "-", "*", "/", "//", "%", "~", "==", "<", "in"]
EXPRESSIONS = st.recursive(
    st.sampled_from(
        [
            *("payload", "payload.name", "payload.tags", "payload['items']", "payload.nope", "1"),
            *("2.5", "'x'", "none", "true", "[]", "{}", "timestamp", "range(3)", "'%5d'"),
        ]
    ),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(OPERATORS), inner),
        st.builds("({} | {})".format, inner, st.sampled_from([*FILTERS, *ALIASES, "default"])),
        st.builds("({} | {}({}))".format, inner, st.sampled_from([*FILTERS]), inner),
        st.builds("({} is {})".format, inner, st.sampled_from([*TESTS])),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{{'a': {}}}".format, inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("{}.name".format, inner),
    ),
    max_leaves=8,
)


@given(EXPRESSIONS, st.sampled_from(["text/plain", "application/json", "text/html"]))
def test_any_expression_makes_a_body_or_a_sentence(expression: str, content_type: str) -> None:
    """Every operator, filter and test with every kind of value."""
    made = body_or_sentence("{{ " + expression + " }}", content_type)
    if made and content_type == "application/json":
        json.loads(made)


def test_the_documented_plugin(registry: TransformRegistry) -> None:
    """The plugin that docs/filters.md shows does what it says."""
    text = (Path(__file__).parents[1] / "docs" / "filters.md").read_text("utf-8")
    names: dict[str, Any] = {"__name__": "hookhub_csv"}
    exec(text.split("```python\n")[1].split("```")[0], names)
    for transform in names["hookhub_transforms"]():
        registry.register(transform, "csv")
    config = registry.validate("csv", {"columns": ["order_id"]}, [order_type("order.paid")])
    made = registry.apply("csv", config, event({"order_id": 5}))
    assert made == TransformResult(b"5", "text/csv")
    with pytest.raises(TransformError, match="no 'order_id'"):
        registry.apply("csv", config, event({}))


def test_documentation() -> None:
    """docs/filters.md names every filter, test and name, and every limit as it is."""
    text = (Path(__file__).parents[1] / "docs" / "filters.md").read_text("utf-8")
    for name in (*FILTERS, *ALIASES, *TESTS, *NAMES, "default", "d"):
        assert f"`{name}`" in text, name
    limits = (STEPS_MAX, RANGE_MAX, TOKENS_MAX)
    for limit in (
        *map("{:,}".format, limits),
        f"{TEMPLATE_MAX // 1024} KiB",
        f"{OUTPUT_MAX // 1024} KiB",
    ):
        assert limit in text, limit
