"""Directives that read the code, so that what they show cannot go stale.

``hookhub-settings``  the keys of one table of ``hookhub.toml``: ``{hookhub-settings} server``
``hookhub-errors``    every error code with its status and meaning
``hookhub-cli``       the help of every command
``hookhub-draft``     the changelog fragments that wait for the next release
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config as NapoleonConfig
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.util.docutils import SphinxDirective

import hookhub_reference as reference
from hookhub.cli import main as hookhub_command


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
        return reference.settings_markdown(self.arguments[0])


class ErrorsDirective(_Generated):
    """``{hookhub-errors}``"""

    def markdown(self) -> list[str]:
        return reference.errors_markdown()


class CommandsDirective(_Generated):
    """``{hookhub-cli}``"""

    def markdown(self) -> list[str]:
        return [
            line
            for path, command in reference.commands(hookhub_command)
            for line in reference.command_markdown(path, command)
        ]


class DraftDirective(_Generated):
    """``{hookhub-draft}``"""

    def markdown(self) -> list[str]:
        return reference.draft_markdown()


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
