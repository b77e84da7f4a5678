"""What is sealed in the database: can it be opened, and is it under the newest key?

Rows are walked in steps, so that a hub that runs meanwhile does not wait for all of them.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from hookhub.contracts.errors import ConfigError, StoreError
from hookhub.store.database import Reader
from hookhub.store.unit import Transaction
from hookhub.store.units.endpoints import NOTHING

STEP = 200
"""Rows at once."""

ChangeText = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column with secrets in it."""

    table: str
    name: str
    map: Callable[[str, ChangeText], str]
    """The column's text with each secret in it changed by a function."""
    make: Callable[[], str]
    """What takes the place of a secret that is lost."""
    without: str = ""
    """What else is set (SQL) in a row that has to do without what was lost."""


def _map_endpoint(text: str, change: ChangeText) -> str:
    return json.dumps([[change(secret), until] for secret, until in json.loads(text)])


def _map_config(text: str, change: ChangeText) -> str:
    return text if text == NOTHING else change(text) or NOTHING


def _map_key(text: str, change: ChangeText) -> str:
    return change(text) if text else text


COLUMNS = (
    # A random one, not none: requests that nobody signed would look as if it had been meant so.
    Column("hookhub_endpoints", "secrets", _map_endpoint, lambda: secrets.token_urlsafe(32)),
    Column(
        "hookhub_endpoints",
        "config",
        _map_config,
        str,
        without=", is_active = FALSE, disabled_reason = 'Its URL and headers (all of its "
        "configuration) were sealed with a key that is lost; give it them again.'",
    ),
    # A key without its private part signs no more, and another is made.
    Column("hookhub_keys", "private", _map_key, str),
)


@dataclass(slots=True)
class Resealed:
    """What was done to secrets."""

    sealed: int = 0
    replaced: list[str] = field(default_factory=list)
    """Rows whose secrets were lost, and replaced by new ones: table and id."""
    emptied: list[str] = field(default_factory=list)
    """Rows whose secrets were lost, and that do nothing without them."""

    def __iadd__(self, other: Resealed) -> Resealed:
        self.sealed += other.sealed
        self.replaced += other.replaced
        self.emptied += other.emptied
        return self


def check_secrets(reader: Reader) -> int:
    """Open every secret once; returns how many are plain or under an old key.

    Raises:
        StoreError: one cannot be opened; says which setting to mend.
    """
    waiting = 0

    def look(text: str) -> str:
        nonlocal waiting
        reader.box.open(text)
        waiting += reader.box.needs_sealing(text)
        return text

    for column in COLUMNS:
        after = 0
        while rows := _rows(reader, column, after):
            for row_id, text in rows:
                try:
                    column.map(text, look)
                except (ConfigError, StoreError) as error:
                    raise StoreError(_unreadable(error, column, row_id)) from None
            after = rows[-1][0]
    return waiting


def reseal_step(
    tx: Transaction, column: Column, after: int, *, replace_lost: bool
) -> tuple[int | None, Resealed]:
    """Seal anew, in the next rows, what is plain or under an old key.

    Args:
        after: the id of the last row of the step before; 0 for the first step.
        replace_lost: put new secrets in the place of those that no key opens.

    Returns:
        the id of this step's last row (None: there are no more), and what was done.

    Raises:
        StoreError: a secret cannot be opened, and is not to be replaced.
    """
    if replace_lost and column.without:
        # It may switch endpoints off.
        tx.endpoints_changed()
    rows = _rows(tx, column, after)
    total = Resealed()
    for row_id, text in rows:
        changed, done = _reseal(tx, column, row_id, text, replace_lost)
        # Whoever changed the row meanwhile, sealed it: what a hub with older settings did there
        # is found by the next run.
        also = column.without if done.emptied else ""
        if changed != text and tx.change(
            f"UPDATE {column.table} SET {column.name} = ?{also} WHERE id = ? AND {column.name} = ?",
            (changed, row_id, text),
        ):
            total += done
    return (rows[-1][0] if rows else None), total


def _reseal(
    tx: Transaction, column: Column, row_id: int, text: str, replace_lost: bool
) -> tuple[str, Resealed]:
    done = Resealed()

    def again(secret: str) -> str:
        try:
            opened = tx.box.open(secret)
        except (ConfigError, StoreError) as error:
            if not replace_lost:
                raise StoreError(_unreadable(error, column, row_id)) from None
            lost = done.emptied if column.without else done.replaced
            lost.append(f"{column.table} {row_id}")
            made = column.make()
            return tx.box.seal(made) if made else made
        if not tx.box.needs_sealing(secret):
            return secret
        done.sealed += 1
        return tx.box.seal(opened)

    return column.map(text, again), done


def _unreadable(error: ConfigError | StoreError, column: Column, row_id: int) -> str:
    return (
        f"{error.detail} It is in {column.table}, id {row_id}. If its key is lost, 'hookhub "
        "reencrypt --replace-lost' puts new secrets in the place of all that cannot be read, and "
        "switches off the endpoints whose URL cannot."
    )


def _rows(reader: Reader, column: Column, after: int) -> list[tuple[int, str]]:
    rows = reader.sql(
        f"SELECT id, {column.name} FROM {column.table} WHERE id > ? ORDER BY id LIMIT {STEP}",
        (after,),
    )
    return [(row[0], row[1]) for row in rows]
