"""A database that went back (a restored backup, a replica that lagged) is never a silent gap."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from hookhub.config import DatabaseSettings, LiveSettings
from hookhub.contracts.deliveries import NewEndpoint
from hookhub.contracts.events import Cursor, Draft, new_event_id
from hookhub.feed import Broadcaster, Feed
from hookhub.feed.selection import everything
from hookhub.store import Store, Transaction, open_store
from hookhub.store.units.endpoints import insert_endpoint
from support.going_back import go_back

NEVER = 3600.0


@pytest.fixture
async def store(any_database: str) -> AsyncIterator[Store]:
    async with open_store(DatabaseSettings(url=any_database)) as opened:
        yield opened


class Node:
    """A process's store and feed."""

    def __init__(self, store: Store, poll: float) -> None:
        self.store = store
        self.feed = Feed(store, LiveSettings())
        self.broadcaster = Broadcaster(store, self.feed, [], poll)

    async def open(self, nursery: trio.Nursery) -> None:
        await self.feed.open()
        self.store.on_commit(self.broadcaster.committed)
        await nursery.start(self.broadcaster.run)

    async def send(self, count: int = 1) -> list[str]:
        """Commit events; returns their ids."""
        drafts = [Draft(new_event_id(0), "user.created", "{}", 1) for _ in range(count)]
        await self.store.write(lambda tx: tx.append_all(drafts))
        return [draft.id for draft in drafts]

    async def read(self, after: Cursor, count: int) -> list[str]:
        """The ids of so many events that follow, in whatever parts they come."""
        found: list[str] = []
        with trio.fail_after(5):
            while len(found) < count:
                await self.feed.wait(after)
                part = await self.feed.read(after, everything)
                assert not part.gap
                found += [entry.event.id for entry in part.entries]
                after = part.position
        return found


Start = Callable[..., Any]


@pytest.fixture
async def start(store: Store) -> AsyncIterator[Start]:
    """``await start(poll)``: a node that is at work on the store, and ends before it."""
    async with trio.open_nursery() as nursery:

        async def start(poll: float = NEVER) -> Node:
            node = Node(store, poll)
            await node.open(nursery)
            return node

        yield start
        nursery.cancel_scope.cancel()


async def told(node: Node, place: Cursor) -> Cursor:
    """Wait for the gap that a reader at this place is told of; returns where it goes on."""
    with trio.fail_after(5):
        while node.feed.epoch == place.epoch:
            await node.feed.wait(node.feed.cursor())
    part = await node.feed.read(place, everything)
    assert (part.entries, part.gap) == ([], (None, part.position))
    assert part.position.epoch not in ("", place.epoch)
    return part.position


async def test_readers_are_told_and_go_on_where_the_new_epoch_begins(start: Start) -> None:
    """A lower last sequence is noticed by looking; nothing of before is shown any more."""
    node = await start(0.02)
    await node.send(10)
    place = node.feed.cursor()
    with capture_logs() as logs:
        await node.store.write(partial(go_back, to=6), locks=False)
        position = await told(node, place)
    assert position.sequence == 6
    assert node.feed.recent(6, 10) is None, "the ring is empty"
    assert [line["log_level"] for line in logs if line["event"] == "store.went_back"] == ["error"]
    ids = await node.send(3)
    assert await node.read(position, 3) == ids
    for sequence in (3, 8, 9, 10, 11):
        found = await node.feed.resume(Cursor(place.epoch, sequence))
        there = Cursor(position.epoch, 9)
        assert found == (there, (None, there))
    assert await node.feed.resume(position) == (position, None)


async def test_the_writer_notices_before_it_commits(start: Start) -> None:
    """What it commits then is of the new epoch already, and is shown."""
    node = await start()
    await node.send(5)
    place = node.feed.cursor()
    await node.store.write(partial(go_back, to=2), locks=False)
    ids = await node.send(2)
    position = await told(node, place)
    assert position.sequence == 2
    assert await node.read(position, 2) == ids


@pytest.mark.parametrize("others", [3, 4])
async def test_other_events_under_the_same_sequences(
    store: Store, start: Start, others: int
) -> None:
    """As many events as were lost, or more, were committed by a node that knows of nothing."""
    node = await start()
    await node.send(5)
    place = node.feed.cursor()
    await store.write(partial(go_back, to=2), locks=False)
    async with open_store(store.settings) as unaware:
        await Node(unaware, NEVER).send(others)
    if others == 3:
        # Its next event would follow what it has seen, without a hole.
        await node.send()
    else:
        node.broadcaster.look()
    assert (await told(node, place)).sequence >= 5


async def test_all_nodes_agree(store: Store, start: Start) -> None:
    """Whoever notices first begins the epoch; a cursor of one node is good for all."""
    async with open_store(store.settings) as other, trio.open_nursery() as nursery:
        nodes = [await start(0.02), Node(other, 0.02)]
        await nodes[1].open(nursery)
        ids = await nodes[0].send(5)
        for node in nodes:
            assert await node.read(Cursor(node.feed.epoch, 0), 5) == ids
        place = nodes[0].feed.cursor()
        await store.write(partial(go_back, to=2), locks=False)
        positions = [await told(node, place) for node in nodes]
        assert positions[0] == positions[1]
        ids = await nodes[0].send() + await nodes[1].send()
        for node in nodes:
            assert await node.read(positions[0], 2) == ids
        nursery.cancel_scope.cancel()


