"""A database that went back, as WebSockets see it: each is told a gap, and goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from hookhub import Cursor
from hookhub.feed import resolve_range
from hookhub.hub import Hub
from hookhub.store import Transaction
from hookhub.testing.serving import TOKEN
from hookhub_websocket.batches import Batches
from hookhub_websocket.feeder import Feeder
from hookhub_websocket.filters import ConnectionFilter
from hookhub_websocket.frames import text_frame
from hookhub_websocket.history import HistoryReplay
from hookhub_websocket.messages import gap


async def restore(hub: Hub, to: int) -> None:
    """The database goes back; wait until the hub has noticed."""

    def go_back(tx: Transaction) -> None:
        tx.sql("DELETE FROM hookhub_events WHERE sequence > ?", (to,))
        tx.sql("UPDATE hookhub_state SET last_sequence = ?", (to,))

    old = hub.feed.epoch
    await hub.store.write(go_back, locks=False)
    hub.broadcaster.look()
    with trio.fail_after(5):
        while hub.feed.epoch == old:
            await hub.feed.wait(hub.feed.cursor())


@pytest.mark.parametrize("hub_tables", [{"plugins": {"websocket": {"compress_from": 1}}}])
async def test_who_waits_for_news_is_told_at_once(
    connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """Whatever it subscribes; then come the events that have the sequences of those it had."""
    async with connect() as client, connect(events="ticket.*") as other:
        await emit(5)
        before = [await client.receive() for _ in range(5)]
        await restore(hub, 2)
        told = {"type": "gap", "missed": None, "cursor": f"{hub.feed.epoch}-2"}
        assert await client.receive() == await other.receive() == told
        await emit(4)
        after = [await client.receive() for _ in range(4)]
        assert [item["sequence"] for item in after] == [3, 4, 5, 6]
        assert not {item["id"] for item in before} & {item["id"] for item in after}
        assert await other.ask(type="ping") == {"type": "pong"}
    assert hub.presence.statistics()["gaps_total"] == 2
    async with connect(since=before[-1]["cursor"]) as again:
        assert (await again.receive())["missed"] is None


async def test_who_comes_to_a_copy_that_was_restored_while_the_hub_was_away(
    connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """A cursor beyond the last event is of an event that was lost: never silence."""
    await emit(3)
    beyond = str(Cursor(hub.feed.epoch, 5))
    async with connect(since=beyond) as client:
        told = {"type": "gap", "missed": None, "cursor": str(hub.feed.cursor())}
        assert await client.receive() == told
        assert await client.ask(type="resume", cursor=beyond) == told
        answer = await client.ask(type="replay", since=beyond)
        assert (answer["type"], answer["complete"]) == ("replaying", False)


async def test_a_replay_and_a_resume_under_way_end(hub: Hub, emit: Callable[..., Any]) -> None:
    """The one is not complete, the other has its verdict: the gap."""
    await emit(5)
    epoch = hub.feed.epoch
    chosen = ConnectionFilter(hub.feed.select, 10)
    feeder = Feeder(hub.feed, Batches(hub.feed), chosen)
    assert feeder.resume(await hub.feed.resume(Cursor(epoch, 1))) is None
    found = await hub.read(lambda reader: resolve_range(reader, Cursor(epoch, 0), None))
    replay = HistoryReplay(hub.feed, epoch, chosen, found, 7)
    await restore(hub, 2)
    assert await feeder.next_batch() == text_frame(gap(None, f"{hub.feed.epoch}-2"))
    assert await feeder.next_batch() == b""
    assert b'"replayed": 0, "complete": false, "id": 7' in await replay.next_batch()
    assert replay.over


async def test_one_in_the_middle_of_a_write_is_told_behind_it(
    raw: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """Whole frames in order: those under way, the gap, the new ones."""
    client = await raw()
    await client.open(f"/ws?token={TOKEN}")
    await client.message()
    for _ in range(60):
        await emit(text="x" * 100_000)
    await restore(hub, 2)
    await emit()
    seen = []
    while (message := await client.message())["type"] != "gap":
        seen.append(message["sequence"])
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) < 60
    assert (await client.message())["sequence"] == 3
