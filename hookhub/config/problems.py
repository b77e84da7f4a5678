"""Telling a person what is wrong with the settings: the key, its place, and what is allowed."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hookhub.config.models import PluginsSettings, Settings, Table
from hookhub.contracts.errors import ConfigError, FieldError
from hookhub.contracts.hints import nearest
from hookhub.contracts.redaction import redact_text

KeyPath = tuple[str | int, ...]
"""``("delivery", "retry_schedule", 2)``."""

_SECRET: frozenset[KeyPath] = frozenset(
    {
        ("auth", "bootstrap_token"),
        ("auth", "secret_key"),
        ("auth", "old_secret_keys"),
        ("database", "url"),
        ("egress", "proxy"),
    }
)
"""Settings whose values are never shown."""


@dataclass(frozen=True, slots=True)
class SettingsSource:
    """Where the settings come from."""

    file: str
    text: str
    """The file's contents; empty if there is no file."""
    data: dict[str, Any]
    """The file's tables with the environment's values put over them."""
    variables: dict[KeyPath, str]
    """Which values came from which environment variable."""

    def place(self, path: KeyPath) -> str:
        """Where a person finds this setting: a line of the file or a variable's name."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.variables:
                return self.variables[path[:length]]
        below = [name for at, name in self.variables.items() if at[: len(path)] == path]
        line = find_line(self.text, path)
        if line is not None:
            return f"{self.file}, line {line}"
        return below[0] if below else self.file


class WrongSetting(NamedTuple):
    """One wrong setting."""

    path: KeyPath
    place: str
    message: str
    """Follows the key: ``must be …``, ``unknown key; …``."""

    def sentence(self) -> str:
        end = "" if self.message.endswith("?") else "."
        return f"{self.place}: {show(self.path)} {self.message}{end}"


def refuse(problems: Sequence[WrongSetting]) -> ConfigError:
    """One error for all of them."""
    if len(problems) == 1:
        detail = problems[0].sentence()
    else:
        lines = "".join(f"\n  {problem.sentence()}" for problem in problems)
        detail = f"{len(problems)} settings are wrong:{lines}"
    errors: list[FieldError] = [{"loc": list(item.path), "msg": item.message} for item in problems]
    return ConfigError(detail, errors=errors)


def show(path: KeyPath) -> str:
    """``[delivery] retry_schedule[2]``; a path of one part is the table itself."""
    table, *rest = path
    text = ""
    for part in rest:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return f"[{table}] {text}" if text else f"[{table}]"


@cache
def tables() -> dict[str, type[Table] | type[PluginsSettings]]:
    """The tables by name, each with its model."""
    found = {}
    for name, field in Settings.model_fields.items():
        assert isinstance(field.annotation, type)
        found[name] = field.annotation
    return found


def unknown_table(name: str, place: str) -> WrongSetting:
    """A table that does not exist, or a key outside of any table."""
    owners = [table for table, model in tables().items() if name in model.model_fields]
    near = nearest(name, tables())
    if near:
        hint = f"did you mean [{near}]?"
    elif owners:
        hint = f"did you mean {owners[0]}.{name}, that is {name!r} below [{owners[0]}]?"
    else:
        hint = "the tables are " + ", ".join(f"[{table}]" for table in tables())
    return WrongSetting((name,), place, f"is unknown; {hint}")


def unknown_key(path: KeyPath, place: str) -> WrongSetting:
    """A key that its table does not have."""
    table, key = str(path[0]), str(path[1])
    known = list(tables()[table].model_fields)
    near = nearest(key, known)
    meant = [repr(near)] if near else []
    meant += [
        f"{key!r} of [{name}]" for name, model in tables().items() if key in model.model_fields
    ]
    hint = f"did you mean {' or '.join(meant)}?" if meant else f"[{table}] has {', '.join(known)}"
    return WrongSetting(path, place, f"is unknown; {hint}")


def problems_of(error: ValidationError, source: SettingsSource) -> list[WrongSetting]:
    """Pydantic's findings as problems with a place."""
    return [
        _problem(found, source) for found in error.errors(include_url=False, include_context=True)
    ]


def _problem(found: ErrorDetails, source: SettingsSource) -> WrongSetting:
    path: KeyPath = found["loc"]
    place = source.place(path)
    if found["type"] == "extra_forbidden":
        return unknown_table(str(path[0]), place) if len(path) == 1 else unknown_key(path, place)
    if _misspelt_plugin_key(path):
        problem = unknown_key(path, place)
        return problem._replace(message=f"is no table of a plugin, so it {problem.message}")
    if len(path) == 1 and found["type"] in ("model_type", "model_attributes_type"):
        return WrongSetting(path, place, f"must be a table; the keys go below a line [{path[0]}]")
    return WrongSetting(path, place, _wrong(found, path))


def _misspelt_plugin_key(path: KeyPath) -> bool:
    known = PluginsSettings.model_fields
    return len(path) >= 2 and path[0] == "plugins" and path[1] not in known


def _wrong(found: ErrorDetails, path: KeyPath) -> str:
    if found["type"] == "value_error":  # One of our own checks, which says what is allowed.
        message, meaning = found["msg"].removeprefix("Value error, "), ""
    else:
        message, meaning = _ours(found), _meaning(path)
    return f"{_shown_value(found['input'], path)}{message}{meaning}"


_MUST = {
    "bool_type": "be a boolean",
    "dict_type": "be a dictionary",
    "finite_number": "be a finite number",
    "float_type": "be a number",
    "greater_than": "be greater than {gt:g}",
    "greater_than_equal": "be greater than or equal to {ge:g}",
    "int_type": "be a whole number",
    "less_than_equal": "be less than or equal to {le:g}",
    "list_type": "be a list",
    "literal_error": "be {expected}",
    "string_too_short": "have at least {min_length} characters",
    "string_type": "be a string",
}
"""What is allowed, by pydantic's word for what is wrong."""


def _ours(found: ErrorDetails) -> str:
    """What pydantic found as the end of a sentence."""
    text = _MUST.get(found["type"])
    if text is None:
        return f"is wrong: {found['msg']}"
    return "must " + text.format(**found.get("ctx", {}))


def _meaning(path: KeyPath) -> str:
    field = tables()[str(path[0])].model_fields.get(str(path[1])) if len(path) > 1 else None
    return f" ({field.description})" if field is not None and field.description else ""


def _shown_value(value: Any, path: KeyPath) -> str:
    if path[:2] in _SECRET or not isinstance(value, str | int | float):
        return ""
    text = redact_text(repr(value))
    return f"= {text if len(text) <= 60 else text[:60] + '…'} "


def find_line(text: str, path: KeyPath) -> int | None:
    """The line where ``path`` begins in a TOML document, or None if it is not there.

    A prefix of a document that ends between two lines is a document itself, unless the cut is
    inside a value of many lines. So the setting begins after the last prefix without it.
    """
    lines = text.split("\n")
    begins = 1
    for number in range(1, len(lines) + 1):
        try:
            prefix = tomllib.loads("\n".join(lines[:number]))
        except tomllib.TOMLDecodeError:
            continue
        if _has(prefix, path):
            return begins
        begins = number + 1
    return None


def _has(value: Any, path: KeyPath) -> bool:
    for part in path:
        if isinstance(part, int):
            return isinstance(value, list)
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True
