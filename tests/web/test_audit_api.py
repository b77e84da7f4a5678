"""``/audit``: what was promised is there, or the rows are named."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hookhub.contracts.deliveries import NewEndpoint
from hookhub.contracts.events import format_timestamp
from hookhub.hub import Hub
from hookhub.testing.waiting import wait_until_async


@pytest.fixture
def hub_database(any_database: str) -> str:
    """Everything here holds on SQLite and on PostgreSQL."""
    return any_database


async def audit(api: httpx.AsyncClient, **query: str) -> dict[str, Any]:
    response = await api.get("/audit", params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def settled(hub: Hub) -> None:
    async def look() -> bool:
        return (await hub.endpoints.stats("box")).pending == 0

    await wait_until_async(look)


async def test_everything_that_happens_adds_up(api: httpx.AsyncClient, hub: Hub) -> None:
    """Delivered, failed, retried, replayed, cancelled, an endpoint deleted."""
    good = await hub.endpoints.create("box", NewEndpoint("good", ("*",), {}))
    bad = await hub.endpoints.create("box", NewEndpoint("bad", ("ticket.*",), {"refuse": True}))
    gone = await hub.endpoints.create("box", NewEndpoint("gone", ("*",), {}))
    for number in range(4):
        await hub.emit("user.created", {"user_id": number})
    await hub.emit("ticket.created", {"ticket_id": 1})
    await settled(hub)
    await hub.deliveries.retry_failed("box", bad.id)
    await hub.replays.start("box", good.id)
    await settled(hub)
    await hub.endpoints.update("box", gone.id, {"is_active": False})
    await hub.replays.start("box", gone.id)

    async def replayed() -> bool:
        page = await hub.replays.list(state="done")
        return page.total == 2

    await wait_until_async(replayed)
    await hub.deliveries.cancel_pending("box", gone.id)
    await hub.emit("ticket.created", {"ticket_id": 1})
    await settled(hub)
    found = await audit(api)
    assert (found["ok"], found["differences"]) == (True, []), found
    # Three of them are the hub's own: delivery.failed.
    assert (found["first"], found["last"], found["events"]) == (1, 9, 9)
    assert (found["matched"], found["replayed"], found["removed"]) == (13, 10, 0)
    assert (found["delivered"], found["failed"], found["pending"]) == (16, 2, 0)
    assert found["skipped"] == {"cancelled": 5}
    await hub.endpoints.delete("box", gone.id)
    assert (await audit(api))["ok"]


async def test_a_lost_row_is_named(api: httpx.AsyncClient, hub: Hub) -> None:
    """With the check that found it, and a sentence."""
    await hub.endpoints.create("box", NewEndpoint("one", ("*",), {}))
    await hub.emit("user.created", {"user_id": 1})
    await settled(hub)
    await hub.write(lambda tx: tx.change("DELETE FROM hookhub_attempts"))
    found = await audit(api)
    assert not found["ok"]
    [difference] = found["differences"]
    assert (difference["check"], difference["count"], difference["rows"]) == ("attempts", 1, [1])
    assert difference["message"].startswith("deliveries (ids) whose attempts")


async def test_a_period(api: httpx.AsyncClient, hub: Hub) -> None:
    """From a time on, before a time."""
    await hub.emit("user.created", {"user_id": 1})
    between = format_timestamp(hub.now())
    await hub.emit("user.created", {"user_id": 2})
    assert (await audit(api, since=between))["first"] == 2
    assert (await audit(api, until=between))["last"] == 1
    for wrong in ("yesterday", "5"):
        response = await api.get("/audit", params={"since": wrong})
        assert response.status_code == 422
        assert response.json()["errors"][0]["loc"] == ["query", "since"]


async def test_scopes(api: httpx.AsyncClient, hub: Hub) -> None:
    """It needs webhooks:read."""
    for scope, status in (("webhooks:read", 200), ("events:read", 403)):
        _, secret = await hub.tokens.create(scope, [scope])
        headers = {"Authorization": f"Bearer {secret}"}
        assert (await api.get("/audit", headers=headers)).status_code == status
