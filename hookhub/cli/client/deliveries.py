"""Lists of deliveries: which are asked for, and how they are shown; of one endpoint or of all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from textwrap import indent
from typing import TYPE_CHECKING, Any

import click

from hookhub.cli.shared import values
from hookhub.cli.shared.options import gathered, json_option, together
from hookhub.cli.shared.output import (
    cell,
    count,
    json_text,
    note,
    print_members,
    print_result,
    print_table,
    say,
)
from hookhub.cli.shared.remote import Remote, remote_options
from hookhub.contracts.strict_json import Json

if TYPE_CHECKING:
    from hookhub.client import Client


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


_options = together(
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
        callback=values.past_time,
        help="From this time (2026-01-31T12:00:00Z, 15m, 2h) on.",
    ),
    click.option(
        "--until", metavar="TIME|SPAN", callback=values.past_time, help="Before this time."
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


def _wanted(given: dict[str, Any]) -> DeliveryOptions:
    query = {name: given.pop(name) for name in ("status", "event_id", "since", "until")}
    query["event_type"] = ",".join(given.pop("event_type")) or None
    limit, everything = given.pop("limit"), given.pop("everything")
    return DeliveryOptions(query, None if everything else limit)


delivery_options = gathered(_options, "wanted", _wanted)
"""Which deliveries; the command gets ``wanted``, a :class:`DeliveryOptions`."""


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


@click.group("delivery")
def delivery() -> None:
    """List deliveries, show one with its attempts, attempt it again, or skip it."""


@delivery.command("list")
@delivery_options
@remote_options
@json_option
def list_deliveries(wanted: DeliveryOptions, remote: Remote, as_json: bool) -> None:
    """List deliveries to all webhooks and other endpoints, newest first.

    \b
    Examples:
      hookhub delivery list --status failed --since 1h
      hookhub delivery list --event-type 'user.*' --event-type ticket.created --all --json
    """
    with remote.client() as client:
        found = wanted.find(client, "/deliveries")
    print_result(found, partial(print_deliveries, endpoints=True), as_json=as_json)


@delivery.command("show")
@click.argument("delivery_id", type=int)
@remote_options
@json_option
def show(delivery_id: int, remote: Remote, as_json: bool) -> None:
    """Show a delivery, its payload, and each attempt with what the receiver answered.

    \b
    Examples:
      hookhub delivery show 4711
      hookhub delivery show 4711 --json | jq '.attempts[-1]'
    """
    with remote.management() as hub:
        found = hub.delivery(delivery_id)
    print_result(found, print_delivery, as_json=as_json)


@delivery.command("retry")
@click.argument("delivery_ids", type=int, nargs=-1, required=True)
@remote_options
@json_option
def retry(delivery_ids: tuple[int, ...], remote: Remote, as_json: bool) -> None:
    """Attempt deliveries again, now, whatever the schedule says.

    Those that something else holds back all the same are named with what they wait for: the circuit
    breaker of their endpoint, its being switched on, or an earlier one of their key (strict order).

    \b
    Examples:
      hookhub delivery retry 4711
      hookhub delivery retry 4711 4712 4713
    """
    with remote.management() as hub:
        items = [hub.retry_delivery(item) for item in delivery_ids]
    print_result({"items": items}, _print_retried, as_json=as_json)


@delivery.command("skip")
@click.argument("delivery_id", type=int)
@remote_options
@json_option
def skip(delivery_id: int, remote: Remote, as_json: bool) -> None:
    """Give up a delivery that holds back those behind it (strict order), so that they go on.

    \b
    Example:
      hookhub delivery skip 4711
    """
    with remote.management() as hub:
        found = hub.skip_delivery(delivery_id)
    told = f"Delivery {delivery_id} is {found['status']}; 'hookhub delivery retry' undoes it."
    print_result(found, told, as_json=as_json)


def _print_retried(found: Json) -> None:
    items = found["items"]
    # A hub of an earlier version does not say what they wait for.
    waiting = [item for item in items if item.get("waits_for") is not None]
    now = len(items) - len(waiting)
    if now:
        say(f"{count(now, 'delivery')} {'is' if now == 1 else 'are'} attempted again now.")
    for item in waiting:
        say(f"Delivery {item['id']} waits {_obstacle(item['waits_for'], item['probe_in'])}.")


def _obstacle(waits_for: str, probe_in: float | None) -> str:
    if waits_for == "circuit_breaker":
        when = f"next probe in {math.ceil(probe_in)} s" if probe_in else "a probe is under way"
        return f"for the circuit breaker, {when}"
    known = {
        "endpoint": "until its endpoint is switched on",
        "order": "until an earlier one of its key has ended",
    }
    return known.get(waits_for, f"for: {waits_for}")


def print_delivery(found: dict[str, Any]) -> None:
    """Show a delivery to a person."""
    names = [*("id", "webhook_id", "event_id", "event_type", "status", "attempt_number")]
    names += ("created_at", "delivered_at", "next_retry_at", "error_message")
    shown = [(name.removesuffix("_at").replace("_", " "), found[name]) for name in names]
    print_members([*shown, ("held", found["held"] or None)])
    say("payload")
    say(indent(json_text(found["payload"], 2), "  "))
    if not found["attempts"]:
        say("No attempt has been made yet.")
        return
    print_table(
        ("ATTEMPT", "STARTED", "SECONDS", "OUTCOME", "STATUS", "ERROR", "ANSWER"),
        [_attempt(item) for item in found["attempts"]],
    )
    for item in found["attempts"]:
        # A hub of an earlier version keeps none.
        _print_headers(item["number"], item.get("response_headers", []))


def _print_headers(number: int, headers: list[dict[str, str]]) -> None:
    if not headers:
        return
    say(f"answer's headers, attempt {number}")
    for item in headers:
        say(f"  {item['name']}: {item['value']}".rstrip())


def _attempt(item: dict[str, Any]) -> list[str]:
    answer = " ".join((item["response_body"] or "").split())
    shown = answer if len(answer) <= 60 else answer[:59] + "…"
    names = ("number", "started_at", "duration", "outcome", "response_status", "error_message")
    return [*(cell(item[name]) for name in names), cell(shown)]
