"""Is the database there, whole and up to date?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from hookhub.cli.check.findings import Finding
from hookhub.cli.shared.local import require_database, version_problem
from hookhub.config import Settings
from hookhub.contracts.errors import ConfigError, HookhubError
from hookhub.hub import Hub
from hookhub.secretbox import SecretBox
from hookhub.store import Reader, Store
from hookhub.store.database import is_sqlite, redacted_url, sqlite_path
from hookhub.store.migrations import CORE, TablesVersion
from hookhub.store.schema import CORE_MIGRATIONS
from hookhub.store.units.secrets import check_secrets
from hookhub.store.units.tokens import list_tokens

LITTLE_SPACE = 1024 * 1024 * 1024
"""Bytes below which a disk is nearly full for a hub."""


async def check_database(settings: Settings, hub: Hub) -> list[Finding]:
    """The file or the server, the tables, the secrets and the tokens in them."""
    found: list[Finding] = []
    if is_sqlite(settings.database.url):
        try:
            path = sqlite_path(settings.database.url)
        except HookhubError as error:
            return [Finding("database", "error", error.detail)]
        found += _disk(path)
        if not path.exists():
            return [_new_file(path), *found]
    store = Store(settings.database, box=SecretBox(settings.auth.secret_keys()))
    try:
        require_database(settings.database)
        return [*await _inside(store, hub), *found]
    except HookhubError as error:
        return [Finding("database", "error", error.detail), *found]
    finally:
        await store.close()


def _new_file(path: Path) -> Finding:
    directory = path.absolute().parent
    if not directory.is_dir():
        message = f"The directory {directory} does not exist."
        return Finding("database", "error", message, f"mkdir -p {directory}")
    if not os.access(directory, os.W_OK | os.X_OK):
        message = f"There is no database {path}, and no right to make it in {directory}."
        return Finding("database", "error", message, "Change the owner of the directory.")
    return Finding("database", "ok", f"{path} will be made at the first start.")


def _disk(path: Path) -> Iterator[Finding]:
    directory = path.absolute().parent
    if not directory.is_dir():
        return
    free = shutil.disk_usage(directory).free
    if free < LITTLE_SPACE:
        yield Finding(
            "database",
            "warning",
            f"Only {free // 2**20} MiB are free on the disk of {directory}; a hub whose disk is "
            "full takes no events.",
            "Make room, or keep less: [retention] events and deliveries.",
        )
    if path.exists() and not os.access(path, os.W_OK):
        yield Finding("database", "error", f"No right to write {path}.", "Change its owner.")


async def _inside(store: Store, hub: Hub) -> list[Finding]:
    where = redacted_url(store.settings.url)
    versions = await store.versions()
    tables = versions.get(CORE, TablesVersion())
    problem = version_problem(tables, where)
    if problem is not None:
        newer = tables.needs > len(CORE_MIGRATIONS)
        return [Finding("database", "error" if newer else "warning", problem)]
    found = [Finding("database", "ok", f"{where}, tables at version {tables.version}")]
    found += _components(versions, hub)
    found += await store.read(_whole)
    found += await _secrets(store)
    tokens = await store.read(list_tokens)
    if not any(token.revoked_at is None for token in tokens):
        advice = "The next start of a hub prints one if there is none at all; "
        advice += "'hookhub token create' makes one."
        found.append(Finding("database", "warning", "There is no token that is good.", advice))
    return found


def _components(versions: dict[str, TablesVersion], hub: Hub) -> Iterator[Finding]:
    for name, brought in hub.components.brought.items():
        steps, tables = len(brought.migrations), versions.get(name, TablesVersion())
        version, too_old = tables.version, tables.needs > steps
        if version < steps or too_old:
            newer = "they are newer than the plugin; install its newer version"
            older = "'hookhub migrate' or the next start brings them up to date"
            yield Finding(
                "database",
                "error" if too_old else "warning",
                f"The tables of {name} are at version {version} of {steps}.",
                f"{(newer if too_old else older).capitalize()}.",
            )


def _whole(reader: Reader) -> list[Finding]:
    """SQLite's own check of the file, without its slow part."""
    if not reader.is_sqlite:
        return []
    wrong = [str(row[0]) for row in reader.sql("PRAGMA quick_check(5)") if row[0] != "ok"]
    if not wrong:
        return []
    advice = "Restore a backup; 'sqlite3 hookhub.db .recover' saves what can be saved."
    return [Finding("database", "error", f"The file is damaged: {'; '.join(wrong)}", advice)]


async def _secrets(store: Store) -> list[Finding]:
    try:
        waiting = await store.read(check_secrets)
    except (ConfigError, HookhubError) as error:
        return [Finding("database", "error", error.detail)]
    if waiting:
        message = f"{waiting} secrets are not encrypted under [auth] secret_key yet."
        return [Finding("database", "warning", message, "hookhub reencrypt")]
    return []
