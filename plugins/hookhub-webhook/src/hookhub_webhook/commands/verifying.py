"""``hookhub verify``: is a captured webhook request genuine?"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hookhub.cli.kit import json_option, mark, note, print_json, read_file, say
from hookhub.contracts.errors import MalformedRequest
from hookhub_webhook.commands.members import header_values

if TYPE_CHECKING:
    from hookhub_webhook.commands.diagnosis import Captured, SignatureCheck


@click.command("verify")
@click.argument("file", type=click.Path(allow_dash=True, dir_okay=False, path_type=Path))
@click.option(
    "--secret",
    envvar="HOOKHUB_WEBHOOK_SECRET",
    metavar="SECRET",
    help="The webhook's secret, whsec_… or any other text (or HOOKHUB_WEBHOOK_SECRET).",
)
@click.option(
    "--public-key",
    "public_keys",
    multiple=True,
    metavar="whpk_…",
    help="A key of the hub's /.well-known/webhook-keys.json, for v1a signatures.",
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    callback=header_values,
    help="A header of the request; FILE is then the body alone.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Refuse what is older; without it, the age is only told.",
)
@json_option
@click.pass_context
def verify(
    ctx: click.Context,
    file: Path,
    secret: str | None,
    public_keys: tuple[str, ...],
    headers: dict[str, str],
    tolerance: float | None,
    as_json: bool,
) -> None:
    """Check a captured webhook request, by both signatures, and say why it fails.

    FILE (- is stdin) is the request as it came: headers, an empty line, the body. Or JSON with
    "headers" and "body" (or "body_base64"). The exit status is 1 if a signature does not hold, or
    if there is none.

    \b
    Examples:
      hookhub verify --secret whsec_… request.http
      nc -l 9000 | hookhub verify --secret s3cret -
      hookhub verify --secret s3cret --header 'X-Webhook-Signature: sha256=…' body.json
    """
    from hookhub_webhook.commands.diagnosis import diagnose, holds, trimmed

    if secret is None and not public_keys:
        raise click.UsageError("Give --secret (or HOOKHUB_WEBHOOK_SECRET), or --public-key.", ctx)
    if secret == "":
        raise click.BadParameter("the secret is empty.", param_hint="--secret")
    data = read_file(file, "FILE")
    names = {name.lower(): value for name, value in headers.items()}
    request = trimmed(names, data) if headers else _captured(file, data)
    found = diagnose(request, secret, public_keys, time.time(), tolerance)
    good = holds(found)
    if as_json:
        items = [dataclasses.asdict(item) for item in found]
        print_json({"ok": good, "items": items, "notes": list(request.notes)})
    else:
        _print(request, found, good)
    if not good:
        ctx.exit(1)


def _captured(file: Path, data: bytes) -> Captured:
    from hookhub_webhook.commands.diagnosis import read_captured

    try:
        return read_captured(data)
    except MalformedRequest as error:
        name = "stdin" if str(file) == "-" else file
        raise MalformedRequest(f"{name} is no captured request. {error.detail}") from None


def _print(request: Captured, found: Sequence[SignatureCheck], good: bool) -> None:
    for text in request.notes:
        note(text)
    for item in found:
        name = "v1a" if item.scheme == "public_key" else item.header
        say(mark(item.state), f"{name}: {item.message}")
        if item.advice is not None:
            say(f"    {item.advice}")
    say("The request is genuine." if good else "The request is not to be trusted.")
