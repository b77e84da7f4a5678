"""``hookhub webhook list|show|create|update|delete``."""

from __future__ import annotations

import sys
from typing import Any

import click

from hookhub.cli.kit import (
    Remote,
    confirm,
    json_option,
    note,
    print_list,
    print_members,
    print_result,
    printable,
    remote_options,
    say,
)
from hookhub_webhook.commands.client import WebhookClient
from hookhub_webhook.commands.members import member_options, members_of

NULLABLE = (
    *("description", "secret", "ca", "rate-limit", "filter", "transform"),
    *("timeout", "retry-schedule", "concurrency"),
)


@click.group("webhook")
def webhook() -> None:
    """Make, change and test webhooks, and see what was delivered.

    A webhook is named by its id or its name. Where several have the name, a terminal is asked which
    is meant; elsewhere only the id will do.
    """


@webhook.command("list")
@click.option("--event-type", metavar="TYPE", help="Those that would get this type.")
@click.option("--active/--inactive", default=None, help="Those that are switched on, or off.")
@remote_options
@json_option
def list_(event_type: str | None, active: bool | None, remote: Remote, as_json: bool) -> None:
    """List webhooks, and how each does.

    \b
    Examples:
      hookhub webhook list
      hookhub webhook list --event-type user.created --active
    """
    with remote.client() as client:
        items = list(WebhookClient(client).list(event_type=event_type, is_active=active))
    print_result({"items": items, "total": len(items)}, _print_webhooks, as_json=as_json)


def _print_webhooks(found: dict[str, Any]) -> None:
    items = [{**item, "state": "active" if item["is_active"] else "off"} for item in found["items"]]
    columns = {"ID": "id", "NAME": "name", "STATE": "state", "BREAKER": "breaker"}
    columns |= {"EVENTS": "event_types", "DELIVERED": "success_count", "FAILED": "failure_count"}
    nothing = "There is none. 'hookhub webhook create NAME URL --events PATTERN' makes one."
    print_list(items, columns | {"URL": "url"}, as_json=False, nothing=nothing)


@webhook.command("show")
@click.argument("webhook_name", metavar="WEBHOOK")
@remote_options
@json_option
def show(webhook_name: str, remote: Remote, as_json: bool) -> None:
    """Show a webhook; never its secret.

    \b
    Examples:
      hookhub webhook show 3
      hookhub webhook show shop --json
    """
    with remote.client() as client:
        hub = WebhookClient(client)
        print_result(hub.get(which(hub, webhook_name)), print_webhook, as_json=as_json)


def print_webhook(found: dict[str, Any]) -> None:
    """Show a person one webhook, with its secret if that is shown this once."""
    hidden = {"event_type", "secret", "signing_secret"}
    print_members((name, value) for name, value in found.items() if name not in hidden)
    if found.get("secret"):
        note("The secret is shown this once; keep it:")
        say(found["secret"])
        if found.get("signing_secret") not in (None, found["secret"]):
            note(f"For the libraries of Standard Webhooks: {found['signing_secret']}")


@webhook.command("create")
@click.argument("name")
@click.argument("url")
@member_options
@click.option("--secret", help="Signs every request; without it, the hub makes one and shows it.")
@click.option("--no-secret", is_flag=True, help="Sign with the hub's own key only.")
@click.option("--inactive", is_flag=True, help="Make it switched off.")
@remote_options
@json_option
def create(
    name: str,
    url: str,
    secret: str | None,
    no_secret: bool,
    inactive: bool,
    remote: Remote,
    as_json: bool,
    **given: Any,
) -> None:
    """Make a webhook. The hub makes its secret, and shows it this once.

    \b
    Examples:
      hookhub webhook create shop https://shop.example/hook --events 'payment.*,user.created'
      hookhub webhook create chat https://chat.example/in --events '*' --ordered --rate-limit 1
      hookhub webhook create big https://example.org/ --events 'payment.*' \\
          --filter '{"amount_kopeks": {"$gte": 100000}}'
    """
    if secret is not None and no_secret:
        raise click.UsageError("Give --secret or --no-secret, not both.")
    members = members_of(given)
    if "event_types" not in members and "event_type" not in members:
        raise click.UsageError("Missing option '--events'; '*' is all.")
    wanted: dict[str, Any] = {"name": name, "url": url, "is_active": not inactive}
    if secret is not None:
        wanted["secret"] = secret
    else:
        wanted["generate_secret"] = not no_secret
    with remote.client() as client:
        made = WebhookClient(client).create(wanted | members)
    print_result(made, print_webhook, as_json=as_json)


