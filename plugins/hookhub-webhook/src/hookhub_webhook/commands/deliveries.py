"""``hookhub webhook deliveries|retry-failed|cancel-pending``."""

from __future__ import annotations

import click

from hookhub.cli.kit import (
    DeliveryOptions,
    Remote,
    count,
    delivery_options,
    json_option,
    print_deliveries,
    print_result,
    remote_options,
)
from hookhub_webhook.commands.client import WebhookClient
from hookhub_webhook.commands.webhook import ask, which


@click.command("deliveries")
@click.argument("webhook_name", metavar="WEBHOOK")
@delivery_options
@remote_options
@json_option
def deliveries(webhook_name: str, wanted: DeliveryOptions, remote: Remote, as_json: bool) -> None:
    """List deliveries to a webhook, newest first; 'hookhub delivery show' has the attempts.

    \b
    Examples:
      hookhub webhook deliveries shop --status failed --since 1d
      hookhub webhook deliveries shop --all --json | jq -r '.items[].error' | sort | uniq -c
    """
    with remote.client() as client:
        number = which(WebhookClient(client), webhook_name)
        found = wanted.find(client, f"/webhooks/{number}/deliveries")
    print_result(found, print_deliveries, as_json=as_json)


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
        retried = hub.retry_failed(which(hub, webhook_name))
    told = f"{count(retried, 'delivery')} will be attempted again."
    print_result({"retried": retried}, told, as_json=as_json)


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
        found = hub.get(which(hub, webhook_name))
        if not yes:
            ask(f"End everything that waits for webhook {found['id']} ({found['name']})?")
        cancelled = hub.cancel_pending(found["id"])
    told = f"{count(cancelled, 'delivery')} ended."
    print_result({"cancelled": cancelled}, told, as_json=as_json)


DELIVERIES = (deliveries, retry_failed, cancel_pending)
