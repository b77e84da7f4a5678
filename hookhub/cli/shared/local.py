"""The database here, and the hub that would run on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from hookhub.cli.shared.options import without_required
from hookhub.config import DatabaseSettings, Settings
from hookhub.contracts.errors import StoreError, StoreUnavailable
from hookhub.secretbox import SecretBox
from hookhub.store import Store
from hookhub.store.database import NO_KEYS, is_sqlite, redacted_url, sqlite_path
from hookhub.store.migrations import CORE, TablesVersion, too_new
from hookhub.store.schema import CORE_MIGRATIONS

if TYPE_CHECKING:
    from hookhub.hub import Hub

_MAGIC = b"SQLite format 3\x00"
"""How files of SQLite begin, unless they are empty (sqlite.org/fileformat.html, §1.3)."""


def require_database(settings: DatabaseSettings) -> None:
    """For commands that only look, or change what is there: do not make one.

    Raises:
        StoreError: there is no database file, or it is something else; says what to do.
    """
    if not is_sqlite(settings.url):
        return
    path = sqlite_path(settings.url)
    if not path.exists():
        raise StoreError(
            f"There is no database {path}. 'hookhub serve' makes it at its first start; if there "
            "is one elsewhere, run this in its directory, or name its configuration with --config."
        )
    # SQLite itself notices only when it reads, in the middle of what a command does.
    with path.open("rb") as file:
        head = file.read(len(_MAGIC))
    if head and head != _MAGIC:
        raise StoreError(
            f"{path} is not an SQLite database; point [database] url at another file, or move this "
            "one away and the hub makes a new one."
        )


@asynccontextmanager
async def existing_store(
    settings: DatabaseSettings, box: SecretBox = NO_KEYS
) -> AsyncIterator[Store]:
    """A database that is there, to be read as it is: nothing is made or migrated.

    Args:
        box: opens secrets, if the reader needs them.

    Raises:
        StoreError: there is none, or its tables are of another version; says what to do.
    """
    require_database(settings)
    store = Store(settings, box=box)
    try:
        try:
            found = (await store.versions()).get(CORE, TablesVersion())
        except StoreUnavailable as error:
            raise StoreError(
                f"{redacted_url(settings.url)} cannot be read ({error.__cause__}). If it is "
                "damaged, put a backup in its place; nothing was changed."
            ) from error
        problem = version_problem(found, redacted_url(settings.url))
        if problem is not None:
            raise StoreError(problem)
        yield store
    finally:
        await store.close()


def version_problem(found: TablesVersion, where: str) -> str | None:
    """What is wrong with the version of the core's tables; None if nothing is."""
    known = len(CORE_MIGRATIONS)
    if found.version == 0:
        return (
            f"There are no tables of a hub in {where} yet; 'hookhub serve' or 'migrate' makes them."
        )
    if found.version < known:
        return (
            f"The tables in {where} are at version {found.version}, this program is at {known}; "
            "'hookhub migrate' brings them up to date (so does the next start of a hub)."
        )
    problem = too_new(CORE, found, known)
    return None if problem is None else f"{where}: {problem}"


async def assembled(settings: Settings, store: Store | None = None) -> Hub:
    """A hub that does not run, as ``hookhub serve`` would put it together.

    Required plugins that are missing or broken are left to the caller to tell.

    Args:
        store: None for one that is not opened.
    """
    # Not at the top: whoever needs the database alone need not wait for the web framework.
    from hookhub.plugins import Plugins
    from hookhub.web.assembly import assemble

    lenient = settings.model_copy(update={"plugins": without_required(settings.plugins)})
    plugins = Plugins.load(lenient.plugins)
    return assemble(lenient, store or Store(settings.database), plugins)
