"""The hub's own signing keys (Ed25519, RFC 8032): made at first need, kept in the database.

Whoever gets something signed by them verifies it with the public key alone: no secret is shared.
Every node on a database signs with the same keys, and each looks again every few seconds, so a
rotation on one of them is soon everybody's.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hookhub.contracts.errors import StoreUnavailable
from hookhub.store import Store
from hookhub.store.units.keys import KeyPair, ensure_key, load_keys, rotate_key

OVERLAP = 86_400.0
"""Seconds that a key goes on signing, beside the new one, after a rotation."""
PUBLISHED = 3600.0
"""Seconds that the public key is still told after its key ended to sign: requests are on their way
for a minute, and receivers take them for five."""
REFRESH = 5.0
"""Seconds after which the database is asked again."""

log = structlog.get_logger("hookhub.access.keys")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What everybody may know of a key; times are microseconds since 1970."""

    id: int
    raw: bytes
    """32 bytes."""
    created_at: int
    retired_at: int | None
    """When it ends, or ended, to sign; None for the newest."""


class Signer:
    """One private key, ready to sign."""

    def __init__(self, pair: KeyPair) -> None:
        self.id = pair.id
        self._key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(pair.private))

    def sign(self, data: bytes) -> bytes:
        """The 64 bytes of the signature."""
        return self._key.sign(data)


class SigningKeys:
    """The keys of a hub. Safe for many tasks at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pairs: list[KeyPair] = []
        self._signers: dict[int, Signer] = {}
        self._read_at = float("-inf")
        self._lock = trio.Lock()

    async def signers(self) -> Sequence[Signer]:
        """The keys that sign at this moment, newest first; the first is made if there is none.

        Raises:
            StoreUnavailable: they were never read, and the database does not answer.
        """
        await self._refresh(make=True)
        now = self._store.clock()
        return [self._signers[pair.id] for pair in self._pairs if pair.signs(now)]

    async def published(self) -> list[PublicKey]:
        """The public keys that somebody may need to verify with, newest first.

        Raises:
            StoreUnavailable: they were never read, and the database does not answer.
        """
        await self._refresh(make=False)
        since = self._store.clock() - round(PUBLISHED * 1_000_000)
        return [
            _public(pair)
            for pair in self._pairs
            if pair.retired_at is None or pair.retired_at > since
        ]

    async def rotate(self, overlap: float = OVERLAP) -> PublicKey:
        """Make a new key; the old ones go on signing beside it for ``overlap`` seconds.

        Raises:
            StoreUnavailable: nothing was changed.
        """
        async with self._lock:  # What was read before must not come back after it.
            self._take(await self._store.write(lambda tx: rotate_key(tx, make_pair, overlap)))
        log.info("keys.rotated", key_id=self._pairs[0].id)
        return _public(self._pairs[0])

    async def _refresh(self, *, make: bool) -> None:
        if self._is_fresh(make):
            return
        async with self._lock:
            if self._is_fresh(make):
                return
            try:
                pairs = await self._store.read(load_keys)
                if make and not (pairs and pairs[0].signs(self._store.clock())):
                    pairs = await self._store.write(lambda tx: ensure_key(tx, make_pair))
            except StoreUnavailable:
                # What is known goes on signing; nobody is helped by an attempt that is not made.
                if not self._pairs:
                    raise
                pairs = self._pairs
            self._take(pairs)

    def _is_fresh(self, make: bool) -> bool:
        return trio.current_time() - self._read_at < REFRESH and bool(self._pairs or not make)

    def _take(self, pairs: list[KeyPair]) -> None:
        now = self._store.clock()
        self._signers = {
            pair.id: self._signers.get(pair.id) or Signer(pair) for pair in pairs if pair.signs(now)
        }
        self._pairs = pairs
        self._read_at = trio.current_time()


def make_pair() -> tuple[str, str]:
    """A new pair: base64 of the private key's 32 bytes, and of the public one's."""
    key = Ed25519PrivateKey.generate()
    private, public = key.private_bytes_raw(), key.public_key().public_bytes_raw()
    return base64.b64encode(private).decode("ascii"), base64.b64encode(public).decode("ascii")


def _public(pair: KeyPair) -> PublicKey:
    return PublicKey(pair.id, base64.b64decode(pair.public), pair.created_at, pair.retired_at)
