"""What to say about the mistakes that people make. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from hookhub.contracts.hints import did_you_mean
from hookhub.filters.operators import OPERATORS, is_scalar

GROUPS = ("$and", "$or", "$not")
"""What stands beside paths and holds filters."""

EXAMPLE = '{"amount_kopeks": {"$gte": 100000}}'

_HABITS = {
    "$nin": 'write {"$not": {"path": {"$in": […]}}}',
    "$nor": 'write {"$not": {"$or": […]}}',
    "$regex": "there are no regular expressions; '$prefix' looks at the beginning",
    "$startswith": "it is called '$prefix'",
    "$neq": "it is called '$ne'",
    "$exist": "it is called '$exists'",
    "$not": 'it stands beside paths and holds a whole filter: {"$not": {"path": {…}}}',
    "$and": "it stands beside paths, not below one; operators below one path must all match",
    "$or": 'it stands beside paths: {"$or": [{"path": {…}}, {"path": {…}}]}',
}


def kind(value: object) -> str:
    """What sort of JSON value this is, for a person."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return "a string"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, Mapping):
        return "an object" if value else "an empty object"
    if isinstance(value, list | tuple):
        return "an array" if value else "an empty array"
    return f"a Python {type(value).__name__}"


def not_accepted(operand: object) -> str:
    """What stands behind an operator that does not take it."""
    if not isinstance(operand, list | tuple):
        return kind(operand)
    odd = next((index for index, item in enumerate(operand) if not is_scalar(item)), None)
    where = "" if odd is None else f" with {kind(operand[odd])} at [{odd}]"
    return f"{kind(operand)}{where} of {len(operand)}"


def shown(key: object) -> str:
    """A member's name as it may stand in an error: text that can be encoded, not too long."""
    text = key if isinstance(key, str) else kind(key)
    text = text if len(text) <= 100 else text[:100] + "…"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def unknown_operator(name: str) -> str:
    """Below a path stands what is no operator."""
    return f"{name!r} is no operator{_near(name, OPERATORS)}; operators are {', '.join(OPERATORS)}"


def unknown_group(name: str) -> str:
    """Beside paths stands what begins with ``$`` and is none of the three."""
    if name in OPERATORS:
        return f'\'{name}\' stands below a path: {{"path": {{"{name}": …}}}}'
    return (
        f"{name!r} is none of {', '.join(GROUPS)}{_near(name, GROUPS)}; a path that begins with "
        "'$' is written ['$name']"
    )


def bare_array(name: str) -> str:
    """A path has an array where a value or operators should be."""
    if f"${name}" in GROUPS:
        return f"did you mean '${name}'?"
    return 'for any of these values write {"$in": […]}, for just this array {"$eq": […]}'


def bare_object(name: str, members: Iterable[object]) -> str:
    """A path has an object without any operator."""
    first = shown(next(iter(members)))
    if f"${first}" in OPERATORS or f"${first}" in GROUPS:
        return f"did you mean '${first}'? Operators begin with '$'"
    return (
        f"for a member of it write the path {name + '.' + first!r}, for just this object "
        '{"$eq": {…}}'
    )


def _near(name: str, known: Collection[str]) -> str:
    habit = _HABITS.get(name.lower())
    if habit is not None:
        return f" ({habit})"
    return did_you_mean(f"${name}" if f"${name}" in known else name, known)
