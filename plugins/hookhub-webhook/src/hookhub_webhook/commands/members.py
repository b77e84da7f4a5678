"""The members of a webhook as options of ``create`` and ``update``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hookhub.cli.kit import read_object, together

SIMPLE = ("description", "format", "timeout", "concurrency", "rate_limit", "ordered")
"""Options that are the API's members as they are."""


def _patterns(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[str]:
    return [item.strip() for value in values for item in value.split(",")]


def header_values(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """An option's callback: each value is ``Name: value``."""
    headers = {}
    for item in values:
        name, colon, value = item.partition(":")
        if not colon or not name.strip():
            raise click.BadParameter(f"{item!r} is not 'Name: value'.")
        headers[name.strip()] = value.strip()
    return headers


header_option = click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    callback=header_values,
    help="A header of every request; several times.",
)


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> list[float] | None:
    if value is None:
        return None
    try:
        return [float(item) for item in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of seconds: 5,300,1800.") from None


member_options = together(
    click.option(
        "--events",
        "event_types",
        multiple=True,
        metavar="PATTERN",
        callback=_patterns,
        help="Types (user.*); several times, or with commas between.",
    ),
    click.option("--description", help="What it is for."),
    click.option("--format", type=click.Choice(["payload", "envelope"]), help="What the body is."),
    header_option,
    click.option("--timeout", type=float, help="Seconds for one whole attempt."),
    click.option(
        "--retry-schedule",
        metavar="SECONDS,…",
        callback=_seconds,
        help="Seconds to wait after each failed attempt: 5,300,1800.",
    ),
    click.option("--concurrency", type=int, help="Attempts at once."),
    click.option("--rate-limit", type=float, help="Attempts per second."),
    click.option(
        "--ordered/--not-ordered", default=None, help="The events of one key strictly in order."
    ),
    click.option(
        "--filter", "filter_", metavar="JSON|@FILE", help="Only payloads that match this."
    ),
    click.option(
        "--transform", metavar="JSON|@FILE", help='What makes the body: {"name", "config"}.'
    ),
    click.option(
        "--ca",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A file of certificates (PEM) to trust in place of the well-known ones.",
    ),
    click.option(
        "--set",
        "others",
        multiple=True,
        metavar="MEMBER=JSON",
        help="Any other member of the REST API's; several times.",
    ),
)
"""All of them but name, URL and secret; the command gets a keyword for each."""


def members_of(given: dict[str, Any]) -> dict[str, Any]:
    """The API's members of what :func:`member_options` gave; what was not given is left out."""
    members = {name: given[name] for name in SIMPLE if given[name] is not None}
    for name in ("event_types", "headers", "retry_schedule"):
        if given[name]:
            members[name] = given[name]
    for name, option in (("filter_", "--filter"), ("transform", "--transform")):
        if given[name] is not None:
            members[name.rstrip("_")] = read_object(given[name], option)
    if given["ca"] is not None:
        members["ca"] = given["ca"].read_text("ascii", "replace")
    return members | read_others(given["others"])


def read_others(given: Sequence[str]) -> dict[str, Any]:
    """``MEMBER=JSON`` words.

    Raises:
        BadParameter: a word is not of this form.
    """
    members = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{item!r} is not MEMBER=JSON.", param_hint="--set")
        try:
            members[name] = json.loads(text)
        except ValueError:
            message = f"{text!r} is not JSON; a text is written {json.dumps(text)}."
            raise click.BadParameter(message, param_hint="--set") from None
    return members
