"""Migrations: forward only, one transaction each, resumable, from every earlier version."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from hookhub.config import DatabaseSettings
from hookhub.contracts.components import Migration
from hookhub.contracts.errors import StoreError
from hookhub.store import Store, open_store
from hookhub.store.database import Reader
from hookhub.store.migrations import CORE, TablesVersion, applied, migrate
from hookhub.store.schema import CORE_MIGRATIONS
from hookhub.store.units.nodes import Node, put_node

ONE = Migration(1, "one", ("CREATE TABLE shop_one (id {pk}, n {bigint} NOT NULL)",))
TWO = Migration(2, "two", ("ALTER TABLE shop_one ADD COLUMN flag {bool} DEFAULT {true}",))
BROKEN = Migration(3, "three", ("CREATE TABLE shop_two (id {pk})", "CREATE TABEL nonsense"))


async def test_steps_run_once_and_in_order(store: Store) -> None:
    """What ran is recorded; running again does nothing; new steps go on from there."""
    assert await store.migrate("shop", [ONE]) == [ONE]
    assert await store.migrate("shop", [ONE]) == []
    assert await store.migrate("shop", [ONE, TWO]) == [TWO]
    assert (await store.versions())["shop"].version == 2


async def test_a_failed_step_is_rolled_back_and_named(store: Store) -> None:
    """The good steps stay, the failed one leaves nothing."""
    with pytest.raises(StoreError, match="migration of 'shop' failed"):
        await store.migrate("shop", [ONE, TWO, BROKEN])
    assert (await store.versions())["shop"].version == 2
    mended = Migration(3, "three", ("CREATE TABLE shop_two (id {pk})",))
    assert await store.migrate("shop", [ONE, TWO, mended]) == [mended]


async def test_a_newer_database_is_refused_if_it_needs_a_newer_program(store: Store) -> None:
    """An older program goes on beside tables that were only added to, and must not touch others."""
    await store.migrate("shop", [ONE, TWO])
    assert await store.migrate("shop", [ONE]) == []
    three = Migration(3, "three", ("ALTER TABLE shop_one DROP COLUMN n",), needs=2)
    await store.migrate("shop", [ONE, TWO, three])
    assert await store.migrate("shop", [ONE, TWO]) == []
    with pytest.raises(StoreError, match="knows version 2; this one is older and knows 1"):
        await store.migrate("shop", [ONE])


async def test_steps_of_before_must_be_known(store: Store) -> None:
    """A program that did not say what a step needs meant that all go on together or not at all."""
    await store.migrate("shop", [ONE, TWO])
    await store.write(
        lambda tx: tx.change("UPDATE hookhub_migrations SET needs = NULL WHERE component = 'shop'")
    )
    with pytest.raises(StoreError, match="knows version 2"):
        await store.migrate("shop", [ONE])


async def test_a_step_that_living_hubs_do_not_know_waits_for_them(store: Store) -> None:
    """It names them, and may be insisted upon; a hub that is gone is not waited for. On SQLite all
    hubs are processes of one machine."""
    known = len(CORE_MIGRATIONS)
    now = store.clock()
    node = Node("n1", "old one", "0.0.9", known, now, now, now + 10**9, False, 0, 0)
    await store.write(lambda tx: put_node(tx, node), locks=False)
    gone = node._replace(id="n2", name="gone", seen_until=now - 1)
    await store.write(lambda tx: put_node(tx, gone), locks=False)
    added = Migration(known + 1, "added", ("CREATE TABLE hookhub_new (id {pk})",))
    taken = Migration(known + 2, "taken", ("DROP TABLE hookhub_outbox",), needs=known + 1)
    steps = [*CORE_MIGRATIONS, added, taken]
    if store.is_sqlite:
        assert await store.migrate(CORE, steps) == [added, taken]
        return
    with pytest.raises(StoreError, match=r"still there: old one \(0\.0\.9\)\. Upgrade"):
        await store.migrate(CORE, steps)
    assert (await store.versions())[CORE].version == known + 1
    assert await store.migrate(CORE, steps, insist=True) == [taken]


async def test_misnumbered_steps_are_refused(store: Store) -> None:
    """1, 2, 3 … without a gap."""
    with pytest.raises(StoreError, match="not numbered"):
        await store.migrate("shop", [ONE, BROKEN])


async def test_two_nodes_may_start_at_once(settings: DatabaseSettings) -> None:
    """Each step runs exactly once."""
    done: list[list[Migration]] = []
    async with open_store(settings) as one, open_store(settings) as two:

        async def run(store: Store) -> None:
            done.append(await store.migrate("shop", [ONE, TWO]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, one)
            nursery.start_soon(run, two)
    assert sorted(step.version for steps in done for step in steps) == [1, 2]


@pytest.mark.parametrize("version", range(len(CORE_MIGRATIONS) + 1))
async def test_the_core_migrates_from_every_earlier_version(
    settings: DatabaseSettings, version: int
) -> None:
    """A database left at any released version comes up to date and works."""
    from hookhub.store.database import connect, create_database

    database = create_database(settings)
    connect(database, settings)
    migrate(database, 1, CORE, CORE_MIGRATIONS[:version])
    found = applied(Reader(database, 0)).get(CORE, TablesVersion())
    assert found.version == version
    database.close()
    async with open_store(settings) as store:
        assert (await store.versions())[CORE].version == len(CORE_MIGRATIONS)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """The message names the file and says what to do; the file is left as it is."""
    path = tmp_path / "letter.txt"
    path.write_text("Dear database, " * 100)
    with pytest.raises(StoreError, match=r"letter\.txt is not an SQLite database"):
        async with open_store(DatabaseSettings(url=f"sqlite:///{path}")):
            pass
    assert path.read_text().startswith("Dear database")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:////nowhere/at/all/hub.db", "does not exist"),
        ("postgresql://nobody:secret@127.0.0.1:1/x", "Cannot connect"),
    ],
)
async def test_a_database_that_cannot_be_opened_says_why(url: str, message: str) -> None:
    """And never shows the password."""
    with pytest.raises(StoreError, match=message) as caught:
        async with open_store(DatabaseSettings(url=url, timeout=1.0)):
            pass
    assert "secret" not in str(caught.value)


async def test_a_directory_is_no_database(tmp_path: Path) -> None:
    """The message says so."""
    with pytest.raises(StoreError, match="is a directory"):
        async with open_store(DatabaseSettings(url=f"sqlite:///{tmp_path}")):
            pass
