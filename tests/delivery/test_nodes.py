"""Several hubs on one PostgreSQL: the work of one that dies is taken over at once."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import trio

from hookhub.config import DatabaseSettings
from hookhub.contracts.deliveries import NewEndpoint
from hookhub.contracts.sinks import AttemptResult
from hookhub.delivery.engine import Engine
from hookhub.delivery.leases import Leases
from hookhub.delivery.nodes import GRACE, NEVER, Absences, Nodes
from hookhub.delivery.slots import SLOTS
from hookhub.store import Store, open_store
from hookhub.store.nodes import NodeLock
from hookhub.store.units.claims import claim_due
from hookhub.store.units.endpoints import insert_endpoint
from hookhub.store.units.leases import GUARDED, lease_base, lease_count, lease_node, leasing_nodes
from hookhub.testing.postgres import running_cluster
from support.scripted import (
    DELIVERED,
    Scripted,
    all_delivered,
    counts,
    delivery_when,
    make_endpoint,
    nothing_owned,
    running,
    send,
    send_more,
    until,
)

SOON = 10.0
"""Seconds: much less than a lease."""
DAY = 86_400_000_000
KEY_DATA = b"K\x00\x00\x00\x0c"
"""What comes before the process id in the server's greeting (BackendKeyData)."""


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    """On PostgreSQL, once more: what a second hub has."""
    async with open_store(DatabaseSettings(url=postgres_url)) as opened:
        yield opened


@pytest.fixture
async def other(store: Store) -> AsyncIterator[Store]:
    """That second hub's."""
    async with open_store(store.settings) as opened:
        yield opened


def hanging(*script: AttemptResult) -> Scripted:
    """A sink whose attempts wait until its gate is opened."""
    sink = Scripted(*script)
    sink.gate = trio.Event()
    return sink


async def own_one(store: Store, engine: Engine, *others: Engine) -> int:
    """Make endpoints until this one owns one of them; returns how many there are."""
    await until(lambda: all(e.statistics()["nodes"] == 1 + len(others) for e in (engine, *others)))
    await until(lambda: sum(e.statistics()["slots_owned"] for e in (engine, *others)) == SLOTS)
    await until(lambda: engine.statistics()["slots_owned"] > 0)
    before = await store.read(
        lambda reader: reader.sql("SELECT COUNT(*) FROM hookhub_endpoints")[0][0]
    )
    if engine.statistics()["endpoints_owned"]:
        return int(before)
    for number in range(before + 1, SLOTS + 1):
        await store.write(
            lambda tx: insert_endpoint(tx, "scripted", NewEndpoint("one", ("*",), {}, secret="s"))
        )
        await until(lambda n=number: all(e.obstacle(n) is None for e in (engine, *others)))
        if engine.statistics()["endpoints_owned"]:
            return number
    raise AssertionError


async def settle(store: Store) -> None:
    """A server that runs for a while, and has seen the end of the one before: who comes first is
    not somebody who comes back to it."""
    with trio.fail_after(20):
        while await _sessions(store):
            await trio.sleep(0.01)
        lock = NodeLock(store.settings)
        try:
            while lock.server_age() < 10.5:
                await trio.sleep(0.2)
        finally:
            lock.close()


def test_a_lease_says_whose_it_is() -> None:
    """Of each node enough for years; all beyond those that name nobody."""
    for node in (0, 1, 2**24 - 1):
        for count in (1, 2**38 - 1):
            lease = lease_base(node) + count
            assert GUARDED <= lease < 2**63
            assert (lease_node(lease), lease_count(lease)) == (node, count)


def test_who_is_away_for_a_moment_is_not_dead() -> None:
    """Only who is gone for the whole of the grace; a look at oneself being away starts it anew."""
    absences = Absences()
    absences.look({1, 2, 3}, 0.0)
    absences.look({1, 2}, 10.0)
    assert absences.dead(10.0 + GRACE / 2) == []
    absences.look({1, 2, 3}, 10.0 + GRACE / 2)
    absences.look({1, 2}, 20.0)
    absences.begin_anew()
    absences.look({1, 2}, 20.0 + GRACE)
    assert absences.dead(20.0 + GRACE) == []
    assert absences.dead(20.0 + 2 * GRACE) == [3]
    absences.forget(3)
    absences.look({1, 2}, 100.0)
    assert absences.dead(200.0) == []


