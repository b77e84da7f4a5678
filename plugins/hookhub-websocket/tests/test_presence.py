"""Who is connected, and an end by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import trio

from hookhub.contracts.events import parse_timestamp
from hookhub.hub import Hub
from hookhub.testing.serving import TOKEN


async def test_a_connection_is_shown(
    anonymous: Callable[..., Any], api: httpx.AsyncClient, emit: Callable[..., Any], hub: Hub
) -> None:
    """Whose it is, since when, what it wants, and how it is doing."""
    before = hub.now()
    where = '{"user_id": {"$gt": 0}}'
    agent = {"User-Agent": "panel/1.0"}
    async with anonymous(agent, token=TOKEN, events="user.*,ticket.*", where=where) as client:
        await client.receive()
        await client.ask(type="ping")
        await emit(3)
        for _ in range(3):
            await client.receive()
        page = (await api.get("/live/connections")).json()
        [item] = page["items"]
    assert (page["total"], page["limit"], page["offset"]) == (1, 50, 0)
    assert item["kind"] == "ws"
    assert item["id"].startswith("live_")
    assert item["token_name"].startswith("bootstrap")
    assert item["address"] == "127.0.0.1"
    assert item["user_agent"] == "panel/1.0"
    assert item["events"] == ["user.*", "ticket.*"]
    assert item["where"]["ticket.*"] == {"user_id": {"$gt": 0}}
    assert (item["lag"], item["cursor"]) == (0, str(hub.feed.cursor()))
    assert (item["events_sent"], item["messages_received"]) == (3, 1)
    assert item["bytes_sent"] > 300
    assert TOKEN not in str(page)
    assert before <= parse_timestamp(item["since"]) <= hub.now()
    with trio.fail_after(5):
        while (await api.get("/live/connections")).json()["total"]:
            await trio.sleep(0.01)


async def test_one_is_closed(connect: Callable[..., Any], api: httpx.AsyncClient, hub: Hub) -> None:
    """With 4410; the others stay, and a second DELETE finds nothing."""
    async with connect() as first, connect() as second:
        items = (await api.get("/live/connections", params={"kind": "ws"})).json()["items"]
        assert len(items) == 2
        gone = items[0]["id"]
        assert (await api.delete(f"/live/connections/{gone}")).status_code == 204
        assert await first.closing() == (4410, "An administrator closed this connection")
        assert await second.ask(type="ping") == {"type": "pong"}
        with trio.fail_after(5):
            while (await api.delete(f"/live/connections/{gone}")).status_code != 404:
                await trio.sleep(0.01)
    assert hub.presence.statistics()["dismissed_total"] >= 1


async def test_without_admin_one_sees_ones_own(
    anonymous: Callable[..., Any], connect: Callable[..., Any], api: httpx.AsyncClient, hub: Hub
) -> None:
    """And may close only those."""
    token, secret = await hub.tokens.create("reader", ["events:read"])
    mine = {"Authorization": f"Bearer {secret}"}
    async with connect() as other, anonymous(token=secret) as client:
        await client.receive()
        every = (await api.get("/live/connections")).json()
        assert every["total"] == 2
        own = (await api.get("/live/connections", headers=mine)).json()
        assert [item["token_id"] for item in own["items"]] == [token.id]
        chosen = (await api.get("/live/connections", params={"token_id": token.id})).json()
        assert chosen["items"][0]["id"] == own["items"][0]["id"]
        [theirs] = [item["id"] for item in every["items"] if item["token_id"] != token.id]
        answer = await api.delete(f"/live/connections/{theirs}", headers=mine)
        assert answer.status_code == 404
        assert await other.ask(type="ping") == {"type": "pong"}
        own_id = own["items"][0]["id"]
        assert (await api.delete(f"/live/connections/{own_id}", headers=mine)).status_code == 204
        assert (await client.closing())[0] == 4410


async def test_pages(connect: Callable[..., Any], api: httpx.AsyncClient) -> None:
    """Oldest first, with limit and offset."""
    async with connect(events="a"), connect(events="b"), connect(events="c"):
        page = (await api.get("/live/connections?limit=1&offset=1")).json()
        assert (page["total"], [item["events"] for item in page["items"]]) == (3, [["b"]])
        assert (await api.get("/live/connections?kind=sse")).json()["total"] == 0
        assert (await api.get("/live/connections?kind=x")).status_code == 422


async def test_gaps_are_counted(connect: Callable[..., Any], hub: Hub) -> None:
    """For the metrics."""
    async with connect(since="othr-5") as client:
        assert (await client.receive())["type"] == "gap"
    assert hub.presence.statistics()["gaps_total"] == 1
