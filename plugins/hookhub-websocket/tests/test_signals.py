"""The life of deliveries on the live feed: asked for by name, never kept, never before events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
import trio

from hookhub import Attempt, AttemptResult, Cursor, DurableSink, Outcome, hookimpl
from hookhub.contracts.deliveries import EndpointOptions, NewEndpoint
from hookhub.hub import Hub
from hookhub.testing.waiting import wait_until_async
from hookhub_websocket.sink import WebSocketSink


class Box(DurableSink):
    """Does as its endpoint's configuration says: ``outcomes``, one for each attempt."""

    name = "box"

    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)

    def redact(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)

    async def attempt(self, attempt: Attempt) -> AttemptResult:
        outcome = Outcome(attempt.config["outcomes"][attempt.number - 1])
        if outcome is Outcome.DELIVERED:
            return AttemptResult(outcome, 200, "ok")
        return AttemptResult(outcome, 500, "no", "status", "It answered 500.")


class Boxes:
    """The plugin of that sink."""

    @hookimpl
    def hookhub_sinks(self, hub: Hub) -> Iterable[DurableSink]:
        return [Box()]


@pytest.fixture
def more_plugins() -> list[tuple[str, object]]:
    """A durable sink."""
    return [("boxes", Boxes())]


async def endpoint(hub: Hub, *outcomes: str, events: tuple[str, ...] = ("user.*",)) -> int:
    """An endpoint whose attempts end like this, at once one after the other."""
    options = EndpointOptions(retry_schedule=(0.0,) * len(outcomes))
    name = f"box {len(outcomes)} {outcomes} {events}"
    made = await hub.endpoints.create(
        "box", NewEndpoint(name, events, {"outcomes": list(outcomes)}, options=options)
    )
    return made.id


async def until(client: Any, last: str) -> list[dict[str, Any]]:
    """What comes until a message of this type has come."""
    received = [await client.receive()]
    while received[-1]["type"] != last:
        received.append(await client.receive())
    return received


