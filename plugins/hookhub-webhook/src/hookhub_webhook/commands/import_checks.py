"""What is wrong with webhooks that shall be imported, as far as it can be told from here. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from hookhub.config import EgressSettings
from hookhub.contracts.errors import FieldError, HookhubError
from hookhub.contracts.events import field_errors, type_matcher, unknown_event_type
from hookhub.egress import Egress
from hookhub_webhook.commands.import_rows import ImportRow
from hookhub_webhook.config import header_errors
from hookhub_webhook.shapes import NewWebhook


def check_rows(
    rows: Sequence[ImportRow], known_types: Sequence[str] | None, *, rename: bool
) -> None:
    """Find what the hub would refuse; only it knows which private addresses it may call.

    Args:
        rows: members become those of ``POST /webhooks``; mistakes are added to ``errors``.
        known_types: the hub's event types; None leaves them unchecked.
        rename: put a number behind a name that an earlier row has.
    """
    # Whether an address may be called is the hub's to say; here it is how the URL is spelt.
    egress = Egress(EgressSettings(allow=["0.0.0.0/0", "::/0"]))
    taken: set[str] = set()
    for row in rows:
        if not row.errors:
            _one_list_of_types(row.members)
            if rename:
                _rename(row, taken)
            row.errors += _member_errors(row.members, egress)
            if known_types is not None:
                row.errors += _type_errors(row.members.get("event_types", ()), known_types)


def _one_list_of_types(members: dict[str, Any]) -> None:
    """``event_type`` and ``event_types`` as the hub tells them: one list, each type once."""
    found: list[Any] = []
    for name in ("event_type", "event_types"):
        given = members.pop(name, [])
        found += given if isinstance(given, list) else [given]
    if found:
        members["event_types"] = list({str(item): item for item in found}.values())


def _rename(row: ImportRow, taken: set[str]) -> None:
    name, number = row.name, 1
    while row.name in taken:
        number += 1
        row.members["name"] = f"{name} ({number})"
    taken.add(row.name)


def _member_errors(members: dict[str, Any], egress: Egress) -> list[FieldError]:
    try:
        valid = NewWebhook.model_validate(members)
    except ValidationError as error:
        return field_errors(error)
    found = header_errors(valid.headers)
    if valid.event_types is None:
        found.append({"loc": ["event_type"], "msg": "Field required; '*' is all events"})
    for name, check in (("url", egress.check_url), ("ca", egress.check_trust)):
        if name in members:
            try:
                # In the hub's normal form, so that it can be compared with what is there.
                members[name] = check(members[name])
            except HookhubError as error:
                found.append({"loc": [name], "msg": error.detail})
    return found


def _type_errors(patterns: Sequence[Any], known: Sequence[str]) -> list[FieldError]:
    return [
        {"loc": ["event_types"], "msg": unknown_event_type(pattern, known).detail}
        for pattern in patterns
        if isinstance(pattern, str) and pattern != "*" and not _matches(pattern, known)
    ]


def _matches(pattern: str, known: Sequence[str]) -> bool:
    if not pattern.endswith(".*"):
        return pattern in known
    return any(map(type_matcher([pattern]), known))


def match_rows(
    rows: Sequence[ImportRow], there: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any] | None]:
    """The webhook that each row is, in the order of the rows; None if it is a new one.

    That of the same name. Where several have it, in the file or in the hub, their URLs and event
    types tell which is which.

    Args:
        there: the webhooks of the hub; each is one row at most.
    """
    named = Counter(row.name for row in rows)
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for item in there:
        by_name.setdefault(item["name"], []).append(item)
    several = {name for name, items in by_name.items() if named[name] > 1 or len(items) > 1}

    def match(row: ImportRow) -> Mapping[str, Any] | None:
        items = by_name.get(row.name, [])
        for item in items:
            if row.name not in several or _purpose(row.members) == _purpose(item):
                items.remove(item)
                return item
        return None

    return [None if row.errors else match(row) for row in rows]


def _purpose(members: Mapping[str, Any]) -> tuple[Any, frozenset[Any]]:
    return members.get("url"), frozenset(members.get("event_types", ()))


def differences(
    wanted: Mapping[str, Any], found: Mapping[str, Any], *, hidden: bool
) -> dict[str, Any]:
    """The members that a webhook of the hub has otherwise.

    Args:
        found: as the hub shows it: a secret and the values of headers are never there.
        hidden: whether what cannot be compared counts as different, or only if it is visibly so
            (no secret, other names of headers).
    """
    changes = {}
    for name, value in wanted.items():
        if name == "secret":
            differs = hidden or not found["has_secret"]
        elif name == "headers":
            differs = hidden or set(value) != set(found["headers"])
        else:
            differs = found[name] != value
        if differs:
            changes[name] = value
    return changes
