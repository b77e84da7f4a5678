"""Turns a filter as it was sent into a checked, normal form and a fast predicate. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from hookhub.contracts.errors import FieldError, ValidationFailed
from hookhub.contracts.events import canonical_json
from hookhub.filters.hints import (
    EXAMPLE,
    GROUPS,
    bare_array,
    bare_object,
    kind,
    not_accepted,
    shown,
    unknown_group,
    unknown_operator,
)
from hookhub.filters.operators import OPERATORS, Test, check_string, check_value, is_scalar
from hookhub.filters.paths import MISSING, Mistake, Path, parse_path, reader, write_path

DEPTH_MAX = 8
"""Filters within filters; the outermost is the first."""
CONDITIONS_MAX = 100
"""Operators with their values in one filter."""
SIZE_MAX = 64 * 1024
"""Bytes of the whole filter as JSON."""
MISTAKES_MAX = 20
"""Mistakes that are told at once."""

Predicate: TypeAlias = Callable[[object], bool]
Loc: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that passed every check. Filters that are equal say the same.

    Make one with :func:`compile_filter`.
    """

    text: str
    """The normal form as JSON text: what is stored."""
    _predicate: Predicate = field(repr=False, compare=False)

    @property
    def spec(self) -> dict[str, Any]:
        """The normal form, made anew at every call: paths in one spelling, no needless ``$eq``."""
        return cast("dict[str, Any]", json.loads(self.text))

    def matches(self, payload: Mapping[str, Any]) -> bool:
        """Whether the payload is wanted. Never raises, whatever the payload holds."""
        return self._predicate(payload)


def compile_filter(spec: Any, loc: Sequence[str | int] = ("filter",)) -> Filter:
    """Check a filter and make it ready.

    Args:
        spec: JSON-compatible objects: what was sent, or :attr:`Filter.spec` of an earlier time.
        loc: the place of the filter in the request, for the errors.

    Raises:
        ValidationFailed: names the place of every mistake below ``loc`` (at most 20), with what is
            allowed there.
    """
    compiler = _Compiler()
    found = compiler.compile(spec, tuple(loc))
    if found is None:
        raise _failed(compiler.errors)
    normal, predicate = found
    return Filter(canonical_json(normal), predicate)


def _failed(errors: list[FieldError]) -> ValidationFailed:
    steps = errors[0]["loc"]
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    more = f" ({len(errors) - 1} more in errors)" if len(errors) > 1 else ""
    sentence = errors[0]["msg"].removesuffix("?")
    end = "." if sentence == errors[0]["msg"] else "?"
    return ValidationFailed(f"{place.lstrip('.')}: {sentence}{end}{more}", errors=errors)


class _Stop(Exception):
    """Enough mistakes, or too much to look at."""


