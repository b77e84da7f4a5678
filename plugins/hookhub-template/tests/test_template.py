"""The transform ``template``: what templates can say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookhub.contracts.errors import ValidationFailed
from hookhub.contracts.events import EventType, Payload
from hookhub.contracts.transforms import OUTPUT_MAX
from hookhub.plugins import TransformRegistry
from hookhub_template.budget import STEPS_MAX
from hookhub_template.library import ALIASES, FILTERS, RANGE_MAX, TESTS
from hookhub_template.sandbox import NAMES
from hookhub_template.syntax import TOKENS_MAX
from hookhub_template.template import TEMPLATE_MAX, TemplateTransform
from rendered import PAYLOAD, fails, render


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
    text = (Path(__file__).parents[3] / "docs" / "filters.md").read_text("utf-8")
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


def test_documentation() -> None:
    """docs/filters.md names every filter, test and name, and every limit as it is."""
    text = (Path(__file__).parents[3] / "docs" / "filters.md").read_text("utf-8")
    for name in (*FILTERS, *ALIASES, *TESTS, *NAMES, "default", "d"):
        assert f"`{name}`" in text, name
    limits = (STEPS_MAX, RANGE_MAX, TOKENS_MAX)
    for limit in (
        *map("{:,}".format, limits),
        f"{TEMPLATE_MAX // 1024} KiB",
        f"{OUTPUT_MAX // 1024} KiB",
    ):
        assert limit in text, limit
