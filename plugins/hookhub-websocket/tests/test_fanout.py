"""One shared batch for all who wait for news, and nobody waits for a neighbour."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from hookhub import Cursor, Entry, Event
from hookhub.feed import Feed
from hookhub.hub import Hub
from hookhub.testing.serving import TOKEN
from hookhub.testing.waiting import wait_until_async
from hookhub_websocket import fanout as fanout_module
from hookhub_websocket.batches import EVENTS, SIZE, Batches
from hookhub_websocket.feeder import Feeder
from hookhub_websocket.filters import ConnectionFilter
from hookhub_websocket.frames import plain_frame, text_frame
from hookhub_websocket.sink import WebSocketSink


def everything(entry: Entry) -> bool:
    return True


async def test_a_batch_is_made_once(hub: Hub, emit: Callable[..., Any]) -> None:
    """For all who are at one place and want the same; others get their own."""
    asked = []

    def odd(entry: Entry) -> bool:
        asked.append(entry.event.sequence)
        return entry.event.sequence % 2 == 1

    await emit(4)
    batches = Batches(hub.feed)
    entries = hub.feed.recent(1, 10)
    assert entries is not None
    found = batches.after(odd, plain_frame, 1)
    assert found == (plain_frame(entries[1]), 1)
    assert batches.after(odd, plain_frame, 1) is found
    assert asked == [2, 3, 4]
    assert batches.after(everything, plain_frame, 3) == (plain_frame(entries[2]), 1)
    assert batches.after(odd, plain_frame, 3) == (b"", 0)
    await emit()
    last = hub.feed.recent(4, 10)
    assert last is not None
    assert batches.after(odd, plain_frame, 4) == (plain_frame(last[0]), 1)
    hub.feed.forget(5)
    assert batches.after(odd, plain_frame, 3) is None, "deleted by retention"


@pytest.mark.parametrize("hub_tables", [{"live": {"ring_events": 600}}])
async def test_what_is_no_batch(hub: Hub, emit: Callable[..., Any]) -> None:
    """Too old for memory, too many events, or too many bytes: that is for a flusher."""
    batches = Batches(hub.feed)
    assert batches.after(everything, plain_frame, 0) is None
    await emit(700)
    assert batches.after(everything, plain_frame, 50) is None
    assert batches.after(everything, plain_frame, 700 - EVENTS - 1) is None
    assert batches.after(everything, plain_frame, 690) is not None
    await emit(text="x" * SIZE)
    large = batches.after(everything, plain_frame, 700)
    assert large is not None
    assert len(large.data) > SIZE
    assert batches.after(everything, plain_frame, 699) is None


async def test_a_cursor_ahead_of_this_process_is_waited_for(
    hub: Hub, emit: Callable[..., Any]
) -> None:
    """Another process has committed what this one has yet to publish: nothing is sent twice."""
    await emit(3)
    feeder = Feeder(hub.feed, Batches(hub.feed), ConnectionFilter(hub.feed.select, 10))
    feeder.position = 5
    assert feeder.lag == 0
    assert await feeder.next_batch() == b""
    assert feeder.position == 5
    await emit(3)
    batch = await feeder.next_batch()
    assert batch.count(b'"sequence": 6') == batch.count(b'"sequence"') == 1


@pytest.fixture
async def clients(connect: Callable[..., Any], hub: Hub) -> AsyncIterator[Sequence[Any]]:
    """Seven connected clients; the last two want users only."""
    async with AsyncExitStack() as stack:
        queries = [{}] * 5 + [{"events": "user.*"}] * 2
        yield [await stack.enter_async_context(connect(**query)) for query in queries]


async def test_news_come_to_everybody(
    clients: Sequence[Any],
    emit: Callable[..., Any],
    sink: WebSocketSink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first are served at once, the others soon after, all in order and by their filters."""
    monkeypatch.setattr(fanout_module, "CHUNK", 2)
    await wait_until_async(lambda: up_to_date(sink, 7))
    for number in range(4):
        await emit(2, type=("user.created", "ticket.created")[number % 2])
    for client in clients[:5]:
        assert [(await client.receive())["sequence"] for _ in range(8)] == list(range(1, 9))
    for client in clients[5:]:
        assert [(await client.receive())["sequence"] for _ in range(4)] == [1, 2, 5, 6]
    assert sink.statistics()["fanout_rounds_total"] >= 4
    assert sink.statistics()["up_to_date"] == 7


