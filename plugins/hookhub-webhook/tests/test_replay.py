"""A replay: events of the past once more, each under the webhook-id that it had."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hookhub.testing.receiver import Receiver
from hookhub.testing.waiting import wait_until_async


@pytest.fixture
def hub_database(any_database: str) -> str:
    """These tests run on SQLite and on PostgreSQL."""
    return any_database


async def make(api: httpx.AsyncClient, receiver: Receiver, **members: Any) -> str:
    body = {"name": "w", "url": receiver.url, "event_type": "*", **members}
    answer = await api.post("/webhooks", json=body)
    assert answer.status_code == 201, answer.text
    return f"/webhooks/{answer.json()['id']}"


async def emit(api: httpx.AsyncClient, *types: str) -> list[str]:
    ids = []
    for name in types:
        answer = await api.post("/events", json={"type": name, "payload": {"user_id": 1}})
        ids.append(answer.json()["id"])
    return ids


async def test_events_are_sent_once_more(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """Those of before the webhook too; with the same webhook-id and body, as a new delivery."""
    sent = await emit(api, "user.created")
    path = await make(api, receiver)
    sent += await emit(api, "ticket.created")
    await receiver.wait_for(1)
    counted = await api.post(f"{path}/replay", json={"dry_run": True})
    assert (counted.status_code, counted.json()) == (200, {"dry_run": True, "total": 2})
    started = await api.post(f"{path}/replay", json={})
    assert (started.status_code, started.json()["state"]) == (201, "running")
    first, *rest = await receiver.wait_for(3)
    replayed = {request.header("webhook-id"): request for request in rest}
    assert replayed.keys() == set(sent)
    again = replayed[sent[1]]
    assert again.body == first.body
    assert again.header("x-webhook-delivery") != first.header("x-webhook-delivery")

    async def done() -> bool:
        replay = (await api.get(f"/replays/{started.json()['id']}")).json()
        return bool(replay["state"] == "done" and replay["done"] == 2)

    await wait_until_async(done)
    audit = (await api.get("/audit")).json()
    assert (audit["ok"], audit["matched"], audit["replayed"]) == (True, 1, 2)


async def test_what_to_replay(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """By type, by time, by what became of it; without a body, everything that is kept."""
    await emit(api, "user.created", "ticket.created")
    path = await make(api, receiver, event_type="ticket.*")
    for members, total in (
        ({}, 1),
        ({"events": ["ticket.created"]}, 1),
        ({"only": "never_sent"}, 1),
        ({"only": "failed"}, 0),
        ({"since": "2100-01-01T00:00:00Z"}, 0),
    ):
        answer = await api.post(f"{path}/replay", json={**members, "dry_run": True})
        assert answer.json()["total"] == total, answer.text
    for members, loc in (
        ({"events": ["user.*"]}, ["events"]),
        ({"since": "x"}, ["since"]),
        ({"endpoint_id": 1}, ["endpoint_id"]),
    ):
        answer = await api.post(f"{path}/replay", json=members)
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, loc)
    assert (await api.post("/webhooks/99/replay", json={})).status_code == 404
    assert (await api.post(f"{path}/replay")).status_code == 201
