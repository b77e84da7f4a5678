"""A commented ``hookhub.toml``, made from the settings themselves. Pure."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hookhub.config import Settings

HEAD = """\
# The configuration of this hub, made by 'hookhub init'.
#
# A line that starts with '#' is not read, and what is not set has the value shown. The environment
# overrides this file: [server] bind is HOOKHUB_SERVER__BIND, lists as JSON. Times are seconds,
# sizes are bytes. A misspelt key or a wrong value stops the start and is named; 'hookhub check'
# looks at everything else.
"""

PLUGINS = """\
# Each plugin has a table of its own, [plugins.<name>]; its README says what it may hold:
#   [plugins.log]
#   file = "events.jsonl"
"""

EXAMPLES: Mapping[str, Any] = {
    "public_url": "https://hub.example.org",
    "drain_delay": 10.0,
    "certfile": "/etc/hookhub/cert.pem",
    "keyfile": "/etc/hookhub/key.pem",
    "bootstrap_token": "at-least-16-characters",
    "secret_key": "32 characters or more, such as those of: openssl rand -base64 32",
}
"""For settings that have no default."""

Chosen = Mapping[str, Mapping[str, Any]]


def config_text(chosen: Chosen) -> str:
    """The file's text with every setting and its default.

    Args:
        chosen: tables of values to be set; all others stand there as comments.
    """
    parts = [HEAD]
    for table, field in Settings.model_fields.items():
        model: Any = field.annotation
        lines = list(_table(model, chosen.get(table, {})))
        parts.append("\n".join([f"[{table}]", *lines]) + "\n")
    return "\n".join([*parts, PLUGINS])


def _table(model: type[BaseModel], chosen: Mapping[str, Any]) -> Iterator[str]:
    for key, field in model.model_fields.items():
        yield from _comment(f"{(field.description or key).rstrip('.')}.")
        yield from _setting(key, field, chosen.get(key))


def _setting(key: str, field: FieldInfo, value: Any) -> Iterator[str]:
    default = field.get_default(call_default_factory=True)
    if value is not None:
        yield f"{key} = {toml_value(value)}"
    elif default is not None:
        yield f"# {key} = {toml_value(default)}"
    else:
        yield "# Not set by default; for example:"
        yield f"#   {key} = {toml_value(EXAMPLES.get(key, '…'))}"


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(text, 97):
        yield f"# {line}"


def toml_value(value: Any) -> str:
    """A text, number, truth value or list as TOML writes it."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 100_000:
        return f"{value:_}"
    # What JSON writes of these is TOML as well.
    return json.dumps(value, ensure_ascii=False)
