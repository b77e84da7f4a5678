"""``hookhub webhook enable|disable|test|rotate-secret|replay``."""

from __future__ import annotations

from typing import Any

import click

from hookhub.cli.kit import (
    Remote,
    json_option,
    note,
    print_json,
    print_members,
    print_result,
    remote_options,
    replay_range_options,
    say,
    watch_replay,
)
from hookhub_webhook.commands.client import WebhookClient
from hookhub_webhook.commands.webhook import print_webhook, which


@click.command("test")
@click.argument("webhook_name", metavar="WEBHOOK")
@click.option("--event-type", metavar="TYPE", help="Whose example (default: the first it wants).")
@remote_options
@json_option
@click.pass_context
def test(
    ctx: click.Context, webhook_name: str, event_type: str | None, remote: Remote, as_json: bool
) -> None:
    """Send an example to the webhook now, and show what the receiver says; nothing is stored.

    The exit status is 1 if the receiver does not answer 2xx.

    \b
    Examples:
      hookhub webhook test shop
      hookhub webhook test shop --event-type payment.completed
    """
    # The hub waits for the receiver, at most a minute.
    with remote.client(timeout=90.0, retries=0) as client:
        hub = WebhookClient(client)
        result = hub.test(which(hub, webhook_name), event_type)
    if as_json:
        print_json(result)
    else:
        shown = {"success": result["success"], "event_type": result["event_type"]}
        shown |= {"response_status": result["response_status"]}
        shown |= {"error": result["error_message"], "seconds": result["duration"]}
        shown |= {"answer": " ".join((result["response_body"] or "").split())[:500]}
        print_members(shown.items())
    if not result["success"]:
        ctx.exit(1)


@click.command("rotate-secret")
@click.argument("webhook_name", metavar="WEBHOOK")
@click.option("--secret", help="The new one; without it, the hub makes one.")
@remote_options
@json_option
def rotate_secret(webhook_name: str, secret: str | None, remote: Remote, as_json: bool) -> None:
    """Give the webhook a new secret, and show it this once.

    For 24 hours webhook-signature carries a signature by each; X-Webhook-Signature is the new
    one's at once.

    \b
    Example:
      hookhub webhook rotate-secret shop
    """
    with remote.client() as client:
        hub = WebhookClient(client)
        changed = hub.rotate_secret(which(hub, webhook_name), secret)
    if as_json:
        print_json(changed)
        return
    note(f"Webhook {changed['id']} ({changed['name']}) has a new secret; it is shown this once:")
    say(changed["secret"])
    if changed["signing_secret"] != changed["secret"]:
        note(f"For the libraries of Standard Webhooks: {changed['signing_secret']}")


@click.command("replay")
@click.argument("webhook_name", metavar="WEBHOOK")
@replay_range_options
@remote_options
@json_option
def replay(
    webhook_name: str,
    wait: bool,
    remote: Remote,
    as_json: bool,
    events: tuple[str, ...],
    **given: Any,
) -> None:
    """Send events of the past to the webhook once more, and watch that until it is done.

    Ctrl-C ends the watching, not the replay; 'hookhub replay' steers it.

    \b
    Examples:
      hookhub webhook replay shop --since 1h --dry-run
      hookhub webhook replay shop --only never_sent
    """
    wanted = {name: value for name, value in given.items() if value is not None}
    if events:
        wanted["events"] = list(events)
    with remote.client() as client:
        hub = WebhookClient(client)
        begun = hub.replay(which(hub, webhook_name), wanted)
        watch_replay(client, begun, as_json=as_json, wait=wait)


def _switch(verb: str, what: str) -> click.Command:
    @click.command(verb, help=f"{what}\n\n\b\nExample:\n  hookhub webhook {verb} shop")
    @click.argument("webhook_name", metavar="WEBHOOK")
    @remote_options
    @json_option
    def switch(webhook_name: str, remote: Remote, as_json: bool) -> None:
        with remote.client() as client:
            hub = WebhookClient(client)
            number = which(hub, webhook_name)
            switched = hub.enable(number) if verb == "enable" else hub.disable(number)
        print_result(switched, print_webhook, as_json=as_json)

    return switch


ACTIONS = (
    test,
    rotate_secret,
    replay,
    _switch("enable", "Switch a webhook on; pending deliveries go on."),
    _switch(
        "disable", "Switch a webhook off: pending deliveries wait, new events are not sent to it."
    ),
)
