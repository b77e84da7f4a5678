"""Payloads and other JSON objects as a command line gives them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hookhub.contracts.errors import MalformedRequest
from hookhub.contracts.events import parse_json


def read_fields(fields: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` words as members; a value is JSON if it can be read as JSON, else a text.

    Raises:
        UsageError: a word is not of this form, or a key comes twice.
    """
    members: dict[str, Any] = {}
    for item in fields:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{item!r} is not KEY=VALUE.")
        if name in members:
            raise click.UsageError(f"{name!r} is given twice.")
        try:
            members[name] = parse_json(text)
        except MalformedRequest:
            members[name] = text
    return members


def read_object(given: str, option: str) -> dict[str, Any]:
    """A JSON object: itself, ``@FILE``, or ``-`` for stdin.

    Args:
        given: what the command line says.
        option: where it says so, for messages: ``--payload``.

    Raises:
        BadParameter: it cannot be read, or is no JSON object.
    """
    place, data = _read(given, option)
    try:
        members = parse_json(data)
    except MalformedRequest as error:
        wrong = error.detail.replace("The body", "It")
        raise click.BadParameter(f"{place}{wrong}", param_hint=option) from None
    if not isinstance(members, dict):
        noun = option.lstrip("-").replace("-", " ")
        raise click.BadParameter(f"{place}a {noun} is a JSON object.", param_hint=option)
    return members


def _read(given: str, option: str) -> tuple[str, bytes]:
    """Where it is, for the beginning of a message, and what is there."""
    if given == "-":
        return "stdin: ", sys.stdin.buffer.read()
    if not given.startswith("@"):
        return "", given.encode()
    place = given[1:]
    try:
        return f"{place}: ", Path(place).read_bytes()
    except OSError as error:
        raise click.BadParameter(f"{place}: {error.strerror}.", param_hint=option) from None
