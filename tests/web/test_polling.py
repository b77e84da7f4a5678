"""``GET /events?wait=``: a page that waits for its first item."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio

from hookhub.config import Settings
from hookhub.contracts.events import Cursor
from hookhub.feed import Feed, Resume
from hookhub.hub import Hub
from hookhub.testing.serving import settings_for_tests

USER = {"user_id": 1}


@pytest.fixture
def hub_settings(hub_database: str) -> Settings:
    """A hub that takes two live connections with one token."""
    tables = settings_for_tests(hub_database)
    tables["live"] = {"max_connections_per_token": 2, "ring_events": 1}
    return Settings.model_validate(tables)


async def waiting(hub: Hub, count: int = 1) -> None:
    """Until so many requests wait."""
    with trio.fail_after(5):
        while hub.presence.statistics()["connections_poll"] != count:
            await trio.sleep(0.005)


class Asked:
    """A request under way."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.answer: httpx.Response | None = None

    async def result(self, seconds: float = 5.0) -> httpx.Response:
        with trio.fail_after(seconds):
            await self.done.wait()
        assert self.answer is not None
        return self.answer


@pytest.fixture
def ask(api: httpx.AsyncClient, nursery: trio.Nursery) -> Callable[..., Asked]:
    """Begin a request: ``asked = ask(after=…, wait=5)``."""

    def begin(headers: dict[str, str] | None = None, **params: Any) -> Asked:
        asked = Asked()

        async def run() -> None:
            asked.answer = await api.get("/events", params=params, headers=headers)
            asked.done.set()

        nursery.start_soon(run)
        return asked

    return begin


async def test_what_is_there_is_answered_at_once(api: httpx.AsyncClient, hub: Hub) -> None:
    """Nobody waits if there is an item."""
    await hub.emit("user.created", USER)
    with trio.fail_after(5):
        answer = await api.get("/events", params={"wait": 60})
    assert [item["sequence"] for item in answer.json()["items"]] == [1]


async def test_the_next_event_is_the_answer(ask: Callable[..., Asked], hub: Hub) -> None:
    """The page has it, and its cursor follows it; what is not wanted does not end the wait."""
    await hub.emit("user.created", USER)
    asked = ask(
        after=str(hub.feed.cursor()), wait=60, events="user.*", where='{"user_id": {"$gt": 5}}'
    )
    await waiting(hub)
    await hub.emit("ticket.created", {"ticket_id": 1})
    await hub.emit("user.created", USER)
    assert not asked.done.is_set()
    await hub.emit("user.created", {"user_id": 6})
    page = (await asked.result()).json()
    assert [item["sequence"] for item in page["items"]] == [4]
    assert page["cursor"] == str(Cursor(hub.feed.epoch, 4))
    assert page["has_more"] is False
    await waiting(hub, 0)


async def test_time_runs_out(ask: Callable[..., Asked], hub: Hub) -> None:
    """Then the page is empty, and the cursor goes on over what was not wanted."""
    asked = ask(wait=0.3, events="user.*")
    await waiting(hub)
    await hub.emit("ticket.created", {"ticket_id": 1})
    page = (await asked.result()).json()
    assert (page["items"], page["cursor"]) == ([], str(Cursor(hub.feed.epoch, 1)))


async def test_newest_waits_from_now(ask: Callable[..., Asked], hub: Hub) -> None:
    """With ``newest``, too, an empty page waits."""
    asked = ask(wait=60, newest=True)
    await waiting(hub)
    await hub.emit("user.created", USER)
    assert len((await asked.result()).json()["items"]) == 1


async def test_a_gap_is_told_at_once(api: httpx.AsyncClient) -> None:
    """Whoever missed something shall know."""
    with trio.fail_after(5):
        answer = await api.get("/events", params={"after": "othr-5", "wait": 60})
    assert answer.json()["gap"] == {"missed": None}


async def test_what_goes_while_it_is_read_is_a_gap(
    api: httpx.AsyncClient, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention may come between the look at the cursor and the page."""
    for _ in range(10):
        await hub.emit("user.created", USER)
    resume = Feed.resume

    async def look_in_time(feed: Feed, cursor: Cursor) -> Resume:
        found = await resume(feed, cursor)
        await hub.write(
            lambda tx: tx.change("DELETE FROM hookhub_events WHERE sequence BETWEEN 3 AND 6")
        )
        return found

    monkeypatch.setattr(Feed, "resume", look_in_time)
    after = str(Cursor(hub.feed.epoch, 2))
    page = (await api.get("/events", params={"after": after})).json()
    assert [item["sequence"] for item in page["items"]] == [7, 8, 9, 10]
    assert page["gap"] == {"missed": 4}
    nothing = (await api.get("/events", params={"after": after, "events": "ticket.*"})).json()
    assert (nothing["items"], nothing["gap"]) == ([], {"missed": 4})


async def test_a_stop_ends_the_wait(ask: Callable[..., Asked], hub: Hub) -> None:
    """With an empty page, so that the client asks again with its cursor."""
    asked = ask(wait=60)
    await waiting(hub)
    hub.stopping.set()
    answer = await asked.result(2)
    assert (answer.status_code, answer.json()["items"]) == (200, [])


@pytest.mark.parametrize("way", ["revoked", "expired"])
async def test_a_token_that_is_no_longer_good_ends_the_wait(
    ask: Callable[..., Asked], hub: Hub, way: str
) -> None:
    """With 401, within a second."""
    expires = hub.now() + 600_000 if way == "expired" else None
    token, secret = await hub.tokens.create("short", ["events:read"], expires_at=expires)
    asked = ask({"Authorization": f"Bearer {secret}"}, wait=60)
    await waiting(hub)
    if way == "revoked":
        await hub.tokens.revoke(token.id)
    answer = await asked.result(1.7)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert way in answer.json()["detail"]


async def test_who_hangs_up_is_not_waited_for(api: httpx.AsyncClient, hub: Hub) -> None:
    """It does not count as a connection any more, long before its time is over."""
    with trio.move_on_after(0.5):
        await api.get("/events", params={"wait": 60})
    await waiting(hub, 0)


async def test_they_count_as_live_connections(
    api: httpx.AsyncClient, ask: Callable[..., Asked], hub: Hub
) -> None:
    """In the limits, and in the list; closing one answers it."""
    asked = [ask(wait=60, events="user.*") for _ in range(2)]
    await waiting(hub, 2)
    refused = await api.get("/events", params={"wait": 60})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    items = (await api.get("/live/connections")).json()["items"]
    assert [(item["kind"], item["events"]) for item in items] == [("poll", ["user.*"])] * 2
    for item in items:
        assert (await api.delete(f"/live/connections/{item['id']}")).status_code == 204
    for one in asked:
        assert (await one.result()).json()["items"] == []


@pytest.mark.parametrize("wait", ["61", "-1", "x", "1e999"])
async def test_wrong_waits(api: httpx.AsyncClient, wait: str) -> None:
    """0 to 60 seconds."""
    answer = await api.get("/events", params={"wait": wait})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["query", "wait"]
