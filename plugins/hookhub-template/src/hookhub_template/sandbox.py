"""The Jinja environment that templates run in. Pure.

On top of Jinja's own sandbox: values are JSON and nothing else, so an attribute is a member of an
object or one of a few methods, never one of Python's. A member comes before a method:
``payload.items`` is the payload's.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Final

from jinja2 import StrictUndefined, Undefined, pass_context
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from hookhub.contracts.hints import did_you_mean
from hookhub.contracts.transforms import TransformError
from hookhub_template.library import (
    CALL,
    TESTS,
    bounded_range,
    budget_of,
    filters,
    is_number,
    kind,
)
from hookhub_template.syntax import CHARGE, LOOP, MARK, TEXT
from hookhub_template.writers import JsonText, ValueWriter, to_text

NAMES: Final = ("type", "payload", "timestamp", "id", "sequence", "key", "source")
"""What a template knows."""
WRITER: Final = "writer of the rendering"

_TEXT_METHODS = (
    *("startswith", "endswith", "upper", "lower", "title", "capitalize", "strip", "lstrip"),
    *("rstrip", "split", "removeprefix", "removesuffix"),
)
_METHODS: Mapping[type, tuple[str, ...]] = {
    dict: ("get", "items", "keys", "values"),
    str: _TEXT_METHODS,
    LoopContext: (
        *("index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem"),
        *("nextitem", "cycle"),
    ),
}
_BITS_MAX = 512


class Absent(StrictUndefined):
    """What is not there. It can be asked for (``is defined``, ``default``), not written."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        name = self._undefined_name
        if self._undefined_obj is missing:
            return f"there is no {name!r}{_near(name, NAMES)}; there are {', '.join(NAMES)}"
        if not isinstance(self._undefined_obj, Mapping):
            return f"{kind(self._undefined_obj)} has no {name!r}"
        return (
            f"there is no member {name!r}{_near(name, self._undefined_obj)}; if it may be missing, "
            "write … | default('…')"
        )


def _near(name: object, known: Any) -> str:
    names = [item for item in known if isinstance(item, str) and len(item) <= 40][:100]
    return did_you_mean(str(name)[:40], names)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment; it holds nothing of any rendering and may be shared."""

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%", "**"])

    def __init__(self) -> None:
        # Not optimised: the optimiser computes constants when a template is compiled, where
        # nothing counts its work.
        super().__init__(
            optimized=False,
            undefined=Absent,
            finalize=_write,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            cache_size=0,
        )
        self.globals = {"range": bounded_range}
        self.tests = dict(TESTS)
        self.filters = {**filters(), CHARGE: _charge, LOOP: _loop, TEXT: _text}
        self.filters[MARK] = JsonText

    def getattr(self, obj: Any, attribute: str) -> Any:
        """``payload.name``."""
        if isinstance(obj, Undefined):
            return obj
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        for owner, names in _METHODS.items():
            if isinstance(obj, owner) and attribute in names:
                return super().getattr(obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """``payload['name']``, ``payload.items[0]``."""
        if isinstance(obj, Undefined):
            return obj
        if isinstance(argument, Undefined):
            str(argument)  # raises, with a sentence about what there is not
        if isinstance(obj, Mapping | list | tuple | str):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        return self.undefined(obj=obj, name=argument)

    def is_safe_callable(self, obj: Any) -> bool:
        """``range`` and the methods of values; nothing that a value could hold is called."""
        if obj is bounded_range:
            return True
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        return any(isinstance(owner, known) and name in names for known, names in _METHODS.items())

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call, and charge what comes of it."""
        if isinstance(__obj, Undefined):
            str(__obj)
        if not __self.is_safe_callable(__obj):
            raise TransformError(f"{kind(__obj)} cannot be called.")
        budget = budget_of(__context)
        budget.spend(CALL)
        for value in (getattr(__obj, "__self__", None), *args, *kwargs.values()):
            if isinstance(value, str):
                budget.charge(value)
        if __obj.__name__.endswith("strip") and args:
            raise TransformError(f"{__obj.__name__}() takes no characters here; use replace.")
        result = super().call(__context, __obj, *args, **kwargs)
        if isinstance(result, KeysView | ItemsView | ValuesView):
            result = list(result)
        budget.charge(result)
        return result

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic on numbers that stay of a size; ``+`` also joins two texts or two arrays."""
        for value in (left, right):
            if isinstance(value, Undefined):
                str(value)
        if is_number(left) and is_number(right):
            _check_size(operator, left, right)
            return super().call_binop(context, operator, left, right)
        alike = isinstance(left, str) and isinstance(right, str)
        if operator != "+" or not (alike or (isinstance(left, list) and isinstance(right, list))):
            raise TransformError(
                f"{operator!r} stands between {kind(left)} and {kind(right)}; it needs two "
                "numbers (texts are joined with ~)."
            )
        result = left + right
        budget_of(context).charge(result)
        return result


def _check_size(operator: str, left: Any, right: Any) -> None:
    bits = sum(value.bit_length() for value in (left, right) if isinstance(value, int))
    if operator == "*" and bits > _BITS_MAX:
        raise TransformError("the product is too large.")


@pass_context
def _write(context: Context, value: Any) -> str:
    """What stands for ``{{ value }}``, as the place in the output needs it."""
    budget = budget_of(context)
    budget.spend(CALL)
    budget.charge(value)
    writer = context[WRITER]
    assert isinstance(writer, ValueWriter)
    return writer.value(value)


@pass_context
def _charge(context: Context, value: Any) -> Any:
    budget_of(context).charge(value)
    return value


@pass_context
def _text(context: Context, value: Any) -> str:
    budget_of(context).charge(value)
    return to_text(value)


@pass_context
def _loop(context: Context, value: Any, steps: int) -> Iterator[Any]:
    if isinstance(value, Undefined):
        iter(value)  # raises, with a sentence about what there is not
    if not isinstance(value, str | Mapping | list | tuple | range):
        raise TransformError(f"a loop needs an array or an object, not {kind(value)}.")
    budget = budget_of(context)

    def items() -> Iterator[Any]:
        for item in value:
            budget.spend(steps)
            yield item

    return items()
