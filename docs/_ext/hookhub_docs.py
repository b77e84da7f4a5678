"""Directives that read the code, so that what they show cannot go stale.

``hookhub-settings``  the keys of one table of ``hookhub.toml``: ``{hookhub-settings} server``
``hookhub-errors``    every error code with its status and meaning
``hookhub-cli``       the help of every command
``hookhub-draft``     the changelog fragments that wait for the next release
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import click
from docutils import nodes
from docutils.statemachine import StringList
from pydantic.fields import FieldInfo
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config as NapoleonConfig
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.util.docutils import SphinxDirective

import hookhub.web.problems  # noqa: F401 - it has an error of its own
from hookhub import errors
from hookhub.cli import main as hookhub_command
from hookhub.config import Settings

FRAGMENTS = Path(__file__).parents[1] / "changelog"


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
    """Every error that the REST API may answer with, in the order of :mod:`hookhub.errors`."""
    found = [errors.HookhubError]
    for error in found:
        found += [item for item in error.__subclasses__() if item not in found]
    rooms = ("hookhub.errors", "hookhub.web")
    kept = [item for item in found if item.__module__.startswith(rooms)]
    places = list(vars(errors).values())
    return sorted(kept, key=lambda item: places.index(item) if item in places else len(places))


def commands(
    command: click.Command, path: tuple[str, ...] = ("hookhub",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below ``command``, itself first, hidden ones left out."""
    yield path, command
    if isinstance(command, click.Group):
        for name, child in sorted(command.commands.items()):
            if not child.hidden:
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
    context = click.Context(command, info_name=path[-1])
    parent = " ".join(path[:-1])
    text = command.get_help(context).replace("Usage: ", f"Usage: {parent} ".rstrip(" ") + " ")
    return [f"## {' '.join(path)}", "", "```text", *text.split("\n"), "```", ""]


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


class _Generated(SphinxDirective):
    """Parses the Markdown that :meth:`markdown` makes, in place."""

    optional_arguments = 0
    has_content = False

    def markdown(self) -> list[str]:
        """The lines to stand in the directive's place."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        self.content = StringList(self.markdown(), source=f"<{self.name}>")
        return self.parse_content_to_nodes(allow_section_headings=True)


class SettingsDirective(_Generated):
    """``{hookhub-settings} TABLE``"""

    required_arguments = 1

    def markdown(self) -> list[str]:
        return settings_markdown(self.arguments[0])


class ErrorsDirective(_Generated):
    """``{hookhub-errors}``"""

    def markdown(self) -> list[str]:
        return errors_markdown()


class CommandsDirective(_Generated):
    """``{hookhub-cli}``"""

    def markdown(self) -> list[str]:
        return [
            line
            for path, command in commands(hookhub_command)
            for line in command_markdown(path, command)
        ]


class DraftDirective(_Generated):
    """``{hookhub-draft}``"""

    def markdown(self) -> list[str]:
        return draft_markdown()


def read_sections(
    app: Sphinx, what: str, name: str, item: object, options: object, lines: list[str]
) -> None:
    """Turn ``Args:`` and ``Raises:`` of docstrings into fields.

    Not through napoleon's own hook: of an attribute's docstring, it takes what stands before a
    colon for the attribute's type.
    """
    if what not in ("attribute", "data", "property"):
        settings = NapoleonConfig(napoleon_use_rtype=False)
        lines[:] = GoogleDocstring(lines, settings, app, what, name, item, options).lines()


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    # GitHub draws the diagrams of CONTRIBUTING.md; the site shows their text.
    app.add_lexer("mermaid", TextLexer)
    app.connect("autodoc-process-docstring", read_sections)
    app.add_directive("hookhub-settings", SettingsDirective)
    app.add_directive("hookhub-errors", ErrorsDirective)
    app.add_directive("hookhub-cli", CommandsDirective)
    app.add_directive("hookhub-draft", DraftDirective)
    return {"version": "1", "parallel_read_safe": True}
