"""docs/architecture.md tells of files, folders and functions that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "architecture.md").read_text("utf-8")
FILE = re.compile(r"`((?:hookhub|plugins|tests|docs)/[\w./-]*?)(?::([\w.]+))?`")


def defined(path: Path) -> set[str]:
    """The functions and classes of a module, methods as ``Class.method``."""
    names = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{getattr(inner, 'name', '')}" for inner in node.body}
    return names


def test_every_file_and_function_is_there() -> None:
    """Each path in code style exists; with a name behind the colon, the file defines it."""
    found = FILE.findall(TEXT)
    assert len(found) > 30
    wrong = [
        f"{path}:{name}" if name else path
        for path, name in found
        if not (ROOT / path).exists() or (name and name not in defined(ROOT / path))
    ]
    assert not wrong


def test_the_tree_is_the_tree() -> None:
    """Every folder and module at the top of the core stands in the drawing, and nothing else."""
    drawing = TEXT.split("```text\n")[1].split("```")[0]
    drawn = set(re.findall(r"^  ([\w.]+/?) ", drawing.split("\nplugins/ ")[0], re.M))
    core = ROOT / "hookhub"
    there = {f"{path.parent.name}/" for path in core.glob("*/__init__.py")}
    there |= {path.name for path in core.glob("[!_]*.py")}
    assert drawn == there
