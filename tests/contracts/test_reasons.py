"""Why something failed is told by words that programs know: there is one list of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import httpx

from hookhub.contracts.errors import EgressBlocked, ValidationFailed
from hookhub.contracts.sinks import REASONS
from hookhub.egress.http.failures import EgressError, classify

ROOT = Path(__file__).parents[2]
SOURCES = ("hookhub/delivery", "hookhub/store", "plugins/hookhub-webhook/src")
IN_SQL = re.compile(r"\berror = '([a-z_]+)'")


def kinds(base: type[EgressError]) -> Iterator[type[EgressError]]:
    """A class and all below it."""
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


def written(tree: ast.AST) -> Iterator[str]:
    """Words that a module writes down as ``error``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
            # ``_failed(error, message)`` of the webhook, ``Unreadable(error, why)`` of the store.
            values = [item.value for item in node.keywords if item.arg == "error"]
            values += node.args[:1] if name in ("_failed", "Unreadable") else []
            for value in values:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from IN_SQL.findall(node.value)


def given() -> set[str]:
    """All words that the egress, the engine, the store and the webhook give."""
    others = (httpx.ReadError("no"), EgressBlocked("no"), ValidationFailed("no"))
    words = {kind.code for kind in kinds(EgressError)} | {classify(item)[0] for item in others}
    for source in SOURCES:
        for path in (ROOT / source).rglob("*.py"):
            words.update(written(ast.parse(path.read_text("utf-8"))))
    return words


def test_the_list_is_what_is_given() -> None:
    """``REASONS`` has every word that is given, each once, and no other."""
    assert sorted(REASONS) == sorted(given())


def test_each_word_is_documented() -> None:
    """``docs/retries.md`` says of each word what it means."""
    text = (ROOT / "docs" / "retries.md").read_text("utf-8")
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \| .", text, re.MULTILINE)
    documented = [word for row in rows for word in re.findall(r"`([a-z_]+)`", row)]
    assert sorted(set(REASONS) - set(documented)) == []