async def test_a_delivery_is_watched_from_attempt_to_success(
    connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """Each attempt is told, then what came of it; nothing of it has a place in the history."""
    endpoint_id = await endpoint(hub, "retry", "delivered")
    async with connect(events="user.*,delivery.*") as client:
        await emit()
        received = await until(client, "delivery.delivered")
    event, *signals = received
    assert [item["type"] for item in received] == [
        "user.created",
        "delivery.attempted",
        "delivery.retry_scheduled",
        "delivery.attempted",
        "delivery.delivered",
    ]
    for signal in signals:
        assert set(signal) == {"type", "payload", "timestamp", "ephemeral"}
        assert signal["ephemeral"] is True
        assert signal["payload"]["event_id"] == event["id"]
        assert signal["payload"]["event_type"] == "user.created"
        assert signal["payload"]["endpoint_id"] == endpoint_id
        assert signal["payload"]["sink"] == "box"
    first, scheduled, second, done = (signal["payload"] for signal in signals)
    assert (first["attempt_number"], first["status"], first["response_status"]) == (
        1,
        "pending",
        500,
    )
    assert (first["error"], first["error_message"]) == ("status", "It answered 500.")
    assert scheduled["next_retry_at"] is not None
    assert (second["attempt_number"], second["status"], second["error"]) == (2, "success", None)
    assert done["next_retry_at"] is None
    assert done["duration_ms"] >= 0
    assert (
        await hub.feed.read(Cursor(hub.feed.epoch, 0), hub.feed.select({"delivery.*": None}))
    ).entries == []


async def test_a_failure_comes_once_as_the_event_that_it_is(
    connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """``delivery.failed`` is committed: it has an id and a cursor, and no signal repeats it."""
    await endpoint(hub, "give_up")
    async with connect(events="delivery.*") as client:
        await emit()
        received = [await client.receive() for _ in range(2)]
        assert await client.ask(type="ping") == {"type": "pong"}
    assert sorted(item["type"] for item in received) == ["delivery.attempted", "delivery.failed"]
    [failed] = [item for item in received if item["type"] == "delivery.failed"]
    assert failed["cursor"]
    assert failed["payload"]["event_type"] == "user.created"


async def test_deliveries_of_own_events_fail_without_an_event(
    connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """News of news would never end; who watches is told all the same, by a signal."""
    await endpoint(hub, "give_up")
    news = await endpoint(hub, "give_up", events=("delivery.failed",))
    async with connect(events="delivery.*") as client:
        await emit()
        received = []
        while not any(item.get("ephemeral") and "failed" in item["type"] for item in received):
            received.append(await client.receive())
        assert await client.ask(type="ping") == {"type": "pong"}
    assert received[-1]["payload"]["endpoint_id"] == news
    assert received[-1]["payload"]["event_type"] == "delivery.failed"


async def test_nobody_gets_them_unasked(
    connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """``*`` and other patterns never include them, and nothing is made for nobody."""
    await endpoint(hub, "delivered")
    async with connect() as client, connect(events="user.*") as other:
        await emit()
        for one in (client, other):
            assert (await one.receive())["type"] == "user.created"
        await _delivered(hub, 1)
        for one in (client, other):
            assert await one.ask(type="ping") == {"type": "pong"}
    assert hub.signals.statistics()["signals_total"] == 0
    assert not hub.signals.wanted


async def _delivered(hub: Hub, count: int) -> None:
    async def enough() -> bool:
        return (await hub.endpoints.stats("box")).delivered >= count

    await wait_until_async(enough)


async def test_asking_and_asking_no_more(
    connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """By message, with a condition on their payload; gone with the subscription or the client."""
    await endpoint(hub, "delivered")
    slow = await endpoint(hub, "delivered", "delivered")
    async with connect(events="ticket.*") as client:
        await client.ask(
            type="subscribe", events=["delivery.attempted"], where={"endpoint_id": slow}
        )
        await emit()
        signal = await client.receive()
        assert signal["type"] == "delivery.attempted"
        assert signal["payload"]["endpoint_id"] == slow
        await client.ask(type="unsubscribe", events=["delivery.attempted"])
        assert not hub.signals.wanted
        await client.ask(type="subscribe", events=["delivery.*"])
        assert hub.signals.wanted
    with trio.fail_after(5):
        while hub.signals.wanted:
            await trio.sleep(0.01)


async def test_the_scope_is_needed(
    anonymous: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """Without webhooks:read they are refused; the event ``delivery.failed`` is an event."""
    _, secret = await hub.tokens.create("reader", ["events:read"])
    await endpoint(hub, "give_up")
    async with anonymous(token=secret, events="delivery.*") as client:
        assert (await client.receive())["events"] == []
        refused = await client.receive()
        assert (refused["type"], refused["code"]) == ("error", "missing_scope")
        assert "webhooks:read" in refused["message"]
        answer = await client.ask(type="subscribe", events=["delivery.attempted"], id=3)
        assert (answer["code"], answer["id"]) == ("missing_scope", 3)
        answer = await client.ask(type="subscribe", events=["delivery.failed"])
        assert answer["events"] == ["delivery.failed"]
        await emit()
        assert "cursor" in await client.receive()
        assert not hub.signals.wanted


async def test_who_is_behind_loses_signals_and_no_event(
    raw: Callable[..., Any], hub: Hub, sink: WebSocketSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What finds no room is left out, counted and told; events come all, and before signals."""
    monkeypatch.setattr("hookhub.feed.signals.BOX", 5)
    stalled = await raw()
    await stalled.open()
    await stalled.message()
    await stalled.stream.send_all(
        stalled.text({"type": "subscribe", "events": ["*", "delivery.*"]})
    )
    await stalled.message()
    for number in range(60):
        await hub.emit("user.created", {"user_id": number, "text": "x" * 100_000})
    (session,) = sink._connections._sessions
    assert session.feeder.lag > 5
    for number in range(20):
        hub.signals.send("delivery.attempted", {"number": number}, hub.now())
    received = []
    while not received or received[-1]["type"] != "dropped":
        received.append(await stalled.message())
    assert [item.get("sequence") for item in received[:60]] == list(range(1, 61))
    assert [item["payload"]["number"] for item in received[60:65]] == list(range(5))
    assert received[65:] == [{"type": "dropped", "count": 15}]
    assert hub.signals.statistics()["signals_dropped_total"] == 15
