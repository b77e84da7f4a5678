"""Secrets at rest: never readable in the database with a key set, and re-encryptable."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from hookhub.access import make_pair
from hookhub.config import DatabaseSettings
from hookhub.contracts.deliveries import NewEndpoint
from hookhub.contracts.errors import StoreError, ValidationFailed
from hookhub.secretbox import SecretBox
from hookhub.store import Reader, Store, open_store
from hookhub.store.units.endpoints import (
    delete_endpoint,
    endpoints_as_of,
    get_endpoint,
    insert_endpoint,
    list_endpoints,
    rotate_secret,
    update_endpoint,
)
from hookhub.store.units.keys import ensure_key, load_keys, rotate_key
from hookhub.store.units.secrets import COLUMNS, Resealed, check_secrets, reseal_step

OLD = "an old key of thirty-two characters or more"
NEW = "ein neuer Schlüssel mit 32 Zeichen oder mehr"
CONFIG = {"url": "https://chat.example/secret-path", "headers": {"X-Key": "secret-value"}}


def raw(reader: Reader) -> str:
    """All that the database has of endpoints and keys."""
    tables = ("hookhub_endpoints", "hookhub_keys")
    return " ".join(str(row) for table in tables for row in reader.sql(f"SELECT * FROM {table}"))


def values(reader: Reader, endpoint_id: int = 1) -> list[str]:
    """The secrets of an endpoint, opened."""
    return [secret.value for secret in get_endpoint(reader, "webhook", endpoint_id).secrets]


def config_of(reader: Reader, endpoint_id: int = 2) -> dict[str, Any]:
    """The configuration of an endpoint, opened."""
    return get_endpoint(reader, "webhook", endpoint_id).config


async def fill(store: Store) -> str:
    """Endpoints with secrets and without, and a key; returns its private part."""
    endpoints: list[tuple[str, str | None, dict[str, Any]]] = [
        ("a", "first-secret", {}),
        ("b", None, CONFIG),
        ("c", "third", {}),
        ("d", "fourth", {}),
    ]
    for name, secret, config in endpoints:
        new = NewEndpoint(name, ("*",), config, secret=secret)
        await store.write(partial(insert_endpoint, sink="webhook", new=new))
    await store.write(lambda tx: rotate_secret(tx, "webhook", 1, "second-secret", 3600))
    await store.write(lambda tx: update_endpoint(tx, "webhook", 3, {"secret": "changed-secret"}))
    [key] = await store.write(lambda tx: ensure_key(tx, make_pair))
    return key.private


async def reseal(store: Store, *, replace_lost: bool = False) -> Resealed:
    """All steps of a re-encryption."""
    total = Resealed()
    for column in COLUMNS:
        after: int | None = 0
        while after is not None:
            step = partial(reseal_step, column=column, after=after, replace_lost=replace_lost)
            after, done = await store.write(step)
            total += done
    return total


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several steps for few rows."""
    monkeypatch.setattr("hookhub.store.units.secrets.STEP", 2)


async def test_nothing_is_readable_with_a_key(settings: DatabaseSettings) -> None:
    """Neither secrets, however they came, nor private keys, nor where an endpoint's requests go and
    with what, are in the database as they are."""
    async with open_store(settings, box=SecretBox([NEW])) as store:
        private = await fill(store)
        text = await store.read(raw)
        assert "secret" not in text
        assert "chat.example" not in text
        assert private not in text
        assert await store.read(config_of) == CONFIG
        [found] = (
            await store.read(lambda reader: list_endpoints(reader, "webhook", limit=1, offset=1))
        ).items
        assert found.config == CONFIG
        assert await store.read(values) == ["second-secret", "first-secret"]
        assert await store.read(lambda reader: values(reader, 3)) == ["changed-secret"]
        assert await store.read(check_secrets) == 0


async def test_without_a_key_all_stays_as_it_is(store: Store) -> None:
    """No key, no encryption; and nothing waits for it."""
    private = await fill(store)
    text = await store.read(raw)
    assert "first-secret" in text
    assert private in text
    assert await store.read(check_secrets) == 0


@pytest.mark.parametrize("keys", [[], [NEW]], ids=["no key", "another key"])
async def test_a_wrong_key_is_told(settings: DatabaseSettings, keys: list[str]) -> None:
    """The start ends with a sentence that names the setting, the row and the way out."""
    async with open_store(settings, box=SecretBox([OLD])) as store:
        await fill(store)
    async with open_store(settings, box=SecretBox(keys)) as store:
        with pytest.raises(StoreError, match=r"\[auth\] secret_key") as caught:
            await store.read(check_secrets)
    assert "hookhub_endpoints, id 1" in caught.value.detail
    assert "--replace-lost" in caught.value.detail


