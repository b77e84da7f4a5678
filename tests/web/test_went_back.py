"""A database that went back, as the readers over plain HTTP see it: a gap, then what there is."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import httpx
import trio

from hookhub.contracts.events import Cursor
from hookhub.contracts.routes import Principal, Request
from hookhub.feed import Resume
from hookhub.hub import Hub
from hookhub.web.resources.followers import Subscriber
from support.going_back import go_back

USER = {"user_id": 1}


async def emit(hub: Hub, count: int) -> list[int]:
    return [(await hub.emit("user.created", USER)).sequence for _ in range(count)]


async def restore(hub: Hub, to: int) -> None:
    await hub.store.write(partial(go_back, to=to), locks=False)


async def page(api: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get("/events", params=query)).json()
    return found


async def test_pages_and_those_who_wait(
    api: httpx.AsyncClient, hub: Hub, nursery: trio.Nursery
) -> None:
    """A cursor of before is void for good; a waiting request is answered with the gap."""
    await emit(hub, 5)
    old = hub.feed.cursor()
    answers: list[dict[str, Any]] = []

    async def wait() -> None:
        answers.append(await page(api, after=str(old), wait=60))

    nursery.start_soon(wait)
    with trio.fail_after(5):
        while not hub.presence.statistics()["connections_poll"]:
            await trio.sleep(0.005)
    await restore(hub, 2)
    hub.broadcaster.look()
    with trio.fail_after(5):
        while not answers:
            await trio.sleep(0.005)
    new = Cursor(hub.feed.epoch, 2)
    assert answers == [
        {"items": [], "cursor": str(new), "has_more": False, "gap": {"missed": None}}
    ]
    # The sequences of before, and more than those.
    assert await emit(hub, 4) == [3, 4, 5, 6]
    for sequence in (1, 4, 5):
        found = await page(api, after=str(Cursor(old.epoch, sequence)))
        assert (found["items"], found["gap"]) == ([], {"missed": None})
        assert found["cursor"] == str(hub.feed.cursor())
    found = await page(api, after=str(new))
    assert [item["sequence"] for item in found["items"]] == [3, 4, 5, 6]
    assert "gap" not in found
    first = await page(api)
    assert [item["sequence"] for item in first["items"]] == [1, 2, 3, 4, 5, 6]
    assert {Cursor.parse(item["cursor"]).epoch for item in first["items"]} == {new.epoch}


async def test_streams_go_on_after_a_gap(hub: Hub) -> None:
    """Told once, with the place from where it goes on; a replay under way ends with it."""
    await emit(hub, 5)
    old = hub.feed.epoch
    waiting, behind = (subscriber(hub, Resume(Cursor(old, sequence))) for sequence in (5, 1))
    assert b"event: resumed" in await waiting._next()
    await restore(hub, 2)
    await emit(hub, 1)
    with trio.fail_after(5):
        while hub.feed.epoch == old or hub.feed.last != 3:
            await hub.feed.wait(hub.feed.cursor())
    place = f"{hub.feed.epoch}-2"
    for reader in (waiting, behind):
        told = await reader._next()
        data = json.dumps({"type": "gap", "missed": None, "cursor": place})
        assert told.decode() == f"id: {place}\nevent: gap\ndata: {data}\n\n"
        rest = await reader._next()
        assert rest.count(b"event: ") == rest.count(b"event: user.created") == 1
        assert reader.position == 3


def subscriber(hub: Hub, resume: Resume) -> Subscriber:
    principal = Principal(1, "reader", frozenset({"events:read"}))
    request = Request("GET", "/events/stream", {}, {}, None, None, principal, client="")
    return Subscriber(hub, request, {"*": None}, resume, keep_alive=15.0)
