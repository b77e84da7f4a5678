"""Payload conditions on subscriptions: the language of webhook filters, for each pattern."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from hookhub import Cursor
from hookhub.hub import Hub


async def sequences(client: Any, count: int) -> list[int]:
    return [(await client.receive())["sequence"] for _ in range(count)]


async def test_a_condition_in_the_address(
    connect: Callable[..., Any], emit: Callable[..., Any]
) -> None:
    """?where= holds for all of ?events=; the greeting shows it in its normal form."""
    where = json.dumps({"user_id": {"$gte": 3}})
    async with connect(events="user.*", where=where) as client:
        assert client.greeting["events"] == ["user.*"]
        assert client.greeting["where"] == {"user.*": {"user_id": {"$gte": 3}}}
        await emit(4)
        await emit(4, type="ticket.created")
        await emit(1)
        assert await sequences(client, 3) == [3, 4, 9]


async def test_a_condition_alone_is_about_everything(
    connect: Callable[..., Any], emit: Callable[..., Any]
) -> None:
    """?where= without ?events= is a subscription to *."""
    async with connect(where='{"user_id": 2}') as client:
        assert client.greeting["where"] == {"*": {"user_id": 2}}
        await emit(3)
        await emit(1, type="ticket.created")
        assert (await client.receive())["sequence"] == 2
        assert await client.ask(type="ping") == {"type": "pong"}


async def test_each_subscription_has_its_own(
    connect: Callable[..., Any], emit: Callable[..., Any]
) -> None:
    """An event is sent, once, if one of the patterns wants it; the last condition of one counts."""
    async with connect() as client:
        answer = await client.ask(
            type="subscribe", events=["user.*"], where={"user_id": {"$eq": 2}}, id=1
        )
        assert answer == {
            "type": "subscribed",
            "events": ["user.*"],
            "where": {"user.*": {"user_id": 2}},
            "id": 1,
        }
        answer = await client.ask(type="subscribe", events=["ticket.created"])
        assert answer["events"] == ["user.*", "ticket.created"]
        assert set(answer["where"]) == {"user.*"}
        await emit(3)
        await emit(1, type="ticket.created")
        assert await sequences(client, 2) == [2, 4]
        await client.ask(type="subscribe", events=["user.created"], where={"user_id": {"$lt": 7}})
        await client.ask(type="subscribe", events=["user.*"], where={"user_id": {"$gt": 5}})
        await emit(3)
        assert await sequences(client, 3) == [5, 6, 7]
        answer = await client.ask(type="subscribe", events=["user.*"])
        assert set(answer["where"]) == {"user.created"}
        await emit(1)
        assert await sequences(client, 1) == [8]


async def test_conditions_hold_for_what_is_resumed(
    connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """Replay and live are one feed: the verdict counts what was let through."""
    await emit(1_000)
    beginning = str(Cursor(hub.feed.epoch, 0))
    where = '{"user_id": {"$in": [1, 400, 999, 1001]}}'
    async with connect(since=beginning, where=where) as client:
        assert await sequences(client, 3) == [1, 400, 999]
        verdict = await client.receive()
        assert (verdict["type"], verdict["replayed"]) == ("resumed", 3)
        await emit(2)
        assert await sequences(client, 1) == [1_001]


@pytest.mark.parametrize(
    ("where", "loc", "message"),
    [
        ({"user_id": {"gte": 1}}, ["where", "user_id"], "'$gte'"),
        ([1], ["where"], "a filter is an object"),
        ("x", ["where"], "a filter is an object"),
        ({"a": {"$gt": True}}, ["where", "a", "$gt"], "takes a number or a string"),
    ],
)
async def test_a_wrong_condition_is_told_with_its_place(
    connect: Callable[..., Any], where: Any, loc: list[str], message: str
) -> None:
    """As the REST API tells it; what was subscribed stays as it was."""
    async with connect(events="user.*") as client:
        answer = await client.ask(type="subscribe", events=["ticket.*"], where=where, id="w")
        assert (answer["type"], answer["code"], answer["id"]) == ("error", "validation_failed", "w")
        assert answer["errors"][0]["loc"] == loc
        assert message in answer["message"]
        assert message in answer["errors"][0]["msg"]
        assert (await client.ask(type="unsubscribe", events=["x"]))["events"] == ["user.*"]


@pytest.mark.parametrize(
    ("where", "code", "message"),
    [
        ('{"user_id": {"gte": 1}}', "validation_failed", "?where=: where.user_id: did you mean"),
        ("{", "malformed_request", "?where= is not JSON: "),
    ],
)
async def test_a_wrong_condition_in_the_address(
    connect: Callable[..., Any], emit: Callable[..., Any], where: str, code: str, message: str
) -> None:
    """The greeting comes first, then the mistake; nothing is subscribed, rather than everything."""
    async with connect(where=where) as client:
        assert client.greeting["events"] == []
        answer = await client.receive()
        assert (answer["type"], answer["code"]) == ("error", code)
        assert answer["message"].startswith(message)
        await emit()
        assert await client.ask(type="ping") == {"type": "pong"}


@pytest.mark.parametrize("hub_tables", [{"plugins": {"websocket": {"max_conditions": 2}}}])
async def test_conditions_are_limited(connect: Callable[..., Any]) -> None:
    """Different ones count; many patterns may share one."""
    async with connect() as client:
        for events in (["a", "b"], ["c"]):
            await client.ask(type="subscribe", events=events, where={"x": 1})
        await client.ask(type="subscribe", events=["d"], where={"x": 2})
        answer = await client.ask(type="subscribe", events=["e"], where={"x": 3})
        assert answer["code"] == "validation_failed"
        assert "2 different 'where' at most" in answer["message"]
        answer = await client.ask(type="subscribe", events=["d"], where={"x": 3})
        assert answer["where"]["d"] == {"x": 3}


async def test_nobody_can_stop_the_fan_out_with_a_payload(
    connect: Callable[..., Any], emit: Callable[..., Any]
) -> None:
    """What has another type or is not there does not match, and that is all."""
    async with connect(where='{"user_id": 9, "deep[3].x": {"$gt": "a"}}') as client:
        await emit(1, deep=[1, None, "x"])
        await emit(1, deep={"3": {"x": "b"}})
        assert await client.ask(type="ping") == {"type": "pong"}
