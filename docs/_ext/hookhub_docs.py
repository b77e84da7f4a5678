"""What the site has beyond the pages as they read in a checkout.

A comment that begins with ``<!--site`` holds what only Sphinx understands; on the site it stands in
the place of the paragraph right behind it, if there is one. ``{hookhub-draft}`` is the changelog
fragments that wait for the next release.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config as NapoleonConfig
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.util.docutils import SphinxDirective

import hookhub_reference as reference

_SITE = re.compile(r"^<!--site\n(.*?)^-->\n(?:[^\n]+\n)*", re.MULTILINE | re.DOTALL)


class DraftDirective(SphinxDirective):
    """``{hookhub-draft}``"""

    has_content = False

    def run(self) -> list[nodes.Node]:
        self.content = StringList(reference.draft_markdown(), source="<hookhub-draft>")
        return self.parse_content_to_nodes()


def uncover(app: Sphinx, name: str, source: list[str]) -> None:
    """Take what is the site's out of its comments."""
    source[0] = _SITE.sub(r"\1", source[0])


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
    app.connect("source-read", uncover)
    app.connect("autodoc-process-docstring", read_sections)
    app.add_directive("hookhub-draft", DraftDirective)
    return {"version": "1", "parallel_read_safe": True}
