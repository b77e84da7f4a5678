"""``/replays``: what was committed before is sent once more, and can be watched and steered."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hookhub.contracts.deliveries import NewEndpoint
from hookhub.contracts.events import Cursor, format_timestamp
from hookhub.hub import Hub
from hookhub.testing.waiting import wait_until_async


@pytest.fixture
def hub_database(any_database: str) -> str:
    """Everything here holds on SQLite and on PostgreSQL."""
    return any_database


async def emit(hub: Hub, count: int) -> list[str]:
    return [(await hub.emit("user.created", {"user_id": n})).id for n in range(count)]


async def endpoint(hub: Hub, name: str = "one", **config: Any) -> int:
    return (await hub.endpoints.create("box", NewEndpoint(name, ("*",), config))).id


async def replay(api: httpx.AsyncClient, endpoint_id: int, **members: Any) -> dict[str, Any]:
    response = await api.post("/replays", json={"endpoint_id": endpoint_id, **members})
    assert response.status_code == (200 if members.get("dry_run") else 201), response.text
    found: dict[str, Any] = response.json()
    return found


async def ended(api: httpx.AsyncClient, replay_id: int) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found: dict[str, Any] = (await api.get(f"/replays/{replay_id}")).json()
        return found if found["state"] != "running" else None

    found = await wait_until_async(look)
    assert found is not None
    return found


async def delivered(hub: Hub, endpoint_id: int, count: int) -> list[str]:
    """The event ids of all deliveries to an endpoint, newest first, once they are delivered."""

    async def look() -> list[str] | None:
        page = await hub.deliveries.list("box", endpoint_id, status="success", limit=200)
        return [item.event_id for item in page.items] if page.total == count else None

    found = await wait_until_async(look)
    assert found is not None
    return found


async def test_a_replay_and_its_life(api: httpx.AsyncClient, hub: Hub) -> None:
    """Counted, started, watched, done: each event arrives once more under the id that it had."""
    events = await emit(hub, 3)
    made = await endpoint(hub)
    events += await emit(hub, 2)
    await delivered(hub, made, 2)
    assert await replay(api, made, dry_run=True) == {"dry_run": True, "total": 5}
    assert await replay(api, made, dry_run=True, only="never_sent") == {
        "dry_run": True,
        "total": 3,
    }
    assert (await api.get("/replays")).json()["total"] == 0

    started = await replay(api, made)
    assert (started["state"], started["endpoint_id"], started["events"]) == ("running", made, ["*"])
    assert (started["only"], started["after"], started["last"]) == ("all", 0, 5)
    assert (started["since"], started["until"], started["gap"]) == (None, None, False)
    done = await ended(api, started["id"])
    assert (done["state"], done["total"], done["done"], done["position"]) == ("done", 5, 5, 5)
    assert done["finished_at"].endswith("Z")
    assert done["error"] is None
    found = await delivered(hub, made, 7)
    assert found[:5] == events[::-1]

    listed = (await api.get("/replays", params={"state": "done", "endpoint_id": made})).json()
    assert listed == {"items": [done], "total": 1, "limit": 50, "offset": 0}
    assert (await api.get("/replays", params={"state": "paused"})).json()["items"] == []
    again = await api.post(f"/replays/{started['id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


async def test_what_failed_can_be_replayed_alone(api: httpx.AsyncClient, hub: Hub) -> None:
    """With a receiver that takes it by now."""
    made = await endpoint(hub, refuse=True)
    await emit(hub, 2)

    async def failed() -> bool:
        return (await hub.deliveries.list("box", made, status="failed")).total == 2

    await wait_until_async(failed)
    await hub.endpoints.update("box", made, {"config": {}})
    await emit(hub, 1)
    await delivered(hub, made, 1)
    done = await ended(api, (await replay(api, made, only="failed"))["id"])
    assert (done["total"], done["done"]) == (2, 2)
    await delivered(hub, made, 3)


async def test_ranges(api: httpx.AsyncClient, hub: Hub) -> None:
    """By cursor, by time, by type."""
    made = await endpoint(hub)
    await emit(hub, 2)
    between = hub.now()
    await hub.emit("ticket.created", {"ticket_id": 1})
    cursor, moment = str(Cursor(hub.feed.epoch, 1)), format_timestamp(between)
    for asked, total in (
        ({"since": cursor}, 2),
        ({"until": cursor}, 1),
        ({"since": moment}, 1),
        ({"until": moment}, 2),
        ({"since": cursor, "until": moment}, 1),
        ({"events": ["ticket.*"]}, 1),
        ({"events": ["ticket.*", "user.created"], "since": cursor}, 2),
    ):
        assert (await replay(api, made, dry_run=True, **asked))["total"] == total, asked


async def test_steering(api: httpx.AsyncClient, hub: Hub) -> None:
    """Paused it stands, resumed it goes on, cancelled it ends; each at once."""
    made = await endpoint(hub)
    await emit(hub, 250)
    await delivered(hub, made, 250)
    # Switched off, it takes no more than a few: the replay waits for it.
    await hub.endpoints.update("box", made, {"is_active": False})
    started = await replay(api, made)
    path = f"/replays/{started['id']}"

    async def some() -> bool:
        return bool((await api.get(path)).json()["done"])

    await wait_until_async(some)
    assert (await api.post(f"{path}/pause")).json()["state"] == "paused"
    resumed = (await api.post(f"{path}/resume")).json()
    assert (resumed["state"], resumed["done"]) == ("running", 200)
    await hub.endpoints.update("box", made, {"is_active": True})
    done = await ended(api, started["id"])
    assert (done["state"], done["done"]) == ("done", 250)
    await delivered(hub, made, 500)
    other = await endpoint(hub, "two")
    await hub.endpoints.update("box", other, {"is_active": False})
    path = f"/replays/{(await replay(api, other))['id']}"
    cancelled = (await api.post(f"{path}/cancel")).json()
    assert cancelled["state"] == "cancelled"
    assert cancelled["finished_at"] is not None


async def test_wrong_requests(api: httpx.AsyncClient, hub: Hub) -> None:
    """Each field that is wrong is named."""
    made = await endpoint(hub)
    for members, status, loc in (
        ({"endpoint_id": 99}, 404, None),
        ({"since": "yesterday"}, 422, ["since"]),
        ({"since": "0001-01-01T00:00:00+23:59"}, 422, ["since"]),
        ({"until": "0123456789ab-5"}, 422, ["until"]),
        ({"events": []}, 422, ["events"]),
        ({"events": ["a b"]}, 422, ["events", 0]),
        ({"only": "some"}, 422, ["only"]),
        ({"dry_run": 1}, 422, ["dry_run"]),
        ({"more": 1}, 422, ["more"]),
    ):
        response = await api.post("/replays", json={"endpoint_id": made, **members})
        assert response.status_code == status, response.text
        if loc is not None:
            assert response.json()["errors"][0]["loc"] == loc
    for path in ("/replays/99", "/replays/x"):
        assert (await api.get(path)).status_code == 404
    for verb in ("pause", "resume", "cancel"):
        assert (await api.post(f"/replays/99/{verb}")).status_code == 404


async def test_scopes(api: httpx.AsyncClient, hub: Hub) -> None:
    """Watching needs webhooks:read, everything else webhooks:write."""
    _, secret = await hub.tokens.create("reader", ["webhooks:read"])
    headers = {"Authorization": f"Bearer {secret}"}
    assert (await api.get("/replays", headers=headers)).status_code == 200
    assert (await api.get("/replays/1", headers=headers)).status_code == 404
    body = {"endpoint_id": 1, "dry_run": True}
    assert (await api.post("/replays", json=body, headers=headers)).status_code == 403
    assert (await api.post("/replays/1/pause", headers=headers)).status_code == 403
