"""``hookhub webhook deliveries|retry-failed|cancel-pending``."""

from __future__ import annotations

from typing import Any

import click

from hookhub.cli.kit import (
    Remote,
    cell,
    count,
    json_option,
    note,
    print_json,
    print_table,
    remote_options,
)
from hookhub_webhook.commands.client import WebhookClient
from hookhub_webhook.commands.webhook import ask

PAGE = 200
"""The most that the hub gives at once."""


@click.command("deliveries")
@click.argument("webhook_name", metavar="WEBHOOK")
@click.option("--status", type=click.Choice(["pending", "success", "failed"]), help="Only these.")
@click.option(
    "-n", "--limit", type=click.IntRange(1, PAGE), default=20, show_default=True, help="How many."
)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@remote_options
@json_option
def deliveries(
    webhook_name: str,
    status: str | None,
    limit: int,
    everything: bool,
    remote: Remote,
    as_json: bool,
) -> None:
    """List deliveries to a webhook, newest first; 'hookhub delivery show' has the attempts.

    \b
    Examples:
      hookhub webhook deliveries shop --status failed
      hookhub webhook deliveries shop --all --json | jq -r '.items[].error' | sort | uniq -c
    """
    with remote.client() as client:
        hub = WebhookClient(client)
        number = hub.find(webhook_name)
        if everything:
            items = list(hub.all_deliveries(number, status=status))
            found: dict[str, Any] = {"items": items, "total": len(items)}
        else:
            found = hub.deliveries(number, status=status, limit=limit)
    if as_json:
        print_json(found)
        return
    if not found["items"]:
        note("There is none.")
        return
    columns = ("ID", "EVENT", "STATUS", "ATTEMPTS", "ANSWER", "CREATED", "NEXT", "ERROR")
    print_table(columns, [_row(item) for item in found["items"]])
    if found["total"] > len(found["items"]):
        note(f"{len(found['items'])} of {found['total']}; --all shows the rest.")


def _row(item: dict[str, Any]) -> list[str]:
    names = [*("id", "event_type", "status", "attempt_number", "response_status")]
    names += ("created_at", "next_retry_at", "error_message")
    return [cell(item[name]) for name in names]


@click.command("retry-failed")
@click.argument("webhook_name", metavar="WEBHOOK")
@remote_options
@json_option
def retry_failed(webhook_name: str, remote: Remote, as_json: bool) -> None:
    """Attempt all failed deliveries to a webhook again, from now on.

    \b
    Example:
      hookhub webhook retry-failed shop
    """
    with remote.client() as client:
        hub = WebhookClient(client)
        retried = hub.retry_failed(hub.find(webhook_name))
    if as_json:
        print_json({"retried": retried})
    else:
        click.echo(f"{count(retried, 'delivery')} will be attempted again.")


@click.command("cancel-pending")
@click.argument("webhook_name", metavar="WEBHOOK")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@remote_options
@json_option
def cancel_pending(webhook_name: str, yes: bool, remote: Remote, as_json: bool) -> None:
    """End all pending deliveries to a webhook as failed; they can be retried by hand.

    \b
    Example:
      hookhub webhook cancel-pending shop
    """
    with remote.client() as client:
        hub = WebhookClient(client)
        found = hub.get(hub.find(webhook_name))
        if not yes:
            ask(f"End everything that waits for webhook {found['id']} ({found['name']})?")
        cancelled = hub.cancel_pending(found["id"])
    if as_json:
        print_json({"cancelled": cancelled})
    else:
        click.echo(f"{count(cancelled, 'delivery')} ended.")


DELIVERIES = (deliveries, retry_failed, cancel_pending)
