"""The hub's own key pairs: rows and units of work. Private keys are sealed like other secrets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hookhub.store.database import Reader
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
    rows = reader.sql(
        "SELECT id, created_at, public, private, retired_at FROM hookhub_keys ORDER BY id DESC"
    )
    return [
        KeyPair(id, created_at, public, reader.box.open(private), retired_at)
        for id, created_at, public, private, retired_at in rows
    ]


def ensure_key(tx: Transaction, make: MakePair) -> list[KeyPair]:
    """All key pairs, newest first; the newest signs, whoever made it."""
    tx.lock()
    _wipe_retired(tx)
    keys = load_keys(tx)
    if keys and keys[0].signs(tx.now):
        return keys
    tx.change("UPDATE hookhub_keys SET retired_at = ? WHERE retired_at IS NULL", (tx.now,))
    _insert(tx, make)
    return load_keys(tx)


def rotate_key(tx: Transaction, make: MakePair, overlap: float) -> list[KeyPair]:
    """Make a new pair; the ones before it go on signing for ``overlap`` seconds."""
    tx.lock()
    until = tx.now + round(overlap * 1_000_000)
    for position, key in enumerate(load_keys(tx), 1):
        end = until if position < MAX_SIGNING else tx.now
        if key.retired_at is None or key.retired_at > end:
            tx.update("hookhub_keys", key.id, {"retired_at": end})
    _wipe_retired(tx)
    _insert(tx, make)
    return load_keys(tx)


def _wipe_retired(tx: Transaction) -> None:
    tx.change("UPDATE hookhub_keys SET private = '' WHERE retired_at <= ?", (tx.now,))


def _insert(tx: Transaction, make: MakePair) -> None:
    private, public = make()
    values = {"created_at": tx.now, "private": tx.box.seal(private), "public": public}
    tx.insert("hookhub_keys", values)
