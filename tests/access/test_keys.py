"""The hub's own signing keys: made once, shared by all nodes, rotated without a gap."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hookhub.access import keys as keys_module
from hookhub.access.keys import PUBLISHED, PublicKey, Signer, SigningKeys
from hookhub.config import DatabaseSettings
from hookhub.contracts.errors import StoreUnavailable
from hookhub.store import Store, now_us, open_store


class Clock:
    """The wall clock, which a test can put forward."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return now_us() + self.ahead


@pytest.fixture
def clock() -> Clock:
    """The store's clock."""
    return Clock()


@pytest.fixture
async def store(any_database: str, clock: Clock) -> AsyncIterator[Store]:
    """An open store."""
    async with open_store(DatabaseSettings(url=any_database), clock) as opened:
        yield opened


def verifies(key: PublicKey, signer: Signer) -> bool:
    """Whether the signer's signature holds."""
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signer.sign(b"data"), b"data")
    except InvalidSignature:
        return False
    return True


async def test_the_first_key_is_made_at_first_need(store: Store) -> None:
    """Looking makes none; many who sign at once make one."""
    keys = SigningKeys(store)
    assert await keys.published() == []
    found: list[int] = []

    async def sign() -> None:
        [signer] = await keys.signers()
        found.append(signer.id)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(sign)
    assert found == [1] * 20
    [key] = await keys.published()
    [signer] = await keys.signers()
    assert verifies(key, signer)
    assert key.retired_at is None


async def test_nodes_share_the_key(store: Store) -> None:
    """Two that start at once on one database sign with one key."""
    nodes = [SigningKeys(store) for _ in range(5)]
    numbers: list[int] = []

    async def start(node: SigningKeys) -> None:
        numbers.extend(signer.id for signer in await node.signers())

    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(start, node)
    assert numbers == [1] * 5


async def test_rotation(store: Store, clock: Clock) -> None:
    """Both keys sign for the overlap, then the new one; the old one is told a while longer."""
    keys = SigningKeys(store)
    [old] = await keys.signers()
    made = await keys.rotate(60.0)
    new, before = await keys.signers()
    assert (new.id, before.id) == (made.id, old.id)
    newest, retiring = await keys.published()
    assert verifies(newest, new)
    assert verifies(retiring, before)
    assert not verifies(newest, before)
    assert retiring.retired_at is not None
    assert retiring.retired_at > store.clock()
    clock.ahead = 61_000_000
    assert [signer.id for signer in await keys.signers()] == [made.id]
    assert len(await keys.published()) == 2
    clock.ahead += round(PUBLISHED * 1_000_000)
    assert [key.id for key in await keys.published()] == [made.id]


async def test_other_nodes_hear_of_a_rotation(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By looking again; meanwhile they sign with the old key, which holds."""
    here, there = SigningKeys(store), SigningKeys(store)
    [old] = await there.signers()
    made = await here.rotate()
    assert [signer.id for signer in await there.signers()] == [old.id]
    monkeypatch.setattr(keys_module, "REFRESH", 0.0)
    assert [signer.id for signer in await there.signers()] == [made.id, old.id]


async def test_known_keys_sign_while_the_database_is_away(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read once goes on; what never was, cannot."""
    async with open_store(DatabaseSettings(url=f"sqlite:///{tmp_path}/hub.db")) as store:
        keys = SigningKeys(store)
        [known] = await keys.signers()

        async def fail(unit: object) -> None:
            raise StoreUnavailable("Away.")

        monkeypatch.setattr(store, "read", fail)
        monkeypatch.setattr(keys_module, "REFRESH", 0.0)
        assert list(await keys.signers()) == [known]
        with pytest.raises(StoreUnavailable):
            await SigningKeys(store).signers()
