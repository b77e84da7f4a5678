"""Lists of deliveries: which are asked for, and how they are shown; of one endpoint or of all."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hookhub.cli.shared import moments
from hookhub.cli.shared.output import cell, note, print_table
from hookhub.contracts.events import format_timestamp

if TYPE_CHECKING:
    from hookhub.client import Client

F = TypeVar("F", bound=Callable[..., Any])
Json = dict[str, Any]

PAGE = 200
"""The most that the hub gives at once."""

_COLUMNS = (
    ("ID", "id"),
    ("ENDPOINT", "endpoint_name"),
    ("EVENT", "event_type"),
    ("STATUS", "status"),
    ("ATTEMPTS", "attempt_number"),
    ("ANSWER", "response_status"),
    ("CREATED", "created_at"),
    ("NEXT", "next_retry_at"),
    ("ERROR", "error_message"),
)


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """Which deliveries a person asked for; commands with :func:`delivery_options` get one."""

    query: Mapping[str, Any]
    limit: int | None
    """None for all."""

    def find(self, client: Client, path: str) -> Json:
        """The deliveries, as the hub's answer has them.

        Args:
            path: of the list.

        Raises:
            HookhubError: the hub refuses, or does not answer.
        """
        if self.limit is None:
            items = list(client.items(path, self.query, page=PAGE))
            return {"items": items, "total": len(items)}
        found: Json = client.call("GET", path, params={**self.query, "limit": self.limit})
        # The hub looks at so many at a time: a page may be short before the end.
        while len(found["items"]) < self.limit and found.get("next") is not None:
            more = {"limit": self.limit - len(found["items"]), "before": found["next"]}
            behind = client.call("GET", path, params={**self.query, **more})
            found["items"] += behind["items"]
            found["next"] = behind["next"]
        return found


def delivery_options(command: F) -> F:
    """Which deliveries; the command gets ``wanted``, a :class:`DeliveryOptions`."""

    @functools.wraps(command)
    def with_wanted(*args: Any, **kwargs: Any) -> Any:
        names = ("status", "event_type", "event_id", "since", "until", "limit", "everything")
        wanted = _wanted(**{name: kwargs.pop(name) for name in names})
        return command(*args, wanted=wanted, **kwargs)

    for option in reversed(_OPTIONS):
        with_wanted = option(with_wanted)
    return with_wanted  # type: ignore[return-value]


_OPTIONS = (
    click.option(
        "--status", type=click.Choice(["pending", "success", "failed"]), help="Only these."
    ),
    click.option(
        "--event-type", multiple=True, metavar="PATTERN", help="Types (user.*); several times."
    ),
    click.option("--event", "event_id", metavar="ID", help="Only of this event."),
    click.option(
        "--since",
        metavar="TIME|SPAN",
        callback=moments.past_time,
        help="From this time (2026-01-31T12:00:00Z, 15m, 2h) on.",
    ),
    click.option(
        "--until", metavar="TIME|SPAN", callback=moments.past_time, help="Before this time."
    ),
    click.option(
        *("-n", "--limit"),
        type=click.IntRange(1, PAGE),
        default=20,
        show_default=True,
        help="How many.",
    ),
    click.option("--all", "everything", is_flag=True, help="All of them."),
)


def _wanted(
    *,
    status: str | None,
    event_type: tuple[str, ...],
    event_id: str | None,
    since: int | None,
    until: int | None,
    limit: int,
    everything: bool,
) -> DeliveryOptions:
    query = {
        "status": status,
        "event_type": ",".join(event_type) or None,
        "event_id": event_id,
        "since": None if since is None else format_timestamp(since),
        "until": None if until is None else format_timestamp(until),
    }
    return DeliveryOptions(query, None if everything else limit)


def print_deliveries(found: Json, *, endpoints: bool = False) -> None:
    """Show what :meth:`DeliveryOptions.find` found to a person.

    Args:
        endpoints: whether to say where each goes.
    """
    items = found["items"]
    if not items:
        note("There is none.")
        return
    columns = [column for column in _COLUMNS if endpoints or column[0] != "ENDPOINT"]
    rows = [[cell(item[name]) for _, name in columns] for item in items]
    print_table([title for title, _ in columns], rows)
    total = found.get("total")
    if total is None and found.get("next") is not None:
        note("There may be more; --all shows all.")
    elif total is not None and total > len(items):
        note(f"{len(items)} of {total}; --all shows the rest.")