async def test_the_epoch_survives_a_restart(store: Store, start: Start) -> None:
    """It is the database's, like the sequence."""
    node = await start()
    await node.send(3)
    place = node.feed.cursor()
    await store.write(partial(go_back, to=1), locks=False)
    await node.send()
    await told(node, place)
    async with open_store(store.settings) as again:
        assert again.epoch == node.feed.epoch == store.epoch
        assert again.epoch != place.epoch


async def test_an_epoch_of_before_is_not_taken_for_a_new_one(store: Store, start: Start) -> None:
    """Once more to a copy of the time before: a third epoch, not the first one again."""
    node = await start(0.02)
    await node.send(3)
    first = node.feed.cursor()
    await store.write(partial(go_back, to=1), locks=False)
    second = await told(node, first)
    await node.send(2)

    def to_the_first(tx: Transaction) -> None:
        tx.sql("UPDATE hookhub_state SET epoch = ?, epoch_number = 1", (first.epoch,))

    await store.write(to_the_first, locks=False)
    third = await told(node, second)
    assert third.epoch not in (first.epoch, second.epoch)


async def test_endpoints_are_read_anew(store: Store, start: Start) -> None:
    """The number of their changes may be the same as before, and they others."""
    node = await start()

    async def make(name: str) -> int:
        new = NewEndpoint(name, ("*",), {})
        return (await store.write(lambda tx: insert_endpoint(tx, "webhook", new))).id

    gone = await make("gone")
    await node.send(3)

    def restore(tx: Transaction) -> None:
        go_back(tx, 2)
        tx.sql("UPDATE hookhub_endpoints SET id = ?, name = 'other' WHERE id = ?", (gone + 1, gone))

    await store.write(restore, locks=False)
    draft = Draft(new_event_id(0), "user.created", "{}", 1)
    [accepted] = await store.write(lambda tx: tx.append_all([draft]))
    rows = await store.read(
        lambda reader: reader.sql(
            "SELECT endpoint_id, id FROM hookhub_deliveries WHERE sequence = ?",
            (accepted.sequence,),
        )
    )
    assert [row[0] for row in rows] == [gone + 1]
    assert rows[0][1] > 3, "ids of deliveries that may be under way are not given out again"


async def endpoint(store: Store) -> int:
    new = NewEndpoint("w", ("*",), {})
    return (await store.write(lambda tx: insert_endpoint(tx, "webhook", new))).id


async def copied(store: Store, to: int) -> Callable[[Transaction], None]:
    """What restores the database of now, as it was when this sequence was the last."""
    epoch = await store.read(
        lambda reader: reader.sql("SELECT epoch, epoch_number, epoch_begin FROM hookhub_state")
    )

    def restore(tx: Transaction) -> None:
        go_back(tx, to)
        tx.sql("UPDATE hookhub_state SET epoch = ?, epoch_number = ?, epoch_begin = ?", epoch[0])

    return restore


async def newest_delivery(store: Store) -> int:
    rows = await store.read(lambda reader: reader.sql("SELECT MAX(id) FROM hookhub_deliveries"))
    return int(rows[0][0])


async def test_no_id_of_a_delivery_is_given_twice(store: Store, start: Start) -> None:
    """The same copy restored twice: an answer that comes late finds no other event's delivery."""
    node = await start()
    await endpoint(store)
    await node.send()
    restore = await copied(store, 1)
    given = await newest_delivery(store)
    for _ in range(3):
        await store.write(restore, locks=False)
        await node.send(2)
        rows = await store.read(
            lambda reader: reader.sql("SELECT id FROM hookhub_deliveries WHERE sequence > 1")
        )
        assert min(row[0] for row in rows) > given
        given = max(row[0] for row in rows)


async def test_two_nodes_that_restore_the_same_copy_give_out_other_ids(
    store: Store, start: Start
) -> None:
    """Each begins an epoch from it, and has not seen the other's: the time keeps them apart."""
    node = await start()
    await endpoint(store)
    await node.send(2)
    async with open_store(store.settings) as second:
        other = Node(second, NEVER)
        restore = await copied(store, 1)
        found: list[int] = []
        for each in (node, other):
            await store.write(restore, locks=False)
            await each.send()
            found.append(await newest_delivery(store))
    assert found[0] < found[1]


async def test_a_replay_alone_is_missed_as_well(store: Store, start: Start) -> None:
    """Its deliveries are gone without any event: whoever looks notices, before ids are reused."""
    node = await start(0.02)
    hook = await endpoint(store)
    await node.send(2)
    place = node.feed.cursor()
    await store.write(lambda tx: tx.replay(hook, [(1, None)]))
    replayed = await newest_delivery(store)
    await store.write(
        lambda tx: (
            tx.sql("DELETE FROM hookhub_deliveries WHERE id = ?", (replayed,)),
            tx.sql("UPDATE hookhub_state SET last_delivery = last_delivery - 1"),
        ),
        locks=False,
    )
    await told(node, place)
    await node.send()
    assert await newest_delivery(store) > replayed + 1
