"""Configuration of the documentation site; built with warnings as errors (``tox -e docs``)."""

from __future__ import annotations

import sys
from importlib.metadata import version as distribution_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "hookhub"
author = "The hookhub developers"
project_copyright = "2026, The hookhub developers"
version = release = distribution_version("hookhub")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "hookhub_docs"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "changelog", "examples", "_ext"]
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist", "attrs_block"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"hookhub {release}"
html_static_path: list[str] = []
html_show_sourcelink = False
pygments_style = "tango"

# Names that signatures show and that no page documents: the standard library's and other
# projects' (the site is built without fetching their inventories), and private type variables.
nitpick_ignore_regex = [
    ("py:.*", r"(collections|typing|datetime|pathlib|enum|types)\..*"),
    ("py:.*", r"(trio|pydantic|peewee|pluggy|click|httpx)\..*"),
    ("py:.*", r"(Mapping|Sequence|Iterable|Iterator|Callable|Awaitable|AsyncIterator|Any|Literal)"),
    ("py:.*", r"(.*\.)?(T|ModelT)"),
]
