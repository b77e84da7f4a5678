"""``hookhub listen``: real events to a program on this machine, as webhooks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from hookhub.cli.kit import (
    FollowOptions,
    Remote,
    follow,
    follow_options,
    json_option,
    note,
    painted,
    print_json_line,
    remote_options,
    say,
)
from hookhub_webhook.commands.members import header_option
from hookhub_webhook.signing import check_secret, generate_secret

if TYPE_CHECKING:
    from hookhub.contracts.sinks import AttemptResult

SHOWN = 200


def _secret(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else check_secret(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


@click.command("listen")
@click.option("--forward", "url", required=True, metavar="URL", help="Where to post the events.")
@follow_options
@click.option(
    "--secret",
    envvar="HOOKHUB_WEBHOOK_SECRET",
    callback=_secret,
    help="Signs the requests (or HOOKHUB_WEBHOOK_SECRET); without it, one is made and shown.",
)
@click.option("--no-secret", is_flag=True, help="Do not sign.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["payload", "envelope"]),
    default="payload",
    show_default=True,
    help="What the body is.",
)
@header_option
@click.option("--timeout", type=click.FloatRange(1, 60), help="Seconds for one request.")
@click.option("-n", "--count", type=click.IntRange(1), help="End after so many events.")
@remote_options
@json_option
def listen(
    url: str,
    chosen: FollowOptions,
    secret: str | None,
    no_secret: bool,
    format_: str,
    headers: dict[str, str],
    timeout: float | None,
    count: int | None,
    remote: Remote,
    as_json: bool,
) -> None:
    """Post events to a program on this machine, exactly as a webhook would, and print its answers.

    Nobody has to reach this machine from outside: the events come over the live feed. Each is
    posted once, in order, signed by both schemes with --secret. When the hub restarts or the
    network is cut, it goes on where it was; --since begins with events of the past, and --keep
    goes on where the last run ended. Needs a token with the scope events:read.

    \b
    Examples:
      hookhub listen --forward http://localhost:3000/hook
      hookhub listen --forward http://localhost:3000/hook --events 'payment.*' --secret s3cret
      hookhub listen --forward http://localhost:3000/hook --since 1h -n 10
    """
    from hookhub_webhook.commands.local import LocalWebhook

    made = generate_secret() if secret is None and not no_secret else None
    local = LocalWebhook(url, secret or made, format_, headers, timeout)
    if made is not None:
        note(f"The requests are signed with the secret {made}")

    async def handle(event: dict[str, Any]) -> None:
        if "sequence" in event:
            started = time.monotonic()
            result = await local.post(event)
            _print(event, result, time.monotonic() - started, as_json=as_json)

    follow(remote, chosen, handle, note, limit=count, around=local.open)


def _print(event: dict[str, Any], result: AttemptResult, duration: float, *, as_json: bool) -> None:
    from hookhub.contracts.sinks import Outcome

    good = result.outcome is Outcome.DELIVERED
    if as_json:
        shown = {name: event[name] for name in ("id", "type", "sequence", "cursor")}
        shown |= {"success": good, "response_status": result.response_status}
        shown |= {"response_body": result.response_body, "error": result.error}
        shown |= {"error_message": result.error_message, "duration": round(duration, 6)}
        print_json_line(shown)
        return
    mark = painted("✓", fg="green") if good else painted("✗", fg="red")
    said = str(result.response_status or result.error)
    text = (result.response_body or "") if result.response_status else (result.error_message or "")
    answer = " ".join(text.split())[:SHOWN]
    line = f"{event['type']} {event['id']} → {said} in {duration * 1000:.0f} ms  {answer}"
    say(mark, line.rstrip())
