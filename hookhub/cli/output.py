"""Printing: JSON for programs, tables for people."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hookhub.plugins import PluginReport

_WIDE = 1000
"""Columns of a pipe or a file."""


def print_json(data: Any) -> None:
    """Print JSON-compatible data on stdout."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on stdout; every cell is plain text. A pipe gets nothing cut or drawn."""
    terminal = sys.stdout.isatty()
    table = Table(box=SIMPLE_HEAD if terminal else None, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    if terminal:
        Console(file=sys.stdout, highlight=False).print(table)
        return
    text = io.StringIO()
    Console(file=text, width=_WIDE, highlight=False).print(table)
    click.echo("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def note(text: str) -> None:
    """Say something on stderr, beside what is printed."""
    click.echo(text, err=True)


def note_broken(reports: Iterable[PluginReport]) -> None:
    """Say which plugins are broken, on stderr."""
    for report in reports:
        if report.error is not None:
            note(f"Plugin {report.name!r} is broken and left out: {report.error}")


def count(number: int, noun: str) -> str:
    """``1 delivery``, ``2 deliveries``."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"
