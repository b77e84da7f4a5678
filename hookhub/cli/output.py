"""Printing: JSON for programs, tables for people."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.progress import Progress

    from hookhub.plugins import PluginReport

_WIDE = 1000
"""Columns of a pipe or a file."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z")

STYLES: Mapping[str, str] = {
    **dict.fromkeys(("success", "active", "closed", "done", "delivered", "yes", "ok"), "green"),
    **dict.fromkeys(("failed", "revoked", "open", "give_up", "cancelled", "error"), "red"),
    **dict.fromkeys(
        ("pending", "expired", "half_open", "retry", "running", "paused", "no", "warning"), "yellow"
    ),
}
"""How well-known words look in a terminal."""


def printable(text: str) -> str:
    """The text with control characters spelt out: no stranger shall steer a terminal."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def print_json(data: Any) -> None:
    """Print JSON-compatible data on stdout."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on stdout; every cell is plain text.

    A pipe gets nothing cut or drawn, and times to the microsecond; a terminal to the second.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    table = Table(box=SIMPLE_HEAD if terminal else None, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        texts = [_TIME.sub(r"\1 \2Z", text) if terminal else text for text in row]
        table.add_row(*(Text(printable(text), style=STYLES.get(text, "")) for text in texts))
    if terminal:
        Console(file=sys.stdout, highlight=False).print(table)
        return
    text = io.StringIO()
    Console(file=text, width=_WIDE, highlight=False).print(table)
    click.echo("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def print_json_line(data: Any) -> None:
    """Print JSON-compatible data on a line of its own, for programs that read line by line."""
    click.echo(json.dumps(data, ensure_ascii=False))


def print_members(members: Iterable[tuple[str, Any]]) -> None:
    """Print names and values, one a line; what is None or empty is left out."""
    shown = [(name, _text(value)) for name, value in members if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in shown), default=0)
    for name, text in shown:
        value = click.style(text, fg=STYLES[text]) if text in STYLES else printable(text)
        click.echo(f"{click.style(name.ljust(width), dim=True)}  {value}")


def cell(value: Any) -> str:
    """A value as a table shows it."""
    return "-" if value in (None, "") else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class Bar:
    """How far something is; see :func:`progress_bar`."""

    def __init__(self, progress: Progress | None, label: str) -> None:
        self._progress = progress
        self._task = None if progress is None else progress.add_task(label, total=None)

    def show(self, done: float, total: float | None) -> None:
        """Show that so much is done, of so much in all (None: nobody knows)."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total)


@contextmanager
def progress_bar(label: str, *, hidden: bool = False) -> Iterator[Bar]:
    """A bar on stderr while the block runs, if that is a terminal; it is gone afterwards."""
    if hidden or not sys.stderr.isatty():
        yield Bar(None, label)
        return
    from rich import progress as parts
    from rich.console import Console

    columns = (
        parts.TextColumn("{task.description}"),
        parts.BarColumn(),
        parts.TaskProgressColumn(),
        parts.MofNCompleteColumn(),
        parts.TimeRemainingColumn(),
    )
    with parts.Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bar(progress, label)


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