@webhook.command("update")
@click.argument("webhook_name", metavar="WEBHOOK")
@click.option("--name", help="Another name.")
@click.option("--to", "address", metavar="URL", help="Another address to post to.")
@member_options
@click.option("--secret", help="Replaces the old one at once; 'rotate-secret' lets both sign.")
@click.option(
    "--unset",
    multiple=True,
    type=click.Choice(NULLABLE),
    help="Take a member back to nothing, or to the hub's own; several times.",
)
@remote_options
@json_option
def update(
    webhook_name: str,
    name: str | None,
    address: str | None,
    secret: str | None,
    unset: tuple[str, ...],
    remote: Remote,
    as_json: bool,
    **given: Any,
) -> None:
    """Change a webhook; what is not given stays as it is.

    \b
    Examples:
      hookhub webhook update shop --to https://shop.example/hooks --events 'payment.*'
      hookhub webhook update shop --unset filter --unset rate-limit
    """
    changes = {"name": name, "url": address, "secret": secret}
    members: dict[str, Any] = {key: value for key, value in changes.items() if value is not None}
    members |= members_of(given)
    members |= dict.fromkeys((item.replace("-", "_") for item in unset), None)
    if not members:
        raise click.UsageError("There is nothing to change; see --help.")
    with remote.client() as client:
        hub = WebhookClient(client)
        changed = hub.update(which(hub, webhook_name), members)
    print_result(changed, print_webhook, as_json=as_json)


@webhook.command("delete")
@click.argument("webhook_name", metavar="WEBHOOK")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@remote_options
@json_option
def delete(webhook_name: str, yes: bool, remote: Remote, as_json: bool) -> None:
    """Delete a webhook: nothing more is sent to it, its deliveries are no longer shown.

    \b
    Example:
      hookhub webhook delete shop
    """
    with remote.client() as client:
        hub = WebhookClient(client)
        found = hub.get(which(hub, webhook_name))
        named = f"webhook {found['id']} ({found['name']}, {found['url']})"
        if not yes:
            ask(f"Delete {named}? Nothing more is sent to it, what waits for it is dropped.")
        hub.delete(found["id"])
    print_result(found, f"Deleted {named}.", as_json=as_json)


def which(hub: WebhookClient, word: str) -> int:
    """The id of the webhook that a person means by its id or its name.

    Raises:
        NotFound: none has this name.
        UsageError: several have it, and nobody is there to say which.
    """
    if word.isascii() and word.isdigit():
        return int(word)
    found = hub.named(word)
    if len(found) == 1:
        return int(found[0]["id"])
    ids = [str(item["id"]) for item in found]
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"{len(found)} webhooks are called {word!r}; give the id of one: {', '.join(ids)}."
        )
    for item in found:
        types = ", ".join(item["event_types"])
        say(
            f"{item['id']}: {item['url']} ({types}){'' if item['is_active'] else ', off'}", err=True
        )
    question = f"{len(found)} webhooks are called {word!r}. Which one"
    return int(click.prompt(printable(question), type=click.Choice(ids), err=True))


def ask(question: str) -> None:
    """Ask before something that cannot be undone.

    Raises:
        UsageError: nobody is there to answer.
        Abort: the answer is no.
    """
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody is there to ask; --yes goes on without.")
    if not confirm(question):
        raise click.Abort