def test_leases_of_a_node_that_nobody_knows() -> None:
    """Who is alone knows that it is dead; else it gets its grace; who lives is not suspected."""
    for since, at_once in ((NEVER, [7]), (5.0, [])):
        absences = Absences()
        absences.look({1, 2}, 5.0)
        absences.suspect({2, 7}, since)
        assert absences.dead(5.0) == at_once
        assert absences.dead(5.0 + GRACE) == [7]


async def test_a_restart_takes_up_at_once_what_was_claimed(store: Store) -> None:
    """A single node: whoever comes next is alone, so the claims are nobody's."""
    sink = hanging()
    async with running(store, sink):
        await send(store)
        await sink.entered.wait()
    await settle(store)
    dead = await store.read(leasing_nodes)
    assert len(dead) == 1
    async with running(store, Scripted()):
        # Released before anything else is done; by now it may be the new one's.
        assert not dead & await store.read(leasing_nodes)
        await all_delivered(store, 1)


async def test_the_work_of_a_dead_node_is_taken_over(store: Store, other: Store) -> None:
    """In a cluster: by those who live, within a moment."""
    dying, living = hanging(), Scripted()
    async with running(other, living) as survivor:
        async with running(store, dying) as engine:
            endpoints = await own_one(store, engine, survivor)
            await send_more(store, 4)
            await until(lambda: len(dying.attempts) == 2)
            await until(lambda: len(living.attempts) == 4 * (endpoints - 1))
        with trio.fail_after(SOON):
            await all_delivered(store, 4 * endpoints)
        # Two were under way, two more were claimed: handed over with their commit.
        assert survivor.statistics()["taken_over_total"] == 4
    assert len(living.attempts) == 4 * endpoints


async def test_a_lost_session_is_not_a_death(store: Store, other: Store) -> None:
    """Its node comes back under its own number before anybody takes its work."""
    sink = hanging()
    async with running(other, Scripted()) as neighbour, running(store, sink) as engine:
        endpoints = await own_one(store, engine, neighbour)
        await send_more(store, 4)
        await until(lambda: len(sink.attempts) == 2)
        with trio.fail_after(SOON):
            while (await counts(store)).get(0) != 4:
                await trio.sleep(0.01)
        before = await store.read(leasing_nodes)
        for _ in range(3):
            await _end_sessions(store)
            await until(lambda: engine.statistics()["nodes"] == 2)
            await trio.sleep(GRACE / 3)
        assert await store.read(leasing_nodes) == before
        assert sink.gate is not None
        sink.gate.set()
        await all_delivered(store, 4 * endpoints)
        assert neighbour.statistics()["taken_over_total"] == 0
    assert len(sink.attempts) == 4


async def test_who_was_away_asks_before_it_attempts(store: Store) -> None:
    """What it had claimed may have been released and be another's by now."""
    sink = hanging()
    async with running(store, sink, concurrency=1) as engine:
        await make_endpoint(store, engine)
        await send_more(store, 3)
        await until(lambda: len(sink.attempts) == 1)
        await store.write(
            lambda tx: tx.change(
                "UPDATE hookhub_deliveries SET lease = 7, due_at = ? WHERE id > 1", (tx.now + DAY,)
            )
        )
        before = await _sessions(store)
        await _end_sessions(store)
        with trio.fail_after(SOON):
            while not await _sessions(store) - before or not engine.statistics()["nodes"]:
                await trio.sleep(0.01)
        assert sink.gate is not None
        sink.gate.set()
        await delivery_when(store, lambda d: d.status == "success")
        await send_more(store, 1)
        await until(lambda: len(sink.attempts) == 2)
    assert [attempt.delivery_id for attempt in sink.attempts] == [1, 4]


