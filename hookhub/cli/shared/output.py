"""Printing: JSON for programs, tables for people; all of it harmless to a terminal.

Nothing of the program prints past this module.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hookhub.logs import spelt_out, spelt_out_json

if TYPE_CHECKING:
    from rich.progress import Progress

    from hookhub.plugins import PluginReport

_WIDE = 1000
"""Columns of a pipe or a file."""

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z")

STYLES: Mapping[str, str] = {
    **dict.fromkeys(("success", "active", "closed", "done", "delivered", "yes", "ok"), "green"),
    **dict.fromkeys(("failed", "revoked", "open", "give_up", "cancelled", "error"), "red"),
    **dict.fromkeys(
        ("pending", "expired", "half_open", "retry", "running", "paused", "no", "warning"), "yellow"
    ),
}
"""How well-known words look in a terminal."""
MARKS = {"ok": "✓", "info": "·", "absent": "-", "warning": "!", "failed": "✗", "error": "✗"}
"""What stands before the result of a check."""


class Painted(str):
    """Text that is harmless already, with colours."""


def painted(text: str, **style: Any) -> Painted:
    """The text in these colours, for :func:`say`.

    Args:
        style: as ``click.style`` takes it.
    """
    return Painted(click.style(printable(text), **style))


def mark(state: str, **style: Any) -> Painted:
    """What stands before the result of a check: ``ok``, ``failed`` …"""
    return painted(MARKS[state], fg=STYLES.get(state), **style)


def printable(text: str) -> str:
    """The text with control characters, and what hides or turns text around, spelt out.

    No stranger shall steer a terminal. Line breaks and tabs stay.
    """
    return spelt_out(text)


def say(*parts: str, err: bool = False) -> None:
    """Print a line, with spaces between its parts; only :func:`painted` ones have colours.

    Args:
        err: on stderr, not on stdout.
    """
    texts = [part if isinstance(part, Painted) else printable(part) for part in parts]
    click.echo(" ".join(texts), err=err)


def confirm(question: str) -> bool:
    """Ask on stderr; whether the answer is yes."""
    return click.confirm(printable(question), err=True)


def json_text(data: Any, indent: int | None = None) -> str:
    """JSON-compatible data as JSON that a person can read, harmless to a terminal."""
    return spelt_out_json(json.dumps(data, indent=indent, ensure_ascii=False))


def print_json(data: Any) -> None:
    """Print JSON-compatible data on stdout."""
    click.echo(json_text(data, 2))


def print_result(data: Any, told: str | Callable[[Any], None], *, as_json: bool) -> None:
    """Print JSON-compatible data, or for a person a sentence, or what a function prints of it."""
    if as_json:
        print_json(data)
    elif isinstance(told, str):
        say(told)
    else:
        told(data)


def print_list(
    items: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    *,
    as_json: bool,
    nothing: str = "There is none.",
) -> None:
    """Print all items of a list as JSON, or as a table for a person.

    Args:
        columns: heading to the member below it.
        nothing: what is told when there is no item.
    """
    if as_json:
        print_json({"items": items, "total": len(items)})
    elif not items:
        note(nothing)
    else:
        rows = [[cell(item[name]) for name in columns.values()] for item in items]
        print_table(list(columns), rows)


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
        table.add_column(printable(column), overflow="fold")
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
    click.echo(json_text(data))


def print_members(members: Iterable[tuple[str, Any]]) -> None:
    """Print names and values, one a line; what is None or empty is left out."""
    shown = [(name, _text(value)) for name, value in members if value not in (None, "", [], {})]
    width = max((len(printable(name)) for name, _ in shown), default=0)
    for name, text in shown:
        below = text.replace("\n", f"\n{' ' * (width + 2)}")
        say(
            painted(f"{printable(name):{width}} ", dim=True),
            painted(text, fg=STYLES[text]) if text in STYLES else below,
        )


def cell(value: Any) -> str:
    """A value as a table shows it, on one line."""
    return "-" if value in (None, "") else _text(value).replace("\n", "\\n")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json_text(value)


class ProgressBar:
    """How far something is; see :func:`progress_bar`."""

    def __init__(self, progress: Progress | None, label: str) -> None:
        self._progress = progress
        self._task = None if progress is None else progress.add_task(label, total=None)

    def show(self, done: float, total: float | None) -> None:
        """Show that so much is done, of so much in all (None: nobody knows)."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total)


@contextmanager
def progress_bar(label: str, *, hidden: bool = False) -> Iterator[ProgressBar]:
    """A bar on stderr while the block runs, if that is a terminal; it is gone afterwards."""
    if hidden or not sys.stderr.isatty():
        yield ProgressBar(None, label)
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
        yield ProgressBar(progress, label)


def note(text: str) -> None:
    """Say something on stderr, beside what is printed."""
    say(text, err=True)


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
