"""The hub's own key pairs: rows and units of work. Private keys are sealed like other secrets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hookhub.store.database import Reader
from hookhub.store.models import KeyRow
from hookhub.store.unit import Transaction

MAX_SIGNING = 3
"""The newest key and at most two that were rotated out and still sign."""

MakePair = Callable[[], tuple[str, str]]
"""Makes a new pair: the private part and the public one."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key pair; times are microseconds since 1970."""

    id: int
    created_at: int
    public: str
    private: str = field(repr=False)
    """Empty once it signs no more."""
    retired_at: int | None = None
    """When it ends, or ended, to sign; None for the newest."""

    def signs(self, now: int) -> bool:
        """Whether it signs at this moment."""
        return bool(self.private) and (self.retired_at is None or self.retired_at > now)


def load_keys(reader: Reader) -> list[KeyPair]:
    """All key pairs, newest first."""
    rows = reader.rows(KeyRow.select().order_by(KeyRow.id.desc()))
    return [
        KeyPair(
            row["id"],
            row["created_at"],
            row["public"],
            reader.box.open(row["private"]),
            row["retired_at"],
        )
        for row in rows
    ]


def ensure_key(tx: Transaction, make: MakePair) -> list[KeyPair]:
    """All key pairs, newest first; the newest signs, whoever made it."""
    tx.lock()
    _wipe_retired(tx)
    keys = load_keys(tx)
    if keys and keys[0].signs(tx.now):
        return keys
    tx.execute(KeyRow.update(retired_at=tx.now).where(KeyRow.retired_at.is_null()))
    _insert(tx, make)
    return load_keys(tx)


def rotate_key(tx: Transaction, make: MakePair, overlap: float) -> list[KeyPair]:
    """Make a new pair; the ones before it go on signing for ``overlap`` seconds."""
    tx.lock()
    until = tx.now + round(overlap * 1_000_000)
    for position, key in enumerate(load_keys(tx), 1):
        end = until if position < MAX_SIGNING else tx.now
        if key.retired_at is None or key.retired_at > end:
            tx.execute(KeyRow.update(retired_at=end).where(KeyRow.id == key.id))
    _wipe_retired(tx)
    _insert(tx, make)
    return load_keys(tx)


def _wipe_retired(tx: Transaction) -> None:
    tx.execute(KeyRow.update(private="").where(KeyRow.retired_at <= tx.now))


def _insert(tx: Transaction, make: MakePair) -> None:
    private, public = make()
    tx.execute(KeyRow.insert(created_at=tx.now, private=tx.box.seal(private), public=public))