async def up_to_date(sink: WebSocketSink, count: int) -> bool:
    return sink.statistics()["up_to_date"] == count


async def test_no_task_is_woken_for_news(
    connect: Callable[..., Any], emit: Callable[..., Any], sink: WebSocketSink
) -> None:
    """A client that is up to date gets an event written at once, by whoever publishes."""
    async with connect() as client:
        await wait_until_async(lambda: up_to_date(sink, 1))
        (session,) = sink._connections._sessions
        started = []
        session.outbox.attach(lambda: started.append("again"))
        session.outbox.busy = False
        started.clear()
        await emit()
        assert (await client.receive())["sequence"] == 1
        assert not started
        assert session.feeder.lag == 0


async def test_a_failing_filter_hurts_only_its_own(
    clients: Sequence[Any], emit: Callable[..., Any], sink: WebSocketSink
) -> None:
    """Its client gets 1011; the others get the event, and the producer an answer."""
    await wait_until_async(lambda: up_to_date(sink, 7))

    def broken(entry: Entry) -> bool:
        raise RuntimeError("a bug")

    bad = next(item for item in sink._connections._sessions if item.filter.patterns == ["user.*"])
    bad.feeder.match = broken
    with capture_logs() as logs:
        await emit()
        for client in clients[:5]:
            assert (await client.receive())["sequence"] == 1
        await wait_until_async(lambda: up_to_date(sink, 6))
    assert bad.link.closed is not None
    assert bad.link.closed.code == 1011
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [
        "websocket.feed_broken"
    ]


async def test_who_was_left_behind_is_served_at_the_next_start(
    connect: Callable[..., Any], hub: Hub, emit: Callable[..., Any], sink: WebSocketSink
) -> None:
    """Should the fan-out itself fail, nobody misses an event."""
    async with connect() as client:
        await wait_until_async(lambda: up_to_date(sink, 1))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sink._fanout, "publish", lambda: None)
            await emit(3)
        await emit()
        assert [(await client.receive())["sequence"] for _ in range(4)] == [1, 2, 3, 4]


async def test_a_large_event_follows_in_parts(
    raw: Callable[..., Any], emit: Callable[..., Any], sink: WebSocketSink
) -> None:
    """What the socket takes of a frame is continued, and what comes meanwhile comes after it."""
    slow = await raw()
    await slow.open()
    await slow.message()
    await wait_until_async(lambda: up_to_date(sink, 1))
    for _ in range(8):
        await emit(text="x" * 250_000)
    (session,) = sink._connections._sessions
    assert session.outbox.busy
    assert session.feeder.lag > 0
    for sequence in range(1, 9):
        assert (await slow.message())["sequence"] == sequence
    await wait_until_async(lambda: up_to_date(sink, 1))
    await emit()
    assert (await slow.message())["sequence"] == 9


async def test_a_gap_is_told_before_what_follows_it(
    hub: Hub, emit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resume in the middle of a read from the store: its answer goes first."""
    await emit(10)
    hub.feed._ring.clear()
    feeder = Feeder(hub.feed, Batches(hub.feed), ConnectionFilter(hub.feed.select, 10))
    feeder.position = 2
    read = Feed.read

    async def read_and_resume(*arguments: Any) -> Any:
        found = await read(hub.feed, *arguments)
        feeder.resume(await hub.feed.resume(Cursor("another", 1)))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(hub.feed, "read", read_and_resume)
        assert await feeder.next_batch() == b""
    assert feeder.position == 10


async def test_frames_are_what_the_feed_shows() -> None:
    """Every feed shows the same JSON."""
    entry = Entry(Event(1, "evt_1", "user.created", "{}", 0), "e" * 8)
    assert plain_frame(entry) == text_frame(entry.frame)
    assert TOKEN.encode() not in entry.frame


async def test_statistics(clients: Sequence[Any], emit: Callable[..., Any], sink: Any) -> None:
    """What fan-out costs, and whom it could not serve at once."""
    await wait_until_async(lambda: up_to_date(sink, 7))
    with trio.fail_after(10):
        await emit()
        for client in clients:
            await client.receive()
    numbers = sink.statistics()
    assert numbers["fanout_rounds_total"] == 1
    assert 0 < numbers["fanout_seconds_total"] < 5
    assert numbers["fanout_lagged_total"] == 0
