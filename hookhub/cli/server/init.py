"""``hookhub init``."""

from __future__ import annotations

import base64
import json
import secrets
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hookhub.cli.shared.options import checked, json_option
from hookhub.cli.shared.output import confirm, note, print_json, say
from hookhub.cli.shared.remote import write_private
from hookhub.config import (
    DatabaseSettings,
    ServerSettings,
    Settings,
    check_bind,
    check_database_url,
    check_network,
    check_public_url,
    load_settings,
)
from hookhub.contracts.errors import ConfigError, Conflict

LOOPBACK = ("127.0.0.0/8", "::1/128")


@click.command("init")
@click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("hookhub.toml"),
    show_default=True,
    help="The file to write.",
)
@click.option(
    "--bind", callback=checked(check_bind), metavar="ADDRESS", help="Where the hub listens."
)
@click.option(
    "--database",
    callback=checked(check_database_url),
    metavar="URL",
    help="sqlite:///FILE or postgresql://….",
)
@click.option(
    "--public-url",
    callback=checked(check_public_url),
    metavar="URL",
    help="How browsers reach the hub, if not by --bind.",
)
@click.option(
    "--allow",
    multiple=True,
    callback=checked(check_network),
    metavar="NETWORK",
    help="A network (10.1.0.0/16) that webhooks may go to although it is private; several times.",
)
@click.option(
    "--secret-key/--no-secret-key",
    default=None,
    help="Whether secrets are encrypted in the database, under a key that is made now and kept in "
    "the file (by default: yes, if there is no database yet).",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing; what is not given has its default.")
@json_option
def init(
    path: Path,
    bind: str | None,
    database: str | None,
    public_url: str | None,
    allow: tuple[str, ...],
    secret_key: bool | None,
    force: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Write a hookhub.toml with every setting explained; asks for those that matter.

    Without a terminal, or with --yes, it asks nothing. The hub needs no such file: every setting
    has a default.

    \b
    Examples:
      hookhub init
      hookhub init --yes --bind 0.0.0.0:8080 --database postgresql://me@db/hub
      hookhub init --yes --allow 127.0.0.0/8 --config /etc/hookhub/hookhub.toml
    """
    if path.exists() and not force:
        raise Conflict(f"{path} is there already; --force replaces it, --config names another.")
    if sys.stdin.isatty() and not (yes or as_json):
        bind, database, public_url, allow = _ask(bind, database, public_url, allow)
    if secret_key is None:
        secret_key = not _exists(database)
    chosen: dict[str, dict[str, Any]] = {
        "server": {"bind": bind, "public_url": public_url},
        "database": {"url": database},
        "auth": {"secret_key": _new_key() if secret_key else None},
        "egress": {"allow": list(allow) or None},
    }
    _write(path, config_text(chosen))
    if as_json:
        print_json({"path": str(path), "secret_key": secret_key})
        return
    _what_next(path, secret_key)


def _ask(
    bind: str | None, database: str | None, public_url: str | None, allow: tuple[str, ...]
) -> tuple[str | None, str | None, str | None, tuple[str, ...]]:
    if bind is None:
        bind = _prompt("Where shall the hub listen?", ServerSettings().bind, check_bind)
    if database is None:
        text = "Which database (sqlite:///FILE or postgresql://…)?"
        database = _prompt(text, DatabaseSettings().url, check_database_url)
    if public_url is None:
        text = "How do browsers reach it, if not there (https://…; empty: they do)?"
        public_url = _prompt(text, "", lambda value: check_public_url(value) if value else "")
    if not allow and confirm("May webhooks go to programs on this machine (for development)?"):
        allow = LOOPBACK
    return bind, database, public_url or None, allow


def _prompt(text: str, default: str, check: Callable[[str], str]) -> str:
    def convert(value: str) -> str:
        try:
            return check(value)
        except ValueError as error:
            raise click.UsageError(f"It {error}.") from None

    answer: str = click.prompt(
        text, default=default, value_proc=convert, show_default=bool(default), err=True
    )
    return answer


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode("ascii")


def _exists(database: str | None) -> bool:
    """Whether there is a database with plain secrets, perhaps: a key would not fit it yet."""
    from hookhub.store.database import is_sqlite, sqlite_path

    url = database or DatabaseSettings().url
    return not is_sqlite(url) or sqlite_path(url).exists()


def _write(path: Path, text: str) -> None:
    try:
        write_private(path, text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None
    load_settings(path, {})


def _what_next(path: Path, secret_key: bool) -> None:
    say(f"{path} is written, readable by you only.")
    if secret_key:
        note(
            "It holds the key that secrets are encrypted under: back it up, but not beside the "
            "database."
        )
    option = "" if str(path) == "hookhub.toml" else f" --config {path}"
    say(f"Next: 'hookhub check{option}', then 'hookhub serve{option}'.")


HEAD = """\
# The configuration of this hub, made by 'hookhub init'.
#
# A line that starts with '#' is not read, and what is not set has the value shown. The environment
# overrides this file: [server] bind is HOOKHUB_SERVER__BIND, lists as JSON. Times are seconds,
# sizes are bytes. A misspelt key or a wrong value stops the start and is named; 'hookhub check'
# looks at everything else.
"""

PLUGINS = """\
# Each plugin has a table of its own, [plugins.<name>]; its README says what it may hold:
#   [plugins.log]
#   file = "events.jsonl"
"""

EXAMPLES: Mapping[str, Any] = {
    "public_url": "https://hub.example.org",
    "drain_delay": 10.0,
    "certfile": "/etc/hookhub/cert.pem",
    "keyfile": "/etc/hookhub/key.pem",
    "bootstrap_token": "at-least-16-characters",
    "secret_key": "32 characters or more, such as those of: openssl rand -base64 32",
}
"""For settings that have no default."""

Chosen = Mapping[str, Mapping[str, Any]]


def config_text(chosen: Chosen) -> str:
    """The file's text with every setting and its default.

    Args:
        chosen: tables of values to be set; all others stand there as comments.
    """
    parts = [HEAD]
    for table, field in Settings.model_fields.items():
        model: Any = field.annotation
        lines = list(_table(model, chosen.get(table, {})))
        parts.append("\n".join([f"[{table}]", *lines]) + "\n")
    return "\n".join([*parts, PLUGINS])


def _table(model: type[BaseModel], chosen: Mapping[str, Any]) -> Iterator[str]:
    for key, field in model.model_fields.items():
        yield from _comment(f"{(field.description or key).rstrip('.')}.")
        yield from _setting(key, field, chosen.get(key))


def _setting(key: str, field: FieldInfo, value: Any) -> Iterator[str]:
    default = field.get_default(call_default_factory=True)
    if value is not None:
        yield f"{key} = {toml_value(value)}"
    elif default is not None:
        yield f"# {key} = {toml_value(default)}"
    else:
        yield "# Not set by default; for example:"
        yield f"#   {key} = {toml_value(EXAMPLES.get(key, '…'))}"


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(text, 97):
        yield f"# {line}"


def toml_value(value: Any) -> str:
    """A text, number, truth value or list as TOML writes it."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 100_000:
        return f"{value:_}"
    # What JSON writes of these is TOML as well.
    return json.dumps(value, ensure_ascii=False)
