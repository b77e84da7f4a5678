"""``/deliveries``: where each delivery stands, and another try for one that failed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hookhub.contracts.deliveries import EndpointOptions, NewEndpoint
from hookhub.hub import Hub
from hookhub.testing.waiting import wait_until_async


@pytest.fixture
def hub_database(any_database: str) -> str:
    """Everything here holds on SQLite and on PostgreSQL."""
    return any_database


async def delivery(api: httpx.AsyncClient, delivery_id: int = 1) -> dict[str, Any]:
    response = await api.get(f"/deliveries/{delivery_id}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def settled(api: httpx.AsyncClient, attempts: int) -> dict[str, Any]:
    """The first delivery, once it has had so many attempts and is no longer pending."""

    async def look() -> dict[str, Any] | None:
        found = await delivery(api)
        done = found["status"] != "pending" and len(found["attempts"]) == attempts
        return found if done else None

    found = await wait_until_async(look)
    assert found is not None
    return found


async def test_a_delivery_with_its_attempts(api: httpx.AsyncClient, hub: Hub) -> None:
    """Failed once, tried again by hand, delivered; and then not again."""
    new = NewEndpoint("box", ("user.*",), {"refuse": True})
    endpoint = await hub.endpoints.create("box", new)
    accepted = await hub.emit("user.created", {"user_id": 1, "я": "\0"})
    assert accepted.deliveries == 1
    failed = await settled(api, attempts=1)
    assert failed["webhook_id"] == failed["endpoint_id"] == endpoint.id
    assert (failed["sink"], failed["event_id"]) == ("box", accepted.id)
    assert (failed["event_type"], failed["payload"]) == ("user.created", {"user_id": 1, "я": "\0"})
    assert (failed["status"], failed["attempt_number"]) == ("failed", 1)
    assert (failed["response_status"], failed["response_body"]) == (400, "no")
    assert (failed["error"], failed["error_message"]) == ("status", "It answered 400.")
    assert (failed["delivered_at"], failed["next_retry_at"]) == (None, None)
    assert failed["created_at"].endswith("Z")
    [attempt] = failed["attempts"]
    assert (attempt["number"], attempt["outcome"]) == (1, "give_up")
    assert attempt["duration"] >= 0
    assert attempt["timings"] is None
    assert failed["held"] is False

    await hub.endpoints.update("box", endpoint.id, {"config": {}})
    retried = await api.post("/deliveries/1/retry")
    assert (retried.status_code, retried.json()["status"]) == (200, "pending")
    delivered = await settled(api, attempts=2)
    assert (delivered["status"], delivered["response_status"]) == ("success", 200)
    assert delivered["delivered_at"].endswith("Z")
    again = await api.post("/deliveries/1/retry")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


async def test_a_retry_says_what_it_waits_for(api: httpx.AsyncClient, hub: Hub) -> None:
    """The circuit breaker, with the time of its next probe; an endpoint that is off; its key."""
    new = NewEndpoint("box", ("user.*",), {"refuse": True})
    endpoint = await hub.endpoints.create("box", new)

    async def retried() -> tuple[Any, Any]:
        answer = (await api.post("/deliveries/1/retry")).json()
        assert answer["status"] == "pending"
        return answer["waits_for"], answer["probe_in"]

    for number in range(5):  # so many failures in a row open it
        await hub.emit("user.created", {"user_id": number})
        await wait_until_async(lambda n=number + 1: ended(api, n))
    waits_for, probe_in = await retried()
    assert waits_for == "circuit_breaker"
    assert 0 < probe_in <= 5

    await hub.endpoints.update("box", endpoint.id, {"is_active": False})
    assert await retried() == ("endpoint", None)
    await hub.endpoints.update("box", endpoint.id, {"config": {"refuse": True}, "is_active": True})
    await settled(api, attempts=2)
    assert await retried() == (None, None)


async def ended(api: httpx.AsyncClient, count: int) -> bool:
    """Whether so many deliveries have failed."""
    found = (await api.get("/deliveries", params={"status": "failed"})).json()
    return len(found["items"]) == count


async def test_a_delivery_that_holds_back_its_key_is_skipped(
    api: httpx.AsyncClient, hub: Hub
) -> None:
    """In strict order the next one of the key waits, visibly, until a person skips the first."""
    new = NewEndpoint("box", ("*",), {"refuse": True}, options=EndpointOptions(ordered=True))
    endpoint = await hub.endpoints.create("box", new)
    await hub.emit("user.created", {"user_id": 1}, key="k")
    await settled(api, attempts=1)
    await hub.emit("user.created", {"user_id": 1}, key="k")
    waiting = await delivery(api, 2)
    assert (waiting["status"], waiting["held"], waiting["next_retry_at"]) == ("pending", True, None)
    refused = await api.post("/deliveries/2/skip")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")

    await hub.endpoints.update("box", endpoint.id, {"config": {}})
    skipped = (await api.post("/deliveries/1/skip")).json()
    assert (skipped["status"], skipped["error"]) == ("failed", "skipped")

    async def delivered() -> bool:
        return (await delivery(api, 2))["status"] == "success"

    await wait_until_async(delivered)
    assert (await api.post("/deliveries/1/skip")).status_code == 409


async def test_timings_of_attempts(api: httpx.AsyncClient, hub: Hub) -> None:
    """What the sink measured is kept and shown, phase by phase."""
    await hub.endpoints.create("box", NewEndpoint("box", ("*",), {"timings": True}))
    await hub.emit("user.created", {"user_id": 1})
    [attempt] = (await settled(api, attempts=1))["attempts"]
    assert attempt["timings"] == {"dns": 0.25, "total": 0.5}


async def test_unknown_deliveries(api: httpx.AsyncClient) -> None:
    """404, whatever the number."""
    for delivery_id in ("0", "99", str(2**63 - 1), str(2**63), "x", "-1", "1.0"):
        assert (await api.get(f"/deliveries/{delivery_id}")).status_code == 404
        for verb in ("retry", "skip"):
            assert (await api.post(f"/deliveries/{delivery_id}/{verb}")).status_code == 404


async def test_scopes(api: httpx.AsyncClient, hub: Hub) -> None:
    """Looking needs webhooks:read, everything else webhooks:write."""
    _, secret = await hub.tokens.create("reader", ["webhooks:read"])
    headers = {"Authorization": f"Bearer {secret}"}
    assert (await api.get("/deliveries/1", headers=headers)).status_code == 404
    for verb in ("retry", "skip"):
        assert (await api.post(f"/deliveries/1/{verb}", headers=headers)).status_code == 403


async def test_where_an_event_went(api: httpx.AsyncClient, hub: Hub) -> None:
    """The deliveries of one event to all endpoints, with their attempts, in pages."""
    for name, config in (("first", {"refuse": True}), ("second", {})):
        await hub.endpoints.create("box", NewEndpoint(name, ("user.*",), config))
    await hub.emit("user.created", {"user_id": 1})
    accepted = await hub.emit("user.created", {"user_id": 2})

    async def look() -> dict[str, Any] | None:
        response = await api.get(f"/events/{accepted.id}/deliveries")
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        done = all(item["status"] != "pending" for item in found["items"])
        return found if done else None

    found = await wait_until_async(look)
    assert found is not None
    assert [item["status"] for item in found["items"]] == ["failed", "success"]
    assert (found["total"], found["limit"], found["offset"]) == (2, 50, 0)
    for item in found["items"]:
        assert item == (await api.get(f"/deliveries/{item['id']}")).json()
        assert len(item["attempts"]) == 1
        assert item["payload"] == {"user_id": 2}
    page = await api.get(f"/events/{accepted.id}/deliveries", params={"limit": 1, "offset": 1})
    assert page.json()["items"] == found["items"][1:]
    missing = await api.get("/events/evt_nope/deliveries")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
