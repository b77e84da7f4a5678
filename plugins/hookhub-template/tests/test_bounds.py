"""What templates cannot do: reach out, work without end, break a body."""

from __future__ import annotations

import gc
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookhub.contracts.events import Event
from hookhub_template.library import ALIASES, FILTERS, TESTS
from rendered import TEMPLATE, body_or_sentence, fails, render


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
