"""``replay``: a part of the history once more, beside the live feed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hookhub import Cursor
from hookhub.contracts.events import format_timestamp
from hookhub.hub import Hub


async def test_a_range_between_cursors(
    connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """After ``since``, up to and with ``until``; each is marked, and told from the live ones."""
    cursors = [str(Cursor(hub.feed.epoch, sequence)) for sequence in range(11)]
    await emit(10)
    async with connect() as client:
        answer = await client.ask(type="replay", since=cursors[2], until=cursors[5], id="r")
        assert answer == {
            "type": "replaying",
            "since": cursors[2],
            "until": cursors[5],
            "complete": True,
            "id": "r",
        }
        events = [await client.receive() for _ in range(3)]
        assert [item["sequence"] for item in events] == [3, 4, 5]
        assert [item["replay"] for item in events] == ["r"] * 3
        answer = await client.receive()
        assert answer == {"type": "replayed", "replayed": 3, "complete": True, "id": "r"}
        await emit()
        live = await client.receive()
        assert (live["sequence"], "replay" in live) == (11, False)


async def test_the_live_feed_does_not_notice(
    connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """What is committed during a replay comes once, in order and unmarked, whenever it comes."""
    await emit(3_000)
    async with connect() as client:
        await client.send(type="replay", since=str(Cursor(hub.feed.epoch, 0)))
        # The range ends where the hub reads the request, not where it was sent.
        received = [await client.receive()]
        for _ in range(20):
            await emit(50)
        while len(received) < 4_002:
            received.append(await client.receive())
    replayed = [item["sequence"] for item in received if item.get("replay") is True]
    live = [item["sequence"] for item in received if "id" in item and "replay" not in item]
    assert replayed == list(range(1, 3_001))
    assert live == list(range(3_001, 4_001))
    last = next(item for item in received if item["type"] == "replayed")
    assert last == {"type": "replayed", "replayed": 3_000, "complete": True}


async def test_a_range_of_times(
    connect: Callable[..., Any], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From ``since`` on, before ``until``, by the times of the events."""
    hour = 3_600_000_000
    base = hub.now() - 10 * hour
    drafts = [
        hub.draft("user.created", {"user_id": number}, timestamp=base + number * hour)
        for number in range(8)
    ]
    await hub.accept(drafts)
    async with connect() as client:
        await client.send(
            type="replay",
            since=format_timestamp(base + 2 * hour),
            until=format_timestamp(base + 5 * hour),
        )
        received = [await client.receive() for _ in range(5)]
    assert [item.get("sequence") for item in received] == [None, 3, 4, 5, None]


async def test_the_filter_of_the_connection_holds(
    connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """Types and conditions as they are subscribed."""
    for type in ("user.created", "ticket.created"):
        await emit(700, type=type)
    since = str(Cursor(hub.feed.epoch, 0))
    async with connect(events="ticket.*", where='{"user_id": {"$gt": 1398}}') as client:
        await client.send(type="replay", since=since)
        received = [await client.receive() for _ in range(4)]
        assert [item.get("sequence") for item in received] == [None, 1_399, 1_400, None]
        await client.ask(type="unsubscribe")
        await client.send(type="replay", since=since)
        assert (await client.receive())["type"] == "replaying"
        assert (await client.receive())["replayed"] == 0


async def test_what_is_gone_is_told(
    connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """``complete`` is false if the history does not reach back to what was asked for."""
    await emit(10)
    await hub.write(lambda tx: tx.sql("DELETE FROM hookhub_events WHERE sequence <= ?", (6,)))
    async with connect() as client:
        answer = await client.ask(type="replay", since=str(Cursor(hub.feed.epoch, 2)))
        assert (answer["complete"], answer["since"]) == (False, str(Cursor(hub.feed.epoch, 6)))
        received = [await client.receive() for _ in range(5)]
    assert received[-1] == {"type": "replayed", "replayed": 4, "complete": False}


async def test_an_empty_range(connect: Callable[..., Any], hub: Hub) -> None:
    """It begins and ends at once."""
    now = str(hub.feed.cursor())
    async with connect() as client:
        await client.send(type="replay", since=now, until=now, id=5)
        assert (await client.receive())["type"] == "replaying"
        assert (await client.receive())["replayed"] == 0


async def test_one_at_a_time(
    connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """A second one is refused until the first is over; then there may be another."""
    await emit(3_000)
    since = str(Cursor(hub.feed.epoch, 0))
    async with connect() as client:
        await client.send(type="replay", since=since, id="a")
        await client.send(type="replay", since=since, id="b")
        received = [await client.receive() for _ in range(3_003)]
        refused = [item for item in received if item["type"] == "error"]
        assert [(item["code"], item["id"]) for item in refused] == [("replay_in_progress", "b")]
        assert (await client.ask(type="replay", since=str(hub.feed.cursor())))["complete"] is True


@pytest.mark.parametrize(
    ("message", "code", "told"),
    [
        ({}, "validation_failed", "'replay' needs 'since'"),
        ({"since": 5}, "validation_failed", "'replay' needs 'since'"),
        ({"since": "yesterday"}, "validation_failed", "'yesterday' is neither a time"),
        ({"since": "othr-1"}, "invalid_cursor", "is of another database"),
        (
            {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
            "validation_failed",
            "until: must be after since",
        ),
    ],
)
async def test_wrong_ranges(
    connect: Callable[..., Any], message: dict[str, Any], code: str, told: str
) -> None:
    """Said with the id, and what is allowed."""
    async with connect() as client:
        answer = await client.ask(type="replay", id="x", **message)
        assert (answer["type"], answer["code"], answer["id"]) == ("error", code, "x")
        assert told in answer["message"]
