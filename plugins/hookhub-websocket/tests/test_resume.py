"""Replay and live are one feed: each event once, in order, with a verdict."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import trio

from hookhub import Cursor
from hookhub.contracts.errors import StoreUnavailable
from hookhub.contracts.events import Event
from hookhub.feed import Feed
from hookhub.hub import Hub
from hookhub_websocket import messages
from hookhub_websocket.batches import Batches
from hookhub_websocket.feeder import Feeder
from hookhub_websocket.filters import ConnectionFilter
from hookhub_websocket.frames import text_frame


def resumed(replayed: int, cursor: str) -> dict[str, Any]:
    """The verdict: so many were sent, and nothing up to there is missing."""
    return {"type": "resumed", "replayed": replayed, "cursor": cursor}


async def test_since_replays_then_goes_on_live(
    connect: Callable[..., Any], emit: Callable[..., Any]
) -> None:
    """?since= gives what was committed after the cursor, the count of it, then what happens."""
    async with connect() as client:
        await emit(5)
        events = [await client.receive() for _ in range(5)]
    async with connect(since=events[1]["cursor"]) as client:
        assert client.greeting["cursor"] == events[1]["cursor"]
        assert [await client.receive() for _ in range(3)] == events[2:]
        assert await client.receive() == resumed(3, events[-1]["cursor"])
        await emit()
        assert (await client.receive())["sequence"] == 6


async def test_resume_with_nothing_missed(
    connect: Callable[..., Any], hub: Hub, emit: Callable[..., Any]
) -> None:
    """A cursor of now gets its verdict at once, also when the next event is filtered out."""
    await emit(2)
    async with connect(since=str(hub.feed.cursor()), events="ticket.*") as client:
        assert await client.receive() == resumed(0, str(hub.feed.cursor()))


async def test_resume_by_message(
    connect: Callable[..., Any], hub: Hub, emit: Callable[..., Any]
) -> None:
    """A client that is connected already may ask for what came after a cursor, with an id."""
    beginning = str(Cursor(hub.feed.epoch, 0))
    await emit(2)
    async with connect() as client:
        await client.send(type="resume", cursor=beginning, id="again")
        assert [(await client.receive())["sequence"] for _ in range(2)] == [1, 2]
        now = str(hub.feed.cursor())
        assert await client.receive() == {**resumed(2, now), "id": "again"}
        await client.send(type="resume", since=beginning)
        assert [(await client.receive())["sequence"] for _ in range(2)] == [1, 2]
        assert await client.receive() == resumed(2, now)


async def test_replay_counts_what_the_filter_lets_through(
    connect: Callable[..., Any], hub: Hub, emit: Callable[..., Any]
) -> None:
    """Events of other types are neither sent nor counted, at the end of the replay neither."""
    for type in ("user.created", "ticket.created", "user.created", "ticket.created"):
        await emit(3, type=type)
    beginning = str(Cursor(hub.feed.epoch, 0))
    async with connect(since=beginning, events="user.*") as client:
        assert [(await client.receive())["sequence"] for _ in range(6)] == [1, 2, 3, 7, 8, 9]
        assert await client.receive() == resumed(6, str(hub.feed.cursor()))


async def test_the_verdict_stands_between_replay_and_live(
    connect: Callable[..., Any], hub: Hub, emit: Callable[..., Any]
) -> None:
    """Events committed during a replay come after 'resumed', though they may share a batch."""
    await emit(1_000)
    async with connect(since=str(Cursor(hub.feed.epoch, 0))) as client:
        await emit(1_000)
        received = [await client.receive() for _ in range(2_001)]
    assert received[1_000] == resumed(1_000, received[999]["cursor"])
    del received[1_000]
    assert [item["sequence"] for item in received] == list(range(1, 2_001))


async def test_one_resume_at_a_time(connect: Callable[..., Any], hub: Hub) -> None:
    """A second resume before the verdict on the first is refused; the first gets its verdict."""
    await hub.accept([hub.draft("user.created", {"user_id": n}) for n in range(3_000)])
    beginning = str(Cursor(hub.feed.epoch, 0))
    async with connect() as client:
        await client.send(type="resume", cursor=beginning, id=1)
        await client.send(type="resume", cursor=beginning, id=2)
        answers = [await client.receive() for _ in range(3_002)]
    answers = [item for item in answers if "id" in item and not isinstance(item["id"], str)]
    assert {**resumed(3_000, str(hub.feed.cursor())), "id": 1} in answers
    refused = next(item for item in answers if item["id"] == 2)
    assert refused["code"] == "resume_in_progress"


async def test_a_cursor_of_another_database_is_a_gap(
    connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """How much is missing cannot be known; it goes on from now, by a cursor of this database."""
    await emit(3)
    async with connect(since="othr-1") as client:
        now = str(hub.feed.cursor())
        assert await client.receive() == {"type": "gap", "missed": None, "cursor": now}
        await emit()
        assert (await client.receive())["sequence"] == 4


async def test_a_cursor_of_before_the_history_is_a_gap(
    connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """The gap is counted, and what is left is sent."""
    await emit(10)
    await hub.write(lambda tx: tx.sql("DELETE FROM hookhub_events WHERE sequence <= ?", (6,)))
    async with connect(since=str(Cursor(hub.feed.epoch, 2))) as client:
        left = str(Cursor(hub.feed.epoch, 6))
        assert client.greeting["cursor"] == left
        assert await client.receive() == {"type": "gap", "missed": 4, "cursor": left}
        assert [(await client.receive())["sequence"] for _ in range(4)] == [7, 8, 9, 10]
        answer = await client.ask(type="resume", cursor=str(Cursor(hub.feed.epoch, 0)), id="g")
        assert answer == {"type": "gap", "missed": 6, "cursor": left, "id": "g"}


async def test_what_is_no_cursor_is_told_and_counts_as_a_gap(
    connect: Callable[..., Any], hub: Hub
) -> None:
    """A client that sends garbage cannot take it for 'nothing was missed'."""
    async with connect(since="garbage!") as client:
        answer = await client.receive()
        assert (answer["type"], answer["code"]) == ("error", "invalid_cursor")
        assert (await client.receive())["missed"] is None
        assert hub.presence.statistics()["gaps_total"] == 1
        assert await client.ask(type="ping") == {"type": "pong"}


@pytest.mark.parametrize("hub_tables", [{"live": {"ring_events": 50}}])
async def test_clients_that_drop_and_resume_under_load_miss_nothing(
    connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """Six clients come and go at random under load: each event exactly once, in order.

    The ring is small, so that they are served from the store, the ring and live.
    """
    total = 3_000
    dice = random.Random(4)

    async def follow() -> None:
        seen: list[int] = []
        cursor = str(Cursor(hub.feed.epoch, 0))
        while len(seen) < total:
            async with connect(since=cursor) as client:
                for _ in range(dice.randrange(1, 900)):
                    event = await client.receive()
                    if "sequence" in event:
                        seen.append(event["sequence"])
                        cursor = event["cursor"]
                        if len(seen) == total:
                            break
                    else:
                        assert event["type"] == "resumed"
        assert seen == list(range(1, total + 1))

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(follow)
        while (made := await emit(dice.randrange(1, 60))) < total - 60:
            await trio.lowlevel.checkpoint()
        await emit(total - made)


async def test_a_store_that_cannot_be_read_costs_nobody_an_event(
    connect: Callable[..., Any],
    emit: Callable[..., Any],
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client is sent away with its cursor, and with it gets the rest."""

    async def unavailable(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("The database is gone.")

    async with connect() as client:
        await emit()
        await client.receive()
        with monkeypatch.context() as patch:
            patch.setattr(Feed, "read", unavailable)
            await emit()
            assert (await client.receive())["sequence"] == 2, "news do not come from the store"
            cursor = str(Cursor(hub.feed.epoch, 1))
            await client.send(type="resume", cursor=cursor)
            code, reason = await client.closing()
    assert (code, reason) == (1011, f"Try again later; resume with cursor={cursor}")
    async with connect(since=cursor) as client:
        assert (await client.receive())["sequence"] == 2


@pytest.mark.parametrize("hub_tables", [{"live": {"ring_events": 1}}])
async def test_history_that_goes_while_it_is_replayed_is_a_gap(
    emit: Callable[..., Any], hub: Hub
) -> None:
    """Retention went faster than the client: it is told how much it missed, then goes on."""
    await emit(10)
    feeder = Feeder(hub.feed, Batches(hub.feed), ConnectionFilter(hub.feed.select, 10))
    assert feeder.resume(await hub.feed.resume(Cursor(hub.feed.epoch, 2))) is None
    await hub.write(lambda tx: tx.sql("DELETE FROM hookhub_events WHERE sequence <= ?", (6,)))
    cursor = str(Cursor(hub.feed.epoch, 6))
    assert await feeder.next_batch() == text_frame(messages.gap(4, cursor))
    assert (await feeder.next_batch()).count(b'"sequence"') == 4


async def test_news_of_another_choice_waits_for_its_answer(
    emit: Callable[..., Any], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a message changes while unwanted events are passed over goes out after its answer."""
    await emit(2_001)  # more than one read looks at
    await emit(type="ticket.created")
    filter = ConnectionFilter(hub.feed.select, 10)
    filter.subscribe(["ticket.*"])
    feeder = Feeder(hub.feed, Batches(hub.feed), filter)
    feeder.position = 0

    async def choose() -> None:
        filter.subscribe(["user.*"])
        feeder.refilter()

    with monkeypatch.context() as patch:
        # Where others run; which of them is up to Trio.
        patch.setattr(trio.lowlevel, "checkpoint", choose)
        assert await feeder.next_batch() == b"", "first what choose() has posted"
    assert b"ticket.created" in await feeder.next_batch()


async def test_an_event_that_cannot_be_shown_is_passed_over(
    connect: Callable[..., Any], hub: Hub, emit: Callable[..., Any]
) -> None:
    """Stored unchecked, it costs itself: on the way through the history, in a replay, and live."""
    await emit(3)
    # What the ring holds of it is what was committed; the clients below read the rest from there.
    year_10000 = 253_402_300_800_000_000
    await hub.store.write(
        lambda tx: tx.change(
            "UPDATE hookhub_events SET timestamp = ? WHERE sequence = 2", (year_10000,)
        )
    )
    hub.feed._ring.clear()
    async with connect(since=str(Cursor(hub.feed.epoch, 0))) as client:
        assert [(await client.receive())["sequence"] for _ in range(2)] == [1, 3]
        assert await client.receive() == resumed(2, str(hub.feed.cursor()))
        await client.send(type="replay", since=str(Cursor(hub.feed.epoch, 0)))
        assert (await client.receive())["type"] == "replaying"
        assert [(await client.receive())["sequence"] for _ in range(2)] == [1, 3]
        assert (await client.receive())["type"] == "replayed"
        unreadable = Event(4, "evt_bad", "user.created", "{}", year_10000)
        hub.broadcaster._publish([unreadable, unreadable._replace(sequence=5, timestamp=0)])
        assert (await client.receive())["sequence"] == 5