async def test_a_key_is_brought_in_and_changed(settings: DatabaseSettings) -> None:
    """Plain, then under one key, then under another: what is read stays the same."""
    async with open_store(settings) as store:
        private = await fill(store)
    async with open_store(settings, box=SecretBox([OLD])) as store:
        assert await store.read(values) == ["second-secret", "first-secret"]
        assert await store.read(check_secrets) == 6
        assert (await reseal(store)).sealed == 6
        assert (await reseal(store)).sealed == 0
        assert "secret" not in await store.read(raw)
    async with open_store(settings, box=SecretBox([NEW, OLD])) as store:
        assert await store.read(check_secrets) == 6
        assert await reseal(store) == Resealed(6)
    async with open_store(settings, box=SecretBox([NEW])) as store:
        assert await store.read(check_secrets) == 0
        assert await store.read(values) == ["second-secret", "first-secret"]
        [key] = await store.read(load_keys)
        assert key.private == private


async def test_lost_secrets_are_replaced_only_when_asked(settings: DatabaseSettings) -> None:
    """With the key gone, new random secrets let the hub start again; nothing becomes unsigned."""
    async with open_store(settings, box=SecretBox([OLD])) as store:
        await fill(store)
    async with open_store(settings, box=SecretBox([NEW])) as store:
        with pytest.raises(StoreError, match="--replace-lost"):
            await reseal(store)
        done = await reseal(store, replace_lost=True)
        assert done.replaced == [
            *("hookhub_endpoints 1", "hookhub_endpoints 1", "hookhub_endpoints 3"),
            *("hookhub_endpoints 4", "hookhub_keys 1"),
        ]
        assert await store.read(check_secrets) == 0
        assert done.emptied == ["hookhub_endpoints 2"]
        assert not {"first-secret", "second-secret"} & set(await store.read(values))
        assert len(await store.read(values)) == 2
        newest, lost = await store.write(lambda tx: ensure_key(tx, make_pair))
        assert newest.signs(store.clock())
        assert not lost.signs(store.clock())


async def test_endpoint_whose_address_is_lost_is_switched_off(settings: DatabaseSettings) -> None:
    """There is nowhere to send to until somebody says where; it says so, and runs again then."""
    async with open_store(settings, box=SecretBox([OLD])) as store:
        await fill(store)
    async with open_store(settings, box=SecretBox([NEW])) as store:
        generation = await store.read(endpoints_as_of)
        await reseal(store, replace_lost=True)
        assert await store.read(endpoints_as_of) > generation
        found = await store.read(lambda reader: get_endpoint(reader, "webhook", 2))
        assert (found.config, found.is_active, found.unreadable) == ({}, False, None)
        assert "give it them again" in str(found.disabled_reason)
        again = {"config": CONFIG, "is_active": True}
        await store.write(lambda tx: update_endpoint(tx, "webhook", 2, again))
        assert await store.read(config_of) == CONFIG
        assert "secret" not in await store.read(raw)
        assert await store.read(check_secrets) == 0


async def test_change_seals_what_was_plain(settings: DatabaseSettings) -> None:
    """Where a key is set later, the next change of a configuration writes it sealed."""
    async with open_store(settings) as store:
        await fill(store)
    async with open_store(settings, box=SecretBox([NEW])) as store:
        assert await store.read(config_of) == CONFIG
        await store.write(lambda tx: update_endpoint(tx, "webhook", 2, {"config": CONFIG}))
        assert "chat.example" not in await store.read(raw)


async def test_deleted_endpoint_leaves_nothing_to_know(store: Store) -> None:
    """Neither its secrets nor where it was."""
    await fill(store)
    for endpoint_id in (1, 2, 3, 4):
        await store.write(lambda tx, number=endpoint_id: delete_endpoint(tx, "webhook", number))  # type: ignore[misc]
    text = await store.read(raw)
    assert "secret" not in text
    assert "chat.example" not in text


async def test_a_secret_that_looks_sealed_is_refused(store: Store) -> None:
    """It could not be told from a sealed one later."""
    new = NewEndpoint("a", ("*",), {}, secret="sealed:v1:x")
    with pytest.raises(ValidationFailed, match="sealed:"):
        await store.write(lambda tx: insert_endpoint(tx, "webhook", new))


async def test_keys_that_ended_to_sign_are_wiped(store: Store) -> None:
    """A rotation ends what is older than the overlap, and more than three never sign."""
    await store.write(lambda tx: ensure_key(tx, make_pair))
    for _ in range(4):
        keys = await store.write(lambda tx: rotate_key(tx, make_pair, 3600))
    now = store.clock()
    assert [key.signs(now) for key in keys] == [True, True, True, False, False]
    assert [bool(key.private) for key in keys] == [True, True, True, False, False]
    assert [key.retired_at is None for key in keys] == [True, False, False, False, False]
    keys = await store.write(lambda tx: rotate_key(tx, make_pair, 0))
    assert [key.signs(store.clock()) for key in keys] == [True] + [False] * 5
