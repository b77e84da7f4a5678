"""Webhooks as another program's table has them: CSV, JSON, or a JSON object a line. Pure."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hookhub.contracts.errors import FieldError, MalformedRequest, ValidationFailed
from hookhub.contracts.events import parse_json
from hookhub_webhook.shapes import NewWebhook

BOOKKEEPING = frozenset(
    (
        *("id", "created_at", "updated_at", "last_triggered_at", "disabled_reason"),
        *("failure_count", "success_count", "failing_since", "breaker", "has_secret"),
        "unreadable",
    )
)
"""What a table or ``GET /webhooks`` tells of webhooks, and the hub finds out for itself."""
MEMBERS = frozenset(NewWebhook.model_fields) - {"generate_secret"}

_TEXTS = frozenset(("name", "url", "secret", "description", "format", "ca"))
_BOOLEANS = frozenset(("is_active", "ordered"))
# As PostgreSQL's COPY, SQLite, MySQL and spreadsheets write them.
_TRUE, _FALSE = frozenset(("true", "t", "1", "yes", "y")), frozenset(("false", "f", "0", "no", "n"))

_Found = tuple[str, dict[str, Any] | str]
"""The place of a webhook, and its members or what is wrong with it."""


@dataclass(slots=True)
class ImportRow:
    """One webhook of the file."""

    place: str
    """``line 3``, or ``item 2`` of a JSON array."""
    members: dict[str, Any] = field(default_factory=dict)
    """As the REST API names them; what the file leaves empty is left out."""
    was: str | None = None
    """Its id over there."""
    errors: list[FieldError] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name, as far as it has one."""
        return str(self.members.get("name", ""))


def read_rows(data: bytes, leave_out: Sequence[str] = ()) -> list[ImportRow]:
    """All webhooks of a file; what is wrong with one alone stands in its ``errors``.

    Args:
        data: CSV with a header line, a JSON array (perhaps as ``items`` of an object), or NDJSON.
        leave_out: members or columns that do not matter.

    Raises:
        MalformedRequest: the file is none of these.
        ValidationFailed: it has members or columns that nobody knows.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedRequest(f"It is not UTF-8 (byte {error.start}); convert it first.") from None
    found = list(_json(text) if text.lstrip()[:1] in ("[", "{") else _csv(text))
    ignored = BOOKKEEPING | {name.strip().lower() for name in leave_out}
    names = {name for _, members in found if isinstance(members, dict) for name in members}
    _check_names(names - MEMBERS - ignored)
    return [_row(place, members) for place, members in found]


def _check_names(strange: Iterable[str]) -> None:
    names = sorted(strange)
    if names:
        raise ValidationFailed(
            f"Nobody knows {', '.join(map(repr, names))}. Leave it out with "
            f"{' '.join(f'--leave-out {name}' for name in names)}, or call it as it is meant: "
            f"{', '.join(sorted(MEMBERS))}."
        )


def _row(place: str, found: dict[str, Any] | str) -> ImportRow:
    if isinstance(found, str):
        return ImportRow(place, errors=[{"loc": [], "msg": found}])
    given = {name: value for name, value in found.items() if value not in (None, "")}
    was = str(given["id"]) if "id" in given else None
    return ImportRow(place, {name: value for name, value in given.items() if name in MEMBERS}, was)


# -- JSON ------------------------------------------------------------------------------------


def _json(text: str) -> Iterator[_Found]:
    try:
        whole = parse_json(text, "It")
    except MalformedRequest:
        if text.lstrip().startswith("["):
            raise
        yield from _lines(text)
        return
    if isinstance(whole, dict):
        whole = whole["items"] if isinstance(whole.get("items"), list) else [whole]
    for number, item in enumerate(whole, 1):
        yield f"item {number}", item if isinstance(item, dict) else "is not a JSON object"


def _lines(text: str) -> Iterator[_Found]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"line {number}", _line(line)


def _line(text: str) -> dict[str, Any] | str:
    try:
        item = parse_json(text, "It", one_line=True)
    except MalformedRequest as error:
        return error.detail
    return item if isinstance(item, dict) else "is not a JSON object"


# -- CSV -------------------------------------------------------------------------------------


def _csv(text: str) -> Iterator[_Found]:
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(header)
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield f"line {line}", _cells(header, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise MalformedRequest(f"It is not CSV: {error} at line {reader.line_num}.") from None


def _check_header(header: Sequence[str]) -> None:
    if not {"name", "url"} <= set(header):
        raise ValidationFailed(
            "The first line must name the columns below it, 'name' and 'url' among them, such as "
            "name,url,event_type,secret,description,is_active; it says "
            f"{', '.join(header)[:200] or 'nothing'}."
        )


def _cells(header: Sequence[str], cells: Sequence[str]) -> dict[str, Any] | str:
    if len(cells) > len(header):
        return f"has {len(cells)} cells for {len(header)} columns; put quotes around commas"
    pairs = zip(header, cells, strict=False)
    return {name: _value(name, cell) for name, cell in pairs if cell.strip()}


def _value(name: str, cell: str) -> Any:
    text = cell.strip()
    if name == "secret":
        return cell  # spaces around it are part of the key that receivers have
    if name in _TEXTS or name not in MEMBERS:
        return text
    if name in _BOOLEANS:
        return True if text.lower() in _TRUE else False if text.lower() in _FALSE else text
    if name in ("event_type", "event_types"):
        return _types(text)
    try:
        return json.loads(text)
    except ValueError:
        return text


def _types(text: str) -> str | list[str]:
    """One type, or several with commas or spaces between, or as an array of JSON or PostgreSQL."""
    several = re.findall(r"[^\s,\"\[\]{}]+", text)
    return several[0] if len(several) == 1 else several
