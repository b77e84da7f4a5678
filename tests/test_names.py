"""A type's name means one thing, in the core and in the plugins that live with it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
OWNED = {"Meta", "Config"}
"""Names that a library gives a meaning inside another class."""
CAMEL_CASE = re.compile(r"_?[A-Z]+[a-z][A-Za-z0-9]*")


def named_types(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Classes wherever they are, and the aliases of the module: ``Json = dict[str, Any]``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name not in OWNED:
            yield node.name, node.lineno
    conditional = [inner for node in tree.body if isinstance(node, ast.If) for inner in node.body]
    for node in [*tree.body, *conditional]:
        match node:
            case ast.Assign(targets=[ast.Name(name)], value=ast.Subscript() | ast.BinOp()):
                aliased = bool(CAMEL_CASE.fullmatch(name))
            case ast.AnnAssign(target=ast.Name(name), annotation=ast.Name("TypeAlias")):
                aliased = True
            case _:
                aliased = False
        if aliased:
            yield name, node.lineno


def test_a_types_name_means_one_thing() -> None:
    """Whoever reads or looks for a name finds one class or alias, in the core and all plugins."""
    places = defaultdict(list)
    for path in [*ROOT.glob("hookhub/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]:
        for name, line in named_types(ast.parse(path.read_text("utf-8"), str(path))):
            places[name].append(f"{path.relative_to(ROOT)}:{line}")
    twice = [f"{name}: {', '.join(at)}" for name, at in sorted(places.items()) if len(at) > 1]
    assert not twice, "\n".join(twice)
