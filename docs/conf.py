"""Configuration of the documentation site; built with warnings as errors (``tox -e docs``)."""

from __future__ import annotations

import sys
from importlib.metadata import version as distribution_version
from pathlib import Path

import hookhub.contracts.answers  # noqa: F401 - autodoc spoils the annotations of its base

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "hookhub"
author = "The hookhub developers"
project_copyright = "2026, The hookhub developers"
version = release = distribution_version("hookhub")

extensions = ["myst_parser", "sphinx.ext.autodoc", "hookhub_docs"]
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

# `type[Model]` in a signature is looked up as a name and found as the member `type` of events.
suppress_warnings = ["ref.python"]

# Names that signatures show and that no page documents: other projects' (the site is built without
# fetching their inventories), type variables, and rooms of the hub that are not public.
nitpick_ignore_regex = [
    ("py:.*", r"(collections|typing|datetime|pathlib|enum|types|ssl)\..*"),
    ("py:.*", r"(trio|pydantic|pydantic_core|annotated_types|peewee|pluggy|click|httpx)\..*"),
    ("py:.*", r"(Mapping|Sequence|Iterable|Iterator|Callable|Awaitable|AsyncIterator|Any|Literal)"),
    ("py:.*", r"(.*\.)?(T|ModelT)"),
    # Imported for type checkers alone, so that autodoc sees the bare name.
    ("py:class", r"Management|Publisher"),
    ("py:.*", r"hookhub\.(access|background|config|delivery|feed|filters|plugins)(\..*)?"),
    ("py:.*", r"hookhub\.(secretbox|server|store)\..*"),
    ("py:.*", r"hookhub\.(client\.retries|contracts\.transforms)\..*"),
    ("py:.*", r"(Transform|Hub|NewEndpoint|Store|Tokens|Feed|Plugins|Settings)"),
]
