"""The filters and tests that templates may use. Pure.

Jinja's own are for templates that their author trusts: ``center``, ``format``, ``indent`` or
``is odd`` can be made to fill the memory from a line of template. So these are few, each makes no
more than it was given (or is counted), and each is charged to the rendering's budget.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from jinja2 import StrictUndefined, Undefined, pass_context
from jinja2 import tests as jinja_tests
from jinja2.filters import do_capitalize, do_default, do_title
from jinja2.runtime import Context
from jinja2.utils import url_quote
from markupsafe import Markup

from hookhub.contracts.events import parse_timestamp
from hookhub.contracts.transforms import OUTPUT_MAX, TransformError
from hookhub_template.budget import Budget
from hookhub_template.writers import to_json, to_text

BUDGET: Final = "budget of the rendering"
"""Where a rendering's budget is in its context; no template can say a name with spaces."""

RANGE_MAX = 1_000
DIGITS_MAX = 15
CALL = 3
"""Steps of a call, whatever it does."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WIDE = re.compile(r"%[^%a-zA-Z]*(?:\*|[0-9]{3})")
_DATE = re.compile(r"(?:[^%]|%[aAbBdHIjmMpSyYZz%])*")


def budget_of(context: Context) -> Budget:
    """The budget of this rendering."""
    found = context[BUDGET]
    assert isinstance(found, Budget)
    return found


def is_number(value: object) -> bool:
    """Whether this is a number to reckon with."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def kind(value: object) -> str:
    """What sort of value this is, for a person."""
    if value is None or isinstance(value, bool):
        return to_json(value)
    if isinstance(value, Undefined):
        return "nothing"
    if isinstance(value, str):
        return "a text"
    if is_number(value):
        return "a number"
    if isinstance(value, Mapping):
        return "an object"
    return "an array" if isinstance(value, list | tuple) else f"a {type(value).__name__}"


def pick(value: Any, attribute: str | int | None) -> Any:
    """The member of each item that ``attribute=`` names: ``"price"``, ``"product.price"``."""
    if attribute is None:
        return value
    for name in str(attribute).split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise TransformError(f"attribute={attribute!r}: an item has no member {name!r}.")
        value = value[name]
    return value


def _items(value: Any) -> list[Any]:
    if isinstance(value, Mapping | list | tuple | range):
        return list(value)
    raise TransformError(f"an array is needed here, not {kind(value)}.")


def _join(value: Any, separator: str = "", attribute: str | None = None) -> str:
    texts = [to_text(pick(item, attribute)) for item in _items(value)]
    _check_size(sum(map(len, texts)) + len(texts) * len(to_text(separator)))
    return to_text(separator).join(texts)


def _replace(value: Any, old: Any, new: Any, count: int = -1) -> str:
    text, old, new = to_text(value), to_text(old), to_text(new)
    found = text.count(old) if count < 0 else min(count, text.count(old))
    _check_size(len(text) + found * max(0, len(new) - len(old)))
    return text.replace(old, new, count)


def _check_size(size: int) -> None:
    if size > OUTPUT_MAX:
        raise TransformError(f"a text of more than {OUTPUT_MAX} characters is made here.")


def _truncate(value: Any, length: int = 255, end: str = "…") -> str:
    text, end = to_text(value), to_text(end)
    return text if len(text) <= length else text[: max(0, length - len(end))] + end


def _format(value: Any, *arguments: Any) -> str:
    template = to_text(value)
    if _WIDE.search(template):
        raise TransformError("format takes widths of at most two digits, such as '%5.2f'.")
    if any(isinstance(item, Mapping | list | tuple) for item in arguments):
        raise TransformError("format takes texts and numbers; use join or tojson for the rest.")
    return template % tuple("" if item is None else item for item in arguments)


def _round(value: Any, digits: int = 0) -> int | float:
    if not is_number(value) or not is_number(digits) or not 0 <= digits <= DIGITS_MAX:
        raise TransformError(f"round takes a number, and 0 to {DIGITS_MAX} digits.")
    rounded: int | float = round(value, digits) if digits else round(value)
    return rounded


def _int(value: Any, default: int = 0) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return default


