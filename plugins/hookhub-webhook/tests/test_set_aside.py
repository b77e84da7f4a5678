"""A webhook with a filter that this version does not know: it waits, everything else goes on."""

from __future__ import annotations

import json
from typing import Any

import httpx

from hookhub.hub import Hub
from hookhub.store import Transaction
from hookhub.testing.receiver import Receiver
from hookhub.testing.waiting import wait_until_async

UNKNOWN = json.dumps({"filter": {"user_id": {"$newest": 1}}, "concurrency": 3})


async def post(api: httpx.AsyncClient, *numbers: int) -> None:
    for number in numbers:
        event = {"type": "user.created", "payload": {"user_id": number}}
        assert (await api.post("/events", json=event)).status_code == 202


def received(receiver: Receiver) -> list[int]:
    return sorted(request.json()["user_id"] for request in receiver.requests)


async def test_it_is_shown_mended_and_misses_nothing(
    api: httpx.AsyncClient, hub: Hub, receiver: Receiver
) -> None:
    """Events are taken; once the filter is set anew, what passes it is delivered, each once."""
    new = {"name": "w", "url": receiver.url, "event_type": "*"}
    path = f"/webhooks/{(await api.post('/webhooks', json=new)).json()['id']}"
    await post(api, 1)
    await receiver.wait_for(1)

    def spoil(tx: Transaction) -> None:
        tx.endpoints_changed()
        tx.change("UPDATE hookhub_endpoints SET options = ?", (UNKNOWN,))

    await hub.store.write(spoil)
    await post(api, 2, 3, 4)

    async def shown() -> Any:
        checks = (await api.get("/health/ready")).json()["checks"]
        return "$newest" in checks["engine"]

    await wait_until_async(shown)
    found = (await api.get(path)).json()
    assert "$newest" in found["unreadable"]
    assert (await api.get("/webhooks")).json()["items"] == [found]
    test = (await api.post(f"{path}/test")).json()
    assert (test["success"], test["error"]) == (False, "endpoint_unreadable")
    assert received(receiver) == [1]

    mended = (await api.patch(path, json={"filter": {"user_id": {"$gte": 3}}})).json()
    assert (mended["unreadable"], mended["concurrency"]) == (None, 3)
    await receiver.wait_for(3)
    await post(api, 5)
    await receiver.wait_for(4)
    assert received(receiver) == [1, 3, 4, 5]
    checks = (await api.get("/health/ready")).json()["checks"]
    assert checks["engine"] == "ok"


async def test_one_that_lost_its_url_is_not_enabled_without(
    api: httpx.AsyncClient, hub: Hub, receiver: Receiver
) -> None:
    """What ``reencrypt --replace-lost`` emptied is refused until it is given a URL."""
    new = {"name": "w", "url": receiver.url, "event_type": "*"}
    path = f"/webhooks/{(await api.post('/webhooks', json=new)).json()['id']}"

    def empty(tx: Transaction) -> None:
        tx.endpoints_changed()
        tx.change("UPDATE hookhub_endpoints SET config = ?, is_active = FALSE", ("{}",))

    await hub.store.write(empty)
    for refused in (
        await api.post(f"{path}/enable"),
        await api.patch(path, json={"is_active": True}),
        await api.patch(path, json={"is_active": True, "headers": {"X-A": "b"}}),
    ):
        assert refused.status_code == 422
        assert "url" in refused.json()["detail"]
    assert (await api.get(path)).json()["is_active"] is False
    assert (await api.patch(path, json={"url": receiver.url})).status_code == 200
    assert (await api.post(f"{path}/enable")).json()["is_active"] is True
    await post(api, 1)
    await receiver.wait_for(1)
