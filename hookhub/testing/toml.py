"""Settings as TOML text: as much of it as ``hookhub.toml`` needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def to_toml(tables: Mapping[str, Any]) -> str:
    """Nested mappings of strings, numbers, truth values and lists as TOML; None is left out.

    JSON's strings, numbers and arrays mean the same in TOML, so only tables are written anew.
    """
    return "\n".join(_lines(tables, ""))


def _lines(table: Mapping[str, Any], path: str) -> list[str]:
    plain = {name: value for name, value in table.items() if not isinstance(value, Mapping)}
    lines = [
        f"{json.dumps(name)} = {json.dumps(value, ensure_ascii=False)}"
        for name, value in plain.items()
        if value is not None
    ]
    for name, value in table.items():
        if isinstance(value, Mapping):
            inner = f"{path}.{json.dumps(name)}" if path else json.dumps(name)
            lines += [f"[{inner}]", *_lines(value, inner)]
    return lines
