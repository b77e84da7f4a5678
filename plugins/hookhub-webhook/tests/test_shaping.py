"""Filters and transforms of webhooks, over REST and to a real receiver."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hookhub.testing.receiver import Receiver, open_receiver

TEMPLATE = {"template": '{"text": "user {{ payload.user_id }}"}'}


@pytest.fixture
async def receiver() -> Any:
    async with open_receiver() as opened:
        yield opened


async def subscribe(api: httpx.AsyncClient, receiver: Receiver, **more: Any) -> httpx.Response:
    body = {"name": "w", "url": receiver.url, "event_type": "user.created", **more}
    return await api.post("/webhooks", json=body)


async def send(api: httpx.AsyncClient, user_id: int) -> int:
    event = {"type": "user.created", "payload": {"user_id": user_id}}
    answer = await api.post("/events", json=event)
    assert answer.status_code == 202
    deliveries: int = answer.json()["deliveries"]
    return deliveries


async def test_only_what_passes_the_filter_is_delivered(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    """Decided at the commit; shown as it is stored; null takes it away."""
    made = await subscribe(api, receiver, filter={"user_id": {"$gte": 100}})
    assert made.status_code == 201
    path = f"/webhooks/{made.json()['id']}"
    assert (await api.get(path)).json()["filter"] == {"user_id": {"$gte": 100}}
    assert [await send(api, 99), await send(api, 100)] == [0, 1]
    assert (await api.patch(path, json={"filter": None})).json()["filter"] is None
    assert await send(api, 1) == 1
    await receiver.wait_for(2)


async def test_a_wrong_filter_names_its_place(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """422, nothing stored."""
    refused = await subscribe(api, receiver, filter={"user_id": {"gte": 1}})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["loc"][0] == "filter"
    assert (await api.get("/webhooks")).json()["total"] == 0


async def test_a_transform_makes_and_signs_another_body(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    """The signature is over the bytes that are sent."""
    from standardwebhooks import Webhook as Verifier

    choice = {"name": "template", "config": TEMPLATE}
    made = await subscribe(api, receiver, transform=choice, generate_secret=True)
    assert made.status_code == 201
    assert made.json()["transform"]["name"] == "template"
    assert await send(api, 7) == 1
    [request] = await receiver.wait_for(1)
    assert request.body == b'{"text": "user 7"}'
    headers = {name.lower(): value for name, value in dict(request.headers).items()}
    Verifier(made.json()["signing_secret"]).verify(request.body, headers)


async def test_a_wrong_transform_is_refused(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """An unknown name names the nearest; a template is tried with the examples."""
    unknown = await subscribe(api, receiver, transform={"name": "tempate", "config": {}})
    assert unknown.status_code == 422
    assert "template" in unknown.json()["detail"]
    bad = {"name": "template", "config": {"template": "{{ payload.usr }}"}}
    assert (await subscribe(api, receiver, transform=bad)).status_code == 422
    listed = (await api.get("/transforms")).json()
    assert [item["name"] for item in listed["items"]] == ["template"]
