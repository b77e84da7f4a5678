"""Hubs on one database know of each other: each says that it is there, and when it leaves."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trio

from hookhub import __version__
from hookhub.background import membership
from hookhub.config import PluginsSettings, Settings
from hookhub.hub import Hub
from hookhub.plugins import Plugins
from hookhub.server import open_hub
from hookhub.store.units.nodes import KEPT, Node, list_nodes, put_node
from hookhub.testing.serving import sqlite_url


@pytest.fixture
def settings(any_database: str) -> Settings:
    tables = {"database": {"url": any_database}, "server": {"name": "here"}}
    return Settings.model_validate(tables)


@pytest.fixture
def plugins() -> Plugins:
    return Plugins.load(PluginsSettings(), (), installed=())


async def test_they_see_each_other(settings: Settings, plugins: Plugins) -> None:
    """Whoever is there is listed, in the order of the start; whoever stops is not any more."""
    async with open_hub(settings, plugins) as one:
        async with open_hub(settings, plugins) as two:
            listed = await one.membership.nodes()
            assert [node.id for node in listed] == [one.membership.id, two.membership.id]
            assert {(node.name, node.version) for node in listed} == {("here", __version__)}
        assert [node.id for node in await one.membership.nodes()] == [one.membership.id]
    async with open_hub(settings, plugins) as three:
        assert [node.id for node in await three.membership.nodes()] == [three.membership.id]


async def test_a_stop_is_told_at_once(settings: Settings, plugins: Plugins) -> None:
    """Not with the next beat: whoever sends requests wants to know."""
    async with open_hub(settings, plugins) as one, open_hub(settings, plugins) as two:
        two.draining.set()
        with trio.fail_after(membership.BEAT - 1):
            while not (await one.membership.nodes())[1].is_draining:
                await trio.sleep(0.01)


async def test_the_machine_is_its_name(tmp_path: Path, plugins: Plugins) -> None:
    """Where nothing is set, people find a hub by its machine."""
    settings = Settings.model_validate({"database": {"url": sqlite_url(tmp_path)}})
    async with open_hub(settings, plugins) as one:
        assert one.membership.own().name == (membership.platform.node() or "localhost")


def silent(since: int) -> Node:
    """One that went without a word."""
    return Node("lost", "far", "0.0.9", 3, since, since, since, False, 4, 2)


async def test_who_goes_without_a_word(api: httpx.AsyncClient, hub: Hub) -> None:
    """It is shown as gone with what it last said, and forgotten after a while."""
    await hub.write(lambda tx: put_node(tx, silent(tx.now - 10_000_000)))
    found = (await api.get("/nodes")).raise_for_status().json()
    lost, own = found["items"]
    assert found["total"] == 2
    assert lost == {
        **{"id": "lost", "name": "far", "version": "0.0.9", "tables_version": 3},
        **{"state": "gone", "owned": 0, "claimed": 4, "connections": 2, "this": False},
        **{"started_at": lost["started_at"], "seen_at": lost["started_at"]},
    }
    assert (own["this"], own["state"], own["version"]) == (True, "running", __version__)
    await hub.write(lambda tx: put_node(tx, silent(tx.now - KEPT - 1)))
    again = hub.membership.own()
    await hub.write(lambda tx: put_node(tx, again))
    assert [node.id for node in await hub.read(list_nodes)] == [hub.membership.id]


async def test_what_others_own_is_known(settings: Settings, plugins: Plugins) -> None:
    """Each endpoint is one hub's, and the breakers of all are known on each by what they last
    said."""
    async with open_hub(settings, plugins) as one:
        now = one.now()
        other = Node("far", "far", "1", 3, now, now, now + 10**9, False, 0, 0, 5, '{"7": "open"}')
        await one.write(lambda tx: put_node(tx, other))
        assert await one.membership.breakers() == {7: "open"}
        assert [node.owned for node in await one.membership.nodes()] == [0, 5]
        gone = other._replace(seen_until=now - 1)
        await one.write(lambda tx: put_node(tx, gone))
        assert await one.membership.breakers() == {}
