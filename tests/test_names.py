"""A class name means one thing, in the core and in the plugins that live with it."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
OWNED = {"Meta", "Config"}
"""Names that a library gives a meaning inside another class."""


def test_a_class_name_means_one_thing() -> None:
    """Whoever reads or looks for a name finds one class: in ``hookhub`` and in every plugin."""
    places = defaultdict(list)
    for path in [*ROOT.glob("hookhub/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
            if isinstance(node, ast.ClassDef) and node.name not in OWNED:
                places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    twice = [f"{name}: {', '.join(at)}" for name, at in sorted(places.items()) if len(at) > 1]
    assert not twice, "\n".join(twice)
