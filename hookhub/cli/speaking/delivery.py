"""``hookhub delivery``: one event on its way to one endpoint."""

from __future__ import annotations

import math
from textwrap import indent
from typing import Any

import click

from hookhub.cli.shared.options import json_option
from hookhub.cli.shared.output import (
    cell,
    count,
    json_text,
    print_json,
    print_members,
    print_table,
    say,
)
from hookhub.cli.shared.remote import Remote, remote_options
from hookhub.cli.speaking.deliveries import DeliveryOptions, delivery_options, print_deliveries


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
    if as_json:
        print_json(found)
    else:
        print_deliveries(found, endpoints=True)


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
    if as_json:
        print_json(found)
        return
    print_delivery(found)


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
    if as_json:
        print_json({"items": items})
    else:
        _print_retried(items)


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
    if as_json:
        print_json(found)
    else:
        say(f"Delivery {delivery_id} is {found['status']}; 'hookhub delivery retry' undoes it.")


def _print_retried(items: list[dict[str, Any]]) -> None:
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
