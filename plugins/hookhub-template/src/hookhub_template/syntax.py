"""What a template may consist of, and how its work is counted. Pure.

The sandbox of Jinja keeps a template from Python's insides; it does not keep it from working for
ever. So the parsed template is checked against a list of what is allowed, and everything in it that
can cost more than a look-up is wrapped, so that it is charged to the rendering's budget.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import Environment, nodes
from jinja2.visitor import NodeTransformer

from hookhub.contracts.transforms import TransformError

DEPTH_MAX = 30
"""Expressions and blocks within each other."""
TOKENS_MAX = 3_000
"""Words and signs of a template, its text not counted."""

# Names of filters that only this module puts into a template: no name that is written has a space.
CHARGE = "is charged"
LOOP = "is looped over"
TEXT = "is joined as text"
MARK = "is punctuation"

_PUNCTUATION = re.compile(r"[\s,:{}\[\]]+")

_ALLOWED = frozenset(
    {
        *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Assign),
        *(nodes.Name, nodes.Const, nodes.Tuple, nodes.List, nodes.Dict, nodes.Pair, nodes.Keyword),
        *(nodes.CondExpr, nodes.Filter, nodes.Test, nodes.Call, nodes.Getitem, nodes.Getattr),
        *(nodes.Slice, nodes.Concat, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not),
        *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
        *(nodes.Neg, nodes.Pos),
    }
)
_WRITTEN: Mapping[type[nodes.Node], str] = {
    nodes.AssignBlock: "{% set %} with a body",
    nodes.Block: "{% block %}",
    nodes.CallBlock: "{% call %}",
    nodes.Extends: "{% extends %}",
    nodes.FilterBlock: "{% filter %}",
    nodes.FromImport: "{% from %}",
    nodes.Import: "{% import %}",
    nodes.Include: "{% include %}",
    nodes.Macro: "{% macro %}",
    nodes.NSRef: "namespace",
    nodes.Pow: "**",
    nodes.Scope: "{% autoescape %}",
    nodes.With: "{% with %}",
}


def parse(environment: Environment, text: str) -> nodes.Template:
    """Parse a template.

    Its words are counted first: the parser is recursive and slow, and so would find out late, and
    at a depth that depends on its caller's, that a template is too much for it.

    Raises:
        TransformError: it has too many words, or brackets too deep.
        TemplateSyntaxError: as Jinja says.
    """
    depth = tokens = 0
    for line, kind, value in environment.lex(text):
        tokens += kind not in ("data", "whitespace")
        depth += kind == "operator" and (value in "([{") - (value in ")]}")
        if depth > DEPTH_MAX or tokens > TOKENS_MAX:
            limit = f"{DEPTH_MAX} open brackets" if depth > DEPTH_MAX else f"{TOKENS_MAX:,} words"
            raise TransformError(f"Line {line} of the template: it has more than {limit}.")
    return environment.parse(text)


def check_and_count(tree: nodes.Template) -> nodes.Template:
    """Check a parsed template, and have its work counted.

    Raises:
        TransformError: it has something that templates must not have; names it and its line.
    """
    waiting: list[tuple[nodes.Node, int, int]] = [(tree, 0, 1)]
    while waiting:
        node, depth, line = waiting.pop()
        line = node.lineno or line  # what the parser makes up itself has none
        wrong = _wrong(node, depth)
        if wrong is not None:
            raise TransformError(f"Line {line} of the template: {wrong}.")
        waiting += [(child, depth + 1, line) for child in node.iter_child_nodes()]
    counted = _Counting().visit(tree)
    assert isinstance(counted, nodes.Template)
    return counted


def _wrong(node: nodes.Node, depth: int) -> str | None:
    if depth > DEPTH_MAX:
        return f"it is nested more than {DEPTH_MAX} deep"
    if type(node) not in _ALLOWED:
        what = _WRITTEN.get(type(node), type(node).__name__.lower())
        return f"{what} is not for these templates; there are if, for, set and expressions"
    if isinstance(node, nodes.For) and node.recursive:
        return "a loop cannot be recursive"
    if isinstance(node, nodes.Getattr) and node.attr.startswith("__"):
        return f"there is no access to {node.attr!r}; for a member of the payload write ['…']"
    if isinstance(node, nodes.Call | nodes.Filter | nodes.Test) and (
        node.dyn_args is not None or node.dyn_kwargs is not None
    ):
        return "arguments are written one by one, not with * or **"
    if isinstance(node, nodes.Call) and not isinstance(node.node, nodes.Getattr | nodes.Name):
        return "only range() and methods of values can be called"
    return None


class _Counting(NodeTransformer):
    """Wraps what can cost more than a look-up."""

    def visit_Output(self, node: nodes.Output) -> nodes.Output:
        self.generic_visit(node)
        node.nodes = [_marked(item) for item in node.nodes]
        return node

    def visit_For(self, node: nodes.For) -> nodes.For:
        parts = [*node.body, *([node.test] if node.test else [])]
        steps = 1 + sum(1 for part in parts for _ in _all(part))
        self.generic_visit(node)
        node.iter = _wrapped(LOOP, node.iter, nodes.Const(steps, lineno=node.lineno))
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:
        self.generic_visit(node)
        node.expr = _wrapped(CHARGE, node.expr)
        for operand in node.ops:
            operand.expr = _wrapped(CHARGE, operand.expr)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Concat:
        self.generic_visit(node)
        node.nodes = [_wrapped(TEXT, item) for item in node.nodes]
        return node

    def visit_List(self, node: nodes.List) -> nodes.Expr:
        self.generic_visit(node)
        return _wrapped(CHARGE, node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Expr:
        self.generic_visit(node)
        return _wrapped(CHARGE, node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:
        self.generic_visit(node)
        return _wrapped(CHARGE, node) if node.ctx == "load" else node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:
        self.generic_visit(node)
        return _wrapped(CHARGE, node) if isinstance(node.arg, nodes.Slice) else node


def _wrapped(name: str, node: nodes.Node, *arguments: nodes.Expr) -> nodes.Filter:
    made: Any = nodes.Filter(node, name, list(arguments), [], None, None, lineno=node.lineno)
    assert isinstance(made, nodes.Filter)
    return made


def _marked(node: nodes.Expr) -> nodes.Expr:
    """Let ``{{ "," if not loop.last }}`` be a comma of JSON, and not the string ``","``.

    Only what the template's author wrote at this very place, never a value.
    """
    if isinstance(node, nodes.CondExpr):
        node.expr1 = _marked(node.expr1)
        node.expr2 = _marked(node.expr2) if node.expr2 else None
    elif isinstance(node, nodes.Const) and _PUNCTUATION.fullmatch(str(node.value)):
        return _wrapped(MARK, node)
    return node


def _all(node: nodes.Node) -> Iterator[nodes.Node]:
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += found.iter_child_nodes()
