"""What the code says of itself, as Markdown: settings, errors, commands, changelog fragments.

The pages have it between comments, so that they read well in a checkout too; ``tests/test_docs.py``
holds that it is what the code says now. After a change of the code::

    python docs/_ext/hookhub_reference.py

A part begins with one of these, and ends with ``<!-- end -->``:

``<!-- settings TABLE -->``  the keys of one table of ``hookhub.toml``
``<!-- errors -->``          every error code with its status and meaning
``<!-- cli -->``             the help of every command, those of the installed plugins included
``<!-- file PATH -->``       a file of ``docs/``, in a block of code that says its language
``<!-- file PATH NAME -->``  of that file what stands below ``# -- NAME``
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import click
from pydantic.fields import FieldInfo

import hookhub.http.problems  # noqa: F401 - it has an error of its own
from hookhub.config import Settings
from hookhub.contracts import errors

DOCS = Path(__file__).parents[1]
FRAGMENTS = DOCS / "changelog"
WIDTH = 100
"""Columns of a command's help."""
PART = re.compile(
    r"^<!-- (settings|errors|cli|file)(?: ([\w./-]+))?(?: ([\w ]+))? -->\n(.*?)^<!-- end -->\n",
    re.MULTILINE | re.DOTALL,
)


def setting_tables() -> dict[str, dict[str, FieldInfo]]:
    """Table name to its keys, in the order of :class:`hookhub.config.Settings`."""
    tables = {}
    for name, field in Settings.model_fields.items():
        model: Any = field.annotation
        tables[name] = dict(model.model_fields)
    return tables


def environment_name(table: str, key: str) -> str:
    """The variable that overrides a setting."""
    return f"HOOKHUB_{table}__{key}".upper()


def type_name(annotation: Any) -> str:
    """What may stand there, for a person."""
    words = {str: "text", int: "integer", float: "number", bool: "true or false"}
    if annotation in words:
        return words[annotation]
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return type_name(arguments[0])
    if get_origin(annotation) is list:
        return f"list of {type_name(arguments[0])}"
    if all(isinstance(item, str) for item in arguments) and arguments:
        return " or ".join(json.dumps(item) for item in arguments)
    return " or ".join(type_name(item) for item in arguments if item is not type(None))


def sentence(text: str) -> str:
    """The text with a full stop at its end."""
    return text if text.endswith(("…", ".")) else text + "."


def setting_rows(table: str) -> Iterator[tuple[str, str, str, str]]:
    """``(key, type, default, description)`` for one table."""
    for key, field in setting_tables()[table].items():
        default = field.get_default(call_default_factory=True)
        shown = "not set" if default is None else f"`{json.dumps(default)}`"
        yield key, type_name(field.annotation), shown, sentence(field.description or "")


def error_classes() -> list[type[errors.HookhubError]]:
    """Every error that the REST API may answer with, in the order of its module."""
    found = [errors.HookhubError]
    for error in found:
        found += [item for item in error.__subclasses__() if item not in found]
    rooms = ("hookhub.contracts.errors", "hookhub.http", "hookhub.web")
    kept = [item for item in found if item.__module__.startswith(rooms)]
    places = list(vars(errors).values())
    return sorted(kept, key=lambda item: places.index(item) if item in places else len(places))


def commands(
    command: click.Command, path: tuple[str, ...] = ("hookhub",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below ``command``, itself first, hidden ones left out.

    Those of the installed plugins are among them.
    """
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path[-1])
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from commands(child, (*path, name))


def settings_markdown(table: str) -> list[str]:
    """The table of keys of ``[table]``."""
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for row in setting_rows(table):
        key, kind, default, meaning = (cell.replace("|", "\\|") for cell in row)
        name = environment_name(table, key)
        lines.append(f"| `{key}`<br>`{name}` | {kind} | {default} | {meaning} |")
    return lines


def errors_markdown() -> list[str]:
    """The table of error codes; the first line of each docstring says what it means."""
    lines = ["| code | status | meaning |", "|---|---|---|"]
    for error in error_classes():
        meaning = " ".join((error.__doc__ or "").split("\n\n")[0].split())
        if error is errors.HookhubError:
            meaning = "A bug; the hub's log tells more under the `incident` of the answer."
        lines.append(f"| `{error.code}` | {error.status} | {meaning} |".replace("``", "`"))
    return lines


def command_markdown(path: tuple[str, ...], command: click.Command) -> list[str]:
    """One command: heading and help."""
    # As the root has them, from whom all commands do: click keeps what the first context made.
    options = {"help_option_names": ["-h", "--help"], "terminal_width": WIDTH}
    context = click.Context(command, info_name=path[-1], **options)
    parent = " ".join(path[:-1])
    text = command.get_help(context).replace("Usage: ", f"Usage: {parent} ".rstrip(" ") + " ")
    return [f"## {' '.join(path)}", "", "```text", *text.split("\n"), "```", ""]


def commands_markdown() -> list[str]:
    """All commands."""
    from hookhub.cli import main

    return [line for path, item in commands(main) for line in command_markdown(path, item)]


def file_markdown(path: str, name: str | None, before: str) -> list[str]:
    """A file of ``docs/`` in a block of code.

    Args:
        name: of the part below ``# -- NAME``; None for all of it.
        before: the block as it stands; its first line says the language.
    """
    text = (DOCS / path).read_text("utf-8")
    if name is not None:
        text = text.partition(f"\n# -- {name}\n")[2].partition("\n# -- ")[0]
    return [before.partition("\n")[0], *text.strip("\n").split("\n"), "```"]


def written(text: str) -> str:
    """A page with its parts as they must be."""

    def part(found: re.Match[str]) -> str:
        kind, place, name, before = found.groups()
        if kind == "file":
            lines = file_markdown(place, name, before)
        elif kind == "settings":
            lines = ["", *settings_markdown(place), ""]
        elif kind == "errors":
            lines = ["", *errors_markdown(), ""]
        else:
            lines = ["", *commands_markdown()]
        return "\n".join([found[0].partition("\n")[0], *lines, "<!-- end -->\n"])

    return PART.sub(part, text)


def draft_markdown() -> list[str]:
    """The fragments of the next release, grouped as towncrier will group them."""
    groups = {"breaking": "Breaking changes", "feature": "Features", "bugfix": "Fixes"}
    lines: list[str] = []
    for kind, title in groups.items():
        found = sorted(FRAGMENTS.glob(f"*.{kind}*.md"))
        if found:
            lines += [f"**{title}**", ""]
            lines += ["- " + " ".join(item.read_text().split()) for item in found]
            lines.append("")
    return lines or ["Nothing yet."]


if __name__ == "__main__":
    for page in sorted(DOCS.glob("*.md")):
        page.write_text(written(page.read_text("utf-8")), "utf-8")
