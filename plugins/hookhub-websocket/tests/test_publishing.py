"""``/events/publish``: one event a message, acknowledged in turn after its commit."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import trio
import trio.testing

from hookhub.hub import Hub
from hookhub.store import Transaction
from hookhub.testing.serving import TOKEN
from hookhub_websocket.publishing import IN_FLIGHT
from hookhub_websocket.sink import WebSocketSink

TARGET = f"/events/publish?token={TOKEN}"
Raw = Callable[[], Any]


def event(number: int, **more: Any) -> dict[str, Any]:
    return {"type": "user.created", "payload": {"user_id": number}, **more}


async def hold_writer(
    hub: Hub,
    release: threading.Event,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Let nothing be committed until released."""
    running = threading.Event()

    def hold(tx: Transaction) -> None:
        running.set()
        release.wait(10)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.write, hold)
        await trio.to_thread.run_sync(running.wait)
        task_status.started()


async def publisher(raw: Raw, target: str = TARGET) -> Any:
    client = await raw()
    await client.open(target)
    assert await client.message() == {"type": "ready", "in_flight": IN_FLIGHT}
    return client


async def send(client: Any, *messages: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Send all of them at once, and read as many answers."""
    await client.stream.send_all(b"".join(map(client.text, messages)))
    return [await client.message() for _ in messages]


async def stored(hub: Hub) -> list[int]:
    rows = await hub.read(lambda r: r.sql("SELECT payload FROM hookhub_events ORDER BY sequence"))
    return [json.loads(row[0])["user_id"] for row in rows]


async def test_events_are_acknowledged_in_turn(raw: Raw, hub: Hub) -> None:
    """As many as wait share a commit; their order is that of their messages."""
    client = await publisher(raw)
    commits = hub.store.statistics()["commits_total"]
    answers = await send(client, *map(event, range(300)))
    assert [answer["sequence"] for answer in answers] == list(range(1, 301))
    assert {answer["type"] for answer in answers} == {"accepted"}
    assert await stored(hub) == list(range(300))
    assert hub.store.statistics()["commits_total"] - commits < 100


async def test_a_repeat_by_its_id_stores_nothing_new(raw: Raw, hub: Hub) -> None:
    """Whether it comes over the same connection or another: what was not acknowledged is sent
    again."""
    first = await send(await publisher(raw), event(1, id="one"))
    again = await send(await publisher(raw), event(1, id="one"), event(2, id="two"))
    assert first == [
        {"type": "accepted", "id": "one", "sequence": 1, "deliveries": 0, "repeated": False}
    ]
    assert [item["repeated"] for item in again] == [True, False]
    assert await stored(hub) == [1, 2]


async def test_what_is_wrong_is_answered_in_turn_and_takes_nobody_along(raw: Raw, hub: Hub) -> None:
    """A message that cannot be read, an event that is none, an id that was used for another."""
    client = await publisher(raw)
    await send(client, event(0, id="used"))
    answers = await send(
        client,
        event(1),
        {"type": "no.such.type", "payload": {}, "id": "mine"},
        {"type": "user.created", "payload": {"user_id": "x"}},
        {"typ": "user.created"},
        event(2, id="used"),
        event(3),
    )
    assert [answer.get("code", "accepted") for answer in answers] == [
        "accepted",
        "unknown_event_type",
        "validation_failed",
        "validation_failed",
        "idempotency_mismatch",
        "accepted",
    ]
    assert answers[1]["id"] == "mine"
    assert answers[3]["errors"]
    assert await stored(hub) == [0, 1, 3]


async def test_no_more_is_read_than_may_be_in_flight(raw: Raw, hub: Hub) -> None:
    """A publisher that is faster than the disk is slowed down by TCP, and costs no memory."""
    client = await publisher(raw)
    release = threading.Event()
    more = 4 * IN_FLIGHT
    async with trio.open_nursery() as nursery:
        await nursery.start(hold_writer, hub, release)
        nursery.start_soon(
            client.stream.send_all, b"".join(client.text(event(n)) for n in range(more))
        )
        [session] = hub.components.live_sinks["websocket"]._connections._sessions  # type: ignore[attr-defined]
        with trio.fail_after(10):
            while session.messages_received < IN_FLIGHT:
                await trio.sleep(0.01)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert session.messages_received == IN_FLIGHT
        release.set()
        answers = [await client.message() for _ in range(more)]
    assert [answer["sequence"] for answer in answers] == list(range(1, more + 1))


@pytest.mark.parametrize("scopes", [["events:read"], ["events:write"]])
async def test_the_scope_is_that_of_posting(raw: Raw, hub: Hub, scopes: list[str]) -> None:
    """Whoever may only read is turned away."""
    _, secret = await hub.tokens.create("limited", scopes)
    client = await raw()
    await client.open(f"/events/publish?token={secret}")
    if scopes == ["events:write"]:
        assert (await client.message())["type"] == "ready"
    else:
        assert await client.closing() == (
            1008,
            "Unauthorized: this token lacks the scope events:write.",
        )


async def test_a_revoked_token_ends_it(raw: Raw, hub: Hub) -> None:
    """Within the second in which readers are closed too."""
    token, secret = await hub.tokens.create("short", ["events:write"])
    client = await publisher(raw, f"/events/publish?token={secret}")
    await hub.tokens.revoke(token.id)
    assert (await client.closing())[0] == 4502


@pytest.mark.parametrize("hub_tables", [{"plugins": {"websocket": {"close_timeout": 1}}}])
async def test_a_stop_acknowledges_what_has_come(raw: Raw, hub: Hub, sink: WebSocketSink) -> None:
    """All that was read is committed and acknowledged before the close; what comes later is not
    taken, and the client sends it again elsewhere."""
    client = await publisher(raw)
    release = threading.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(hold_writer, hub, release)
        await client.stream.send_all(b"".join(client.text(event(n)) for n in range(50)))
        [session] = sink._connections._sessions
        with trio.fail_after(10):
            while session.messages_received < 50:
                await trio.sleep(0.01)
        nursery.start_soon(sink.stop)
        await trio.testing.wait_all_tasks_blocked(0.05)
        release.set()
        answers = [await client.message() for _ in range(50)]
        code, reason = await client.closing()
    assert [answer["sequence"] for answer in answers] == list(range(1, 51))
    assert (code, reason[:10]) == (1012, "Restarting")


@pytest.mark.parametrize("hub_tables", [{"plugins": {"websocket": {"max_publishers": 1}}}])
async def test_there_are_only_so_many(raw: Raw) -> None:
    """The next one is told which setting it is."""
    await publisher(raw)
    late = await raw()
    await late.open(TARGET)
    code, reason = await late.closing()
    assert code == 1013
    assert "max_publishers" in reason