def _float(value: Any, default: float = 0.0) -> float:
    try:
        return float(value[:100] if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return default


def _sum(value: Any, attribute: str | None = None) -> Any:
    numbers = [pick(item, attribute) for item in _items(value)]
    odd = next((item for item in numbers if not is_number(item)), 0)
    if not is_number(odd):
        raise TransformError(f"sum takes numbers; there is {kind(odd)} among them.")
    return sum(numbers)


def _map(value: Any, attribute: str) -> list[Any]:
    return [pick(item, attribute) for item in _items(value)]


def _sort(value: Any, reverse: bool = False, attribute: str | None = None) -> list[Any]:
    def key(item: Any) -> Any:
        found = pick(item, attribute)
        return found.casefold() if isinstance(found, str) else found

    return sorted(_items(value), key=key, reverse=reverse)


def _unique(value: Any) -> list[Any]:
    # By JSON text: arrays and objects have no hash, and true is not 1.
    seen: dict[str, Any] = {}
    for item in _items(value):
        seen.setdefault(json.dumps(item, sort_keys=True), item)
    return list(seen.values())


def _first(value: Any) -> Any:
    items = value if isinstance(value, str) else _items(value)
    return items[0] if items else StrictUndefined("there is no first one: it is empty")


def _last(value: Any) -> Any:
    items = value if isinstance(value, str) else _items(value)
    return items[-1] if items else StrictUndefined("there is no last one: it is empty")


def _reverse(value: Any) -> Any:
    return value[::-1] if isinstance(value, str) else _items(value)[::-1]


def _date(value: Any, format: str = "%Y-%m-%d %H:%M", hours: float = 0) -> str:
    if len(format) > 100 or not _DATE.fullmatch(format):
        raise TransformError("date takes a short format such as '%d.%m.%Y %H:%M'.")
    moment = _EPOCH + timedelta(microseconds=parse_timestamp(to_text(value)), hours=hours)
    return moment.strftime(format)


def _slack(value: Any) -> str:
    """What Slack's mrkdwn wants escaped: these three and nothing else."""
    return to_text(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


FILTERS: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "capitalize": lambda value: do_capitalize(to_text(value)),
    "date": _date,
    "e": lambda value: Markup(html.escape(to_text(value))),  # noqa: S704 - it is escaped
    "first": _first,
    "float": _float,
    "format": _format,
    "int": _int,
    "items": lambda value: list(value.items()) if isinstance(value, Mapping) else _items(value),
    "join": _join,
    "last": _last,
    "length": len,
    "lower": lambda value: to_text(value).lower(),
    "map": _map,
    "max": lambda value: max(_items(value)),
    "min": lambda value: min(_items(value)),
    "replace": _replace,
    "reverse": _reverse,
    "round": _round,
    "slack": _slack,
    "sort": _sort,
    "string": to_text,
    "sum": _sum,
    "title": lambda value: do_title(to_text(value)),
    "tojson": to_json,
    "trim": lambda value: to_text(value).strip(),
    "truncate": _truncate,
    "unique": _unique,
    "upper": lambda value: to_text(value).upper(),
    "urlencode": lambda value: url_quote(to_text(value)).replace("/", "%2F"),
}
"""The filters of templates, besides ``default`` and the aliases."""
_SLOW: Mapping[str, int] = {"title": 1, "unique": 8, "urlencode": 1, "sort": 2}
"""Filters that Python works out item by item or letter by letter: steps for each."""
ALIASES: Mapping[str, str] = {"count": "length", "escape": "e"}


def _charged(function: Callable[..., Any], slow: int) -> Callable[..., Any]:
    """A filter whose input and output are charged to the budget."""

    @pass_context
    def call(context: Context, value: Any, *arguments: Any, **named: Any) -> Any:
        budget = budget_of(context)
        budget.spend(CALL)
        for item in (value, *arguments, *named.values()):
            if isinstance(item, Undefined):
                str(item)  # raises, with a sentence about what there is not
            budget.charge(item)
        if slow and isinstance(value, str | list | tuple | Mapping):
            budget.spend(slow * len(value))
        result = function(value, *arguments, **named)
        budget.charge(result)
        return result

    return call


def filters() -> dict[str, Callable[..., Any]]:
    """The filters of templates, each by its names."""
    made = {name: _charged(function, _SLOW.get(name, 0)) for name, function in FILTERS.items()}
    made |= {alias: made[name] for alias, name in ALIASES.items()}
    return {**made, "default": do_default, "d": do_default}


def _divisible(value: Any, by: Any) -> bool:
    # Jinja's own takes texts as well, for which % is the formatting that fills the memory.
    if not is_number(value) or not is_number(by):
        raise TransformError(f"only numbers can be divided, not {kind(value)} by {kind(by)}.")
    return bool(value % by == 0)


TESTS: Mapping[str, Callable[..., bool]] = {
    "boolean": jinja_tests.test_boolean,
    "defined": jinja_tests.test_defined,
    "divisibleby": _divisible,
    "even": lambda value: _divisible(value, 2),
    "false": jinja_tests.test_false,
    "float": jinja_tests.test_float,
    "integer": jinja_tests.test_integer,
    "mapping": jinja_tests.test_mapping,
    "none": jinja_tests.test_none,
    "number": is_number,
    "odd": lambda value: not _divisible(value, 2),
    "sequence": lambda value: isinstance(value, list | tuple),
    "string": jinja_tests.test_string,
    "true": jinja_tests.test_true,
    "undefined": jinja_tests.test_undefined,
}
"""The tests of templates (``x is defined``)."""


@pass_context
def bounded_range(context: Context, *numbers: int) -> range:
    """``range`` as in Python, of at most 1,000 numbers."""
    try:
        found = range(*numbers)
        size = len(found)
    except OverflowError:
        size = RANGE_MAX + 1
    if size > RANGE_MAX:
        raise TransformError(f"range() gives at most {RANGE_MAX:,} numbers.")
    budget_of(context).spend(size)
    return found
