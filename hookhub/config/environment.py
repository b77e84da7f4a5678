"""``HOOKHUB_<TABLE>__<KEY>`` variables, read by the type of the setting they override.

Why not by pydantic-settings, docs/architecture.md says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from hookhub.config.problems import (
    SettingsSource,
    WrongSetting,
    tables,
    unknown_key,
    unknown_table,
)

PREFIX = "HOOKHUB_"

_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def apply_environment(environ: Mapping[str, str], source: SettingsSource) -> list[WrongSetting]:
    """Put the variables into ``source``; return what is wrong with them."""
    problems: list[WrongSetting] = []
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        parts = name.removeprefix(PREFIX).lower().split("__")
        if len(parts) == 1:
            problems += _forgotten_underscore(name, parts[0])
            continue
        problem = _apply(name, tuple(parts), environ[name], source)
        if problem is not None:
            problems.append(problem)
    return problems


def _apply(
    name: str, path: tuple[str, ...], raw: str, source: SettingsSource
) -> WrongSetting | None:
    table, *keys = path
    if "" in path:
        return WrongSetting(path, name, "is not of the form HOOKHUB_<TABLE>__<KEY>")
    if table not in tables():
        return unknown_table(table, name)
    field = tables()[table].model_fields.get(keys[0]) if len(keys) == 1 else None
    if field is None and table != "plugins":
        return unknown_key((table, "__".join(keys)), name)
    try:
        value = _plugin_value(raw) if field is None else _value(field, raw)
    except ValueError as error:
        return WrongSetting(path, name, str(error))
    _put(source, path, value, name)
    return None


def _put(source: SettingsSource, path: tuple[str, ...], value: Any, name: str) -> None:
    table = source.data
    for part in path[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            return  # The file has something else here, and will be told so.
    table[path[-1]] = value
    source.variables[path] = name


def _plugin_value(raw: str) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw


def _value(field: FieldInfo, raw: str) -> Any:
    kinds = _kinds(field.annotation)
    if type(None) in kinds and raw == "":
        return None
    if list in kinds:
        return _json_list(raw)
    if bool in kinds:
        return _bool(raw)
    if int in kinds or float in kinds:
        return _number(raw, whole=float not in kinds)
    return raw


def _json_list(raw: str) -> list[Any]:
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    if not isinstance(value, list):
        raise ValueError('must be a list as JSON, such as ["a", "b"]')
    return value


def _bool(raw: str) -> bool:
    if raw.lower() not in _TRUTH:
        raise ValueError("must be true, false, 1 or 0")
    return _TRUTH[raw.lower()]


def _number(raw: str, *, whole: bool) -> int | float:
    try:
        return int(raw)
    except ValueError:
        if whole:
            raise ValueError("must be a whole number") from None
    try:
        return float(raw)
    except ValueError:
        raise ValueError("must be a number") from None


def _kinds(annotation: Any) -> set[Any]:
    """The plain types in an annotation: ``list[float] | None`` has list and None."""
    origin = get_origin(annotation)
    if origin is None:
        return {annotation}
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (list, dict, Literal):
        return {origin}
    return set().union(*(_kinds(part) for part in get_args(annotation)))


def _forgotten_underscore(name: str, rest: str) -> list[WrongSetting]:
    """``HOOKHUB_SERVER_BIND`` would be ignored in silence; it is certainly meant as a setting."""
    for table, model in tables().items():
        for key in model.model_fields:
            if rest == f"{table}_{key}":
                meant = f"{PREFIX}{table}__{key}".upper()
                return [
                    WrongSetting((table, key), name, f"has one underscore too few; write {meant}")
                ]
    return []
