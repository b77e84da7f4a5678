"""A secret that another hub sealed with a key that this one has not: that endpoint waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog
import trio

from hookhub.config import DatabaseSettings
from hookhub.contracts.deliveries import NewEndpoint
from hookhub.contracts.errors import StoreError
from hookhub.contracts.events import Event
from hookhub.contracts.sinks import Outcome
from hookhub.delivery.attempts import Attempts
from hookhub.delivery.engine import Engine
from hookhub.plugins import TransformRegistry
from hookhub.secretbox import SecretBox
from hookhub.store import Store, open_store
from hookhub.store.units.endpoints import (
    get_endpoint,
    insert_endpoint,
    list_endpoints,
    rotate_secret,
    update_endpoint,
)
from hookhub.store.units.secrets import COLUMNS, reseal_step
from support.scripted import Scripted, all_delivered, counts, running, send_more, until

OURS, THEIRS = "o" * 40, "t" * 40


@pytest.fixture
async def store(any_database: str) -> AsyncIterator[Store]:
    """This hub's."""
    async with open_store(DatabaseSettings(url=any_database), box=SecretBox([OURS])) as opened:
        yield opened


@asynccontextmanager
async def theirs(store: Store, *keys: str) -> AsyncIterator[Store]:
    """Another hub's on the same database."""
    async with open_store(store.settings, box=SecretBox(keys or [THEIRS])) as opened:
        yield opened


async def make(store: Store, name: str) -> None:
    new = NewEndpoint(name, ("*",), {}, secret=f"secret of {name}")
    await store.write(lambda tx: insert_endpoint(tx, "scripted", new))


@asynccontextmanager
async def one_unreadable(store: Store, sink: Scripted) -> AsyncIterator[Engine]:
    """An engine with two endpoints, of which it cannot read the second."""
    async with running(store, sink) as engine:
        await make(store, "ours")
        async with theirs(store) as other:
            await make(other, "theirs")
        await until(lambda: engine.statistics()["endpoints_unreadable"] == 1)
        yield engine


async def test_the_others_go_on(store: Store) -> None:
    """Nothing is sent there, signed or not; what waits, waits; everybody can see why, once."""
    sink = Scripted()
    with structlog.testing.capture_logs() as said:
        async with one_unreadable(store, sink) as engine:
            await send_more(store, 3)
            with trio.fail_after(10):
                while await counts(store) != {0: 3, 1: 3}:
                    await trio.sleep(0.01)
            # Several looks later, too.
            await trio.sleep(0.3)
            assert {attempt.endpoint_id for attempt in sink.attempts} == {1}
            assert len(sink.attempts) == 3
            assert engine.check() is None
            assert "endpoints 2. A secret in the database is sealed" in str(engine.warnings())
    told = [line for line in said if line["log_level"] in ("warning", "error")]
    assert [(line["event"], line["endpoint_id"]) for line in told] == [("endpoint.unreadable", 2)]


async def test_it_goes_on_when_the_secret_is_set_anew(store: Store) -> None:
    """By whomever, with a key that this hub has."""
    sink = Scripted()
    async with one_unreadable(store, sink) as engine:
        await send_more(store, 1)
        await store.write(lambda tx: update_endpoint(tx, "scripted", 2, {"secret": "another"}))
        await all_delivered(store, 2)
        assert engine.warnings() is None
    assert {attempt.secrets for attempt in sink.attempts} == {("secret of ours",), ("another",)}


async def test_it_goes_on_when_the_secret_is_sealed_anew(store: Store) -> None:
    """Which is no change of the endpoint."""
    sink = Scripted()
    async with one_unreadable(store, sink) as engine:
        await send_more(store, 1)
        async with theirs(store, OURS, THEIRS) as other:
            await other.write(lambda tx: reseal_step(tx, COLUMNS[0], 0, replace_lost=False))
        await all_delivered(store, 2)
        assert engine.statistics()["endpoints_unreadable"] == 0
    assert {attempt.secrets for attempt in sink.attempts} == {
        ("secret of ours",),
        ("secret of theirs",),
    }


async def test_a_hub_may_start_so(store: Store) -> None:
    """An engine that finds it, and nothing else, runs; and so do those who look and change."""
    async with theirs(store) as other:
        await make(other, "theirs")
    sink = Scripted()
    async with running(store, sink) as engine:
        await until(lambda: engine.statistics()["endpoints_unreadable"] == 1)
        page = await store.read(lambda reader: list_endpoints(reader, "scripted"))
        assert [(item.name, item.secrets) for item in page.items] == [("theirs", ())]
        assert page.items[0].unreadable is not None
        await store.write(lambda tx: update_endpoint(tx, "scripted", 1, {"description": "x"}))
        with pytest.raises(StoreError, match="sealed"):
            await store.write(lambda tx: rotate_secret(tx, "scripted", 1, "new", 60.0))
    async with theirs(store) as other:
        found = await other.read(lambda reader: get_endpoint(reader, "scripted", 1))
        assert (found.description, found.secrets[0].value) == ("x", "secret of theirs")


async def test_nor_does_one_run_whose_address_cannot_be_read(store: Store) -> None:
    """A configuration is sealed as a secret is; set anew by somebody, it is read again."""
    sink = Scripted()
    async with running(store, sink) as engine:
        async with theirs(store) as other:
            new = NewEndpoint("theirs", ("*",), {"url": "theirs"})
            await other.write(lambda tx: insert_endpoint(tx, "scripted", new))
        await until(lambda: engine.statistics()["endpoints_unreadable"] == 1)
        found = await store.read(lambda reader: get_endpoint(reader, "scripted", 1))
        assert (found.config, found.unreadable is None) == ({}, False)
        await send_more(store, 1)
        changes = {"config": {"url": "ours"}}
        await store.write(lambda tx: update_endpoint(tx, "scripted", 1, changes))
        await all_delivered(store, 1)
    assert [attempt.config for attempt in sink.attempts] == [{"url": "ours"}]


async def test_an_attempt_under_way_is_recorded(store: Store) -> None:
    """Also when its endpoint's secret is changed by the other hub meanwhile."""
    sink = Scripted()
    sink.gate = trio.Event()
    async with running(store, sink) as engine:
        await make(store, "ours")
        await until(lambda: bool(engine.breaker_states([1])))
        await send_more(store, 1)
        await sink.entered.wait()
        async with theirs(store) as other:
            await other.write(lambda tx: update_endpoint(tx, "scripted", 1, {"secret": "theirs"}))
        await until(lambda: engine.statistics()["endpoints_unreadable"] == 1)
        sink.gate.set()
        await all_delivered(store, 1)


async def test_a_test_attempt_is_not_made_unsigned(store: Store) -> None:
    """Whoever asks for an attempt by hand is told why there is none."""
    async with theirs(store) as other:
        await make(other, "theirs")
    sink = Scripted()
    endpoint = await store.read(lambda reader: get_endpoint(reader, "scripted", 1))
    attempts = Attempts({"scripted": sink}, TransformRegistry(), 1.0)
    event = Event(0, "e", "user.created", "{}", 0)
    result = await attempts.make(endpoint, event, delivery_id=0, number=1, now=store.clock())
    assert (result.outcome, result.error) == (Outcome.RETRY, "secret_unreadable")
    assert sink.attempts == []
