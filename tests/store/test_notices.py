"""Nodes on one PostgreSQL tell each other of news, and look for it when nobody does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection

import pytest
import trio
from structlog.testing import capture_logs

from hookhub import hub, server
from hookhub.access import tokens
from hookhub.config import DatabaseSettings, PluginsSettings, Settings
from hookhub.contracts.deliveries import EndpointOptions, NewEndpoint
from hookhub.contracts.events import Draft, new_event_id
from hookhub.plugins import Plugins
from hookhub.store import Store, Transaction, open_store
from hookhub.store.notices import NoticeSession, Topic, due_notice, notify
from hookhub.store.units.endpoints import insert_endpoint
from support.pgbouncer import running_pgbouncer

KILL = (
    "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE application_name = 'hookhub notices' AND datname = current_database()"
)


@pytest.fixture
def settings(postgres_url: str) -> DatabaseSettings:
    return DatabaseSettings(url=postgres_url)


class Ear:
    """Waits for topics."""

    def __init__(self, store: Store) -> None:
        self._send, self._receive = trio.open_memory_channel[Topic](100)
        for topic in Topic:
            store.notices.on(topic, self._on(topic))

    def _on(self, topic: Topic) -> Callable[[], None]:
        return lambda: self._send.send_nowait(topic)

    async def next(self) -> Topic:
        with trio.fail_after(10):
            return await self._receive.receive()

    async def everything(self) -> set[Topic]:
        """As a node that has just begun to listen is told."""
        return {await self.next() for _ in Topic}


@pytest.fixture
async def other(settings: DatabaseSettings, store: Store) -> AsyncIterator[Store]:
    """Another node, that listens."""
    async with open_store(settings) as opened, trio.open_nursery() as nursery:
        await nursery.start(opened.notices.run)
        yield opened
        nursery.cancel_scope.cancel()


def event(tx: Transaction) -> None:
    tx.append(Draft(new_event_id(0), "a.b", "{}", tx.now))


def endpoint(tx: Transaction) -> None:
    insert_endpoint(tx, "webhook", NewEndpoint("one", ("*",), {}, options=EndpointOptions()))


async def test_what_is_told(store: Store, other: Store) -> None:
    """Each commit tells what kind of news it makes, and only the others."""
    ear = Ear(other)
    assert await ear.everything() == set(Topic)
    await other.write(event)
    await store.write(event)
    assert await ear.next() == Topic.EVENTS
    await store.write(endpoint)
    assert await ear.next() == Topic.ENDPOINTS
    await store.write(Transaction.tokens_changed)
    assert await ear.next() == Topic.TOKENS
    assert other.statistics()["notices_total"] == 3
    assert other.statistics()["listening"] == 1


async def test_who_is_told_that_something_is_due(store: Store, other: Store) -> None:
    """What was not claimed with its commit is told with its endpoints, as far as they fit in; on
    a new connection nobody knows whose it was."""
    told: list[Collection[int] | None] = []
    other.notices.on_due(told.append)
    ear = Ear(other)
    await ear.everything()
    await store.write(endpoint)
    assert await ear.next() == Topic.ENDPOINTS
    await store.write(event)
    assert {await ear.next() for _ in range(2)} == {Topic.EVENTS, Topic.DUE}
    await store.write(lambda tx: notify(tx, "x", due_notice(range(5_000))), locks=False)
    assert await ear.next() == Topic.DUE
    assert told == [None, {1}, None]


async def test_what_fails_tells_nothing(store: Store, other: Store) -> None:
    """A notice is part of the transaction."""
    ear = Ear(other)
    await ear.everything()

    def fail(tx: Transaction) -> None:
        tx.tokens_changed()
        raise KeyError

    with pytest.raises(KeyError):
        await store.write(fail)
    await store.write(event)
    assert await ear.next() == Topic.EVENTS


async def test_a_session_that_ends(store: Store, other: Store) -> None:
    """It is made again, and whoever listens looks: nobody knows what was said meanwhile."""
    ear = Ear(other)
    await ear.everything()
    with capture_logs() as logs:
        assert await store.write(lambda tx: tx.sql(KILL)[0][0], locks=False) == 1
        assert await ear.everything() == set(Topic)
    assert [line["event"] for line in logs] == ["notices.lost"]
    await store.write(event)
    assert await ear.next() == Topic.EVENTS


async def test_a_silent_session_is_asked(store: Store, settings: DatabaseSettings) -> None:
    """What was said comes also when it comes with the answer to that question."""
    session = await trio.to_thread.run_sync(NoticeSession, settings)
    await store.write(event)
    assert await trio.to_thread.run_sync(session.value, "SELECT 1") == 1
    assert [said.split(" ")[1:] for said in session.heard()] == [["events"]]
    session.close()


async def test_a_pooler_swallows_them(postgres_url: str) -> None:
    """The node says so at the start, and goes on without."""
    with running_pgbouncer(postgres_url) as url, capture_logs() as logs:
        async with open_store(DatabaseSettings(url=url)) as store:
            with trio.fail_after(10):
                await store.notices.run()
            await store.write(event)
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["notices.none"]


async def test_nodes_wake_each_other(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events, endpoints and tokens of one are known to the other without its looking for them."""
    monkeypatch.setattr(hub, "POLL", 3600.0)
    monkeypatch.setattr(tokens, "CHECK_INTERVAL", 3600.0)
    plugins = Plugins.load(PluginsSettings(), (), installed=())
    settings = Settings.model_validate({"database": {"url": postgres_url}})
    async with (
        server.open_hub(settings, plugins) as one,
        server.open_hub(settings, plugins) as two,
    ):
        token, secret = await one.tokens.create("t", ["events:read"])
        principal = await two.tokens.authenticate(secret)
        with trio.fail_after(10):
            while one.store.notices.alone or two.store.statistics()["listening"] == 0:
                await trio.sleep(0.005)
        await one.write(event)
        await one.tokens.revoke(token.id)
        with trio.fail_after(10):
            while two.feed.last < 1 or two.tokens.still_valid(principal) is None:
                await trio.sleep(0.005)