async def test_a_crash_of_the_server_makes_no_duplicates() -> None:
    """All sessions end, all come back: what was under way is recorded, nobody takes it over."""
    with running_cluster() as cluster:
        settings = DatabaseSettings(url=cluster.new_database(), timeout=2.0)
        async with open_store(settings) as store, open_store(settings) as other:
            sinks = hanging(), hanging()
            async with (
                running(store, sinks[0]) as one,
                running(other, sinks[1]) as two,
            ):
                await own_one(store, one, two)
                total = await own_one(store, two, one)
                engines = one, two
                owned = [int(engine.statistics()["endpoints_owned"]) for engine in engines]
                await send_more(store, 1)
                await send_more(other, 1)

                def attempts() -> list[int]:
                    return [len(sink.attempts) for sink in sinks]

                await until(lambda: attempts() == [2 * number for number in owned])
                await trio.to_thread.run_sync(cluster.stop, "immediate")
                await until(lambda: one.statistics()["nodes"] == two.statistics()["nodes"] == 0)
                # One ends while there is no database, the other afterwards.
                assert sinks[0].gate is not None
                sinks[0].gate.set()
                await trio.sleep(2 * GRACE)
                await trio.to_thread.run_sync(cluster.start)
                await until(lambda: one.statistics()["nodes"] == two.statistics()["nodes"] == 2)
                await trio.sleep(2 * GRACE)
                assert sinks[1].gate is not None
                sinks[1].gate.set()
                await all_delivered(store, 2 * total)
                assert attempts() == [2 * number for number in owned]


@pytest.mark.parametrize("guarded", [True, False])
async def test_a_claim_that_nobody_was_told_of_comes_back(store: Store, guarded: bool) -> None:
    """Committed, and the connection broke before the news of it: that one alone, whether this node
    is known to live or not."""
    nodes = Nodes(store, nothing_owned(), lambda: None, lambda: None)
    leases = Leases(store, nodes, 65.0)
    await make_endpoint(store)
    await send_more(store, 4)
    async with trio.open_nursery() as nursery:
        if guarded:
            await nursery.start(nodes.run)
        for _ in range(3):
            number, end = leases.new(store.clock())
            await store.write(lambda tx, n=number, e=end: claim_due(tx, [(1, 1)], lease=n, until=e))
        leases.lost(number)
        await leases.settle()
        nursery.cancel_scope.cancel()
    rows = await store.read(
        lambda reader: reader.sql("SELECT id FROM hookhub_deliveries WHERE lease IS NULL")
    )
    assert {row[0] for row in rows} == {3, 4}


async def test_behind_a_pooler_leases_are_not_guarded(postgres_url: str) -> None:
    """A session that several share holds no lock for one of them: leases only expire."""
    with pooler(postgres_url) as url:
        async with open_store(DatabaseSettings(url=url)) as store:
            sink = hanging(DELIVERED)
            async with running(store, sink) as engine:
                await send(store)
                await sink.entered.wait()
                assert engine.statistics()["nodes"] == 0
                assert await store.read(leasing_nodes) == set()
                assert await counts(store) == {0: 1}
                assert sink.gate is not None
                sink.gate.set()
                await delivery_when(store, lambda d: d.status == "success")


async def test_leases_are_guarded_only_while_the_lock_is_held(store: Store) -> None:
    """Without it nobody could tell that this node lives."""
    nodes = Nodes(store, nothing_owned(), lambda: None, lambda: leases.doubt())
    leases = Leases(store, nodes, 65.0)
    assert leases.new(0)[0] < GUARDED
    async with trio.open_nursery() as nursery:
        await nursery.start(nodes.run)
        guarded = leases.new(0)[0]
        assert guarded > GUARDED
        nursery.cancel_scope.cancel()
    assert leases.new(0)[0] < GUARDED


SESSIONS = "application_name = 'hookhub node' AND datname = current_database()"


async def _sessions(store: Store) -> set[int]:
    rows = await store.read(
        lambda reader: reader.sql(f"SELECT pid FROM pg_stat_activity WHERE {SESSIONS}")
    )
    return {row[0] for row in rows}


async def _end_sessions(store: Store) -> None:
    """As an administrator may do, or a firewall that forgets connections."""
    await store.read(
        lambda reader: reader.sql(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {SESSIONS}"
        )
    )


@contextmanager
def pooler(url: str) -> Iterator[str]:
    """What clients see of PgBouncer: a connection with a process id of its own making.

    In threads: the store's first connection is made while nothing else runs in Trio.
    """
    target = urlsplit(url)
    address = (target.hostname, target.port)

    class Client(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(address) as server:
                back = threading.Thread(target=copy, args=(server, self.request, True))
                back.start()
                copy(self.request, server, False)
                back.join()

    def copy(source: socket.socket, sink: socket.socket, told: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                at = data.find(KEY_DATA) if told else -1
                if at >= 0:
                    told, at = False, at + len(KEY_DATA)
                    data = data[:at] + struct.pack("!I", 424242) + data[at + 4 :]
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Client) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        port = server.server_address[1]
        yield target._replace(netloc=f"{target.username}@127.0.0.1:{port}").geturl()
        server.shutdown()
