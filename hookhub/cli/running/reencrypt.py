"""``hookhub reencrypt``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import trio

from hookhub.cli.shared.options import config_option, json_option, settings_from
from hookhub.cli.shared.output import count, note, print_json, say
from hookhub.config import Settings
from hookhub.contracts.errors import ConfigError

if TYPE_CHECKING:
    from hookhub.store.units.secrets import Resealed


@click.command("reencrypt")
@config_option
@json_option
@click.option(
    "--replace-lost",
    is_flag=True,
    help="Put new random secrets in the place of those that no key opens, and switch off what has "
    "lost its URL.",
)
def reencrypt(config: Path | None, as_json: bool, replace_lost: bool) -> None:
    """Encrypt every secret in the database, and all URLs and headers, under [auth] secret_key.

    What is plain is encrypted, and what is under one of [auth] old_secret_keys is encrypted anew;
    after that no old key is needed. Works beside a running hub that has the same settings.

    \b
    Examples:
      hookhub reencrypt
      hookhub reencrypt --replace-lost
    """
    from hookhub.cli.shared.local import require_database

    settings = settings_from(config)
    if settings.auth.secret_key is None:
        raise ConfigError(
            "[auth] secret_key is not set; make one with: openssl rand -base64 32, set it, and "
            "restart the hub with it first."
        )
    require_database(settings.database)
    done = trio.run(_reencrypt, settings, replace_lost)
    if as_json:
        found = {"encrypted": done.sealed, "replaced": done.replaced, "emptied": done.emptied}
        print_json(found)
        return
    for row in done.replaced:
        note(f"{row}: no key opens its secret; it has a new one. Rotate it to have it shown.")
    for row in done.emptied:
        note(f"{row}: no key opens its URL and headers; it is off until it is given them again.")
    say(f"{count(done.sealed, 'secret')} encrypted under [auth] secret_key.")


async def _reencrypt(settings: Settings, replace_lost: bool) -> Resealed:
    from hookhub.secretbox import SecretBox
    from hookhub.store import open_store
    from hookhub.store.units.secrets import COLUMNS, Resealed, reseal_step

    total = Resealed()
    box = SecretBox(settings.auth.secret_keys())
    async with open_store(settings.database, box=box) as store:
        for column in COLUMNS:
            after: int | None = 0
            while after is not None:
                step = partial(reseal_step, column=column, after=after, replace_lost=replace_lost)
                after, done = await store.write(step)
                total += done
    return total