class _Compiler:
    """One pass over one filter. A mistake is noted and its member left out, so that all show."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []
        self._conditions = 0

    def compile(self, spec: Any, loc: Loc) -> tuple[dict[str, Any], Predicate] | None:
        """The normal form and the predicate; None if there are ``errors``."""
        try:
            with self._noting(loc):
                normal, predicate = self._filter(spec, loc, 1)
                if not self.errors:
                    _check_size(normal)
                    return normal, predicate
        except _Stop:
            pass
        return None

    @contextmanager
    def _noting(self, loc: Loc) -> Iterator[None]:
        try:
            yield
        except Mistake as mistake:
            self.errors.append({"loc": list(loc), "msg": str(mistake)})
            if len(self.errors) >= MISTAKES_MAX:
                raise _Stop from None

    def _filter(self, spec: Any, loc: Loc, depth: int) -> tuple[dict[str, Any], Predicate]:
        """One filter object: all its members must match."""
        if not isinstance(spec, Mapping):
            raise Mistake(f"a filter is an object such as {EXAMPLE}, not {kind(spec)}")
        if depth > DEPTH_MAX:
            raise Mistake(f"filters are nested at most {DEPTH_MAX} deep")
        if not spec and depth > 1:
            raise Mistake("an empty filter matches everything; leave it out")
        normal: dict[str, Any] = {}
        tests: list[Predicate] = []
        seen: dict[Path, str] = {}
        for key, value in spec.items():
            inner = (*loc, shown(key))
            with self._noting(inner):
                if _is_operator(key):
                    name, form, test = self._group(key, value, inner, depth)
                else:
                    name, form, test = self._field(_path(key, seen), value, inner)
                normal[name] = form
                tests.append(test)
        return normal, _every(tests)

    def _group(self, name: str, value: Any, loc: Loc, depth: int) -> tuple[str, Any, Predicate]:
        """``$and``, ``$or`` or ``$not`` with the filters in it."""
        if name not in GROUPS:
            raise Mistake(unknown_group(shown(name)))
        if name == "$not":
            form, test = self._filter(value, loc, depth + 1)
            return name, form, lambda payload: not test(payload)
        if not isinstance(value, list | tuple) or not value:
            raise Mistake(f"{name} takes an array of one or more filters, not {kind(value)}")
        forms, tests = [], []
        for index, item in enumerate(value):
            with self._noting((*loc, index)):
                form, test = self._filter(item, (*loc, index), depth + 1)
                forms.append(form)
                tests.append(test)
        return name, forms, (_every if name == "$and" else _any)(tests)

    def _field(self, path: Path, value: Any, loc: Loc) -> tuple[str, Any, Predicate]:
        """What is said about the value at one path."""
        operators = _operators(value, loc)
        tests: list[Test] = []
        for name, operand in operators.items():
            with self._noting(loc if is_scalar(value) else (*loc, shown(name))):
                tests.append(self._condition(name, operand))
        if operators.get("$exists") is False and len(operators) > 1:
            raise Mistake("nothing is absent and fits other operators too; leave one of them out")
        plain = len(operators) == 1 and "$eq" in operators and is_scalar(operators["$eq"])
        form = operators["$eq"] if plain else operators
        return write_path(path), form, _at(path, tests, operators.get("$exists") is not False)

    def _condition(self, name: Any, operand: Any) -> Test:
        self._conditions += 1
        if self._conditions == CONDITIONS_MAX + 1:
            raise Mistake(f"a filter has at most {CONDITIONS_MAX} conditions")
        if self._conditions > CONDITIONS_MAX:
            raise _Stop
        found = OPERATORS.get(name) if isinstance(name, str) else None
        if found is None:
            raise Mistake(unknown_operator(shown(name)))
        if not found.accepts(operand):
            raise Mistake(f"{found.name} takes {found.takes}, not {not_accepted(operand)}")
        check_value(operand)
        return found.test(deepcopy(operand))


def _is_operator(key: object) -> bool:
    """``$.name`` and ``$['name']`` are paths from the root, as JSONPath writes them."""
    return isinstance(key, str) and key.startswith("$") and not key.startswith(("$.", "$["))


def _path(key: object, seen: dict[Path, str]) -> Path:
    if not isinstance(key, str):
        raise Mistake(f"a path is a string, not {kind(key)}")
    check_string(key, "the path")
    path = parse_path(key)
    if path in seen:
        raise Mistake(f"this is the place of {seen[path]!r}; put both under one path")
    seen[path] = key
    return path


def _operators(value: Any, loc: Loc) -> Mapping[Any, Any]:
    """The operators below a path; a value alone is what must be equal."""
    if is_scalar(value):
        return {"$eq": value}
    name = str(loc[-1])
    if isinstance(value, list | tuple):
        raise Mistake(bare_array(name))
    if not isinstance(value, Mapping):
        raise Mistake(f"{kind(value)} is not JSON")
    if not value:
        raise Mistake(f"name at least one operator: {', '.join(OPERATORS)}")
    if not any(_is_operator(key) for key in value):
        raise Mistake(bare_object(name, value))
    return dict(value)


def _check_size(normal: dict[str, Any]) -> None:
    size = len(json.dumps(normal, ensure_ascii=False).encode("utf-8"))
    if size > SIZE_MAX:
        raise Mistake(f"a filter is at most {SIZE_MAX} bytes of JSON; this has {size}")


def _at(path: Path, tests: Sequence[Test], present: bool) -> Predicate:
    """Nothing matches where there is nothing, unless that is what was asked for."""
    read = reader(path)
    if not present:
        return lambda payload: read(payload) is MISSING
    test = _every(tests)

    def check(payload: object) -> bool:
        value = read(payload)
        return value is not MISSING and test(value)

    return check


def _every(tests: Sequence[Predicate]) -> Predicate:
    if len(tests) == 1:
        return tests[0]

    def every(value: object) -> bool:
        for test in tests:  # noqa: SIM110 - a loop is half the cost of all() with a generator
            if not test(value):
                return False
        return True

    return every


def _any(tests: Sequence[Predicate]) -> Predicate:
    def any_of(value: object) -> bool:
        for test in tests:  # noqa: SIM110
            if test(value):
                return True
        return False

    return any_of
