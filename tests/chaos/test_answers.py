"""A thousand deliveries to receivers that answer everything twice: each with its own answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.receiver import ReceivedRequest, Receiver, Reply, open_receiver
from support.certificates import Authority
from support.twice import Twice

WEBHOOKS = 4
"""At each receiver."""
EVENTS = 250
PAUSES = (0.0, 0.01, 0.02, 0.05, 0.1)
"""Seconds between events, in turn."""
SETTINGS: dict[str, Any] = {
    "egress": {"allow": ["127.0.0.0/8", "::1/128"]},
    "log": {"level": "warning"},
    "plugins": {"disabled": ["log"]},
}


@asynccontextmanager
async def answering_twice(authority: Authority | None, delay: float) -> AsyncIterator[Receiver]:
    """A receiver whose answers say which delivery they are for."""

    def respond(request: ReceivedRequest) -> Twice:
        return Twice(Reply(body=(request.header("x-webhook-delivery") or "").encode()), delay)

    context = authority.certify()[1] if authority else None
    async with open_receiver(ssl_context=context) as receiver:
        receiver.respond = respond
        yield receiver


async def deliveries(client: httpx.AsyncClient, webhook: int) -> list[dict[str, Any]]:
    """All deliveries to a webhook, once none is pending."""
    path = f"/webhooks/{webhook}/deliveries"
    with trio.fail_after(60):
        while (await client.get(path, params={"status": "pending"})).json()["total"]:
            await trio.sleep(0.1)
    found: list[dict[str, Any]] = []
    while len(found) < EVENTS:
        page = (await client.get(path, params={"limit": 200, "offset": len(found)})).json()
        found += page["items"]
    return found


@pytest.mark.parametrize(("scheme", "delay"), [("https", 0.0), ("http", 0.05)])
async def test_no_delivery_has_the_answer_of_another(
    tmp_path: Path, scheme: str, delay: float
) -> None:
    """0 of 1,000, whether the second answer is a TLS record of its own or comes 50 ms later."""
    authority = Authority() if scheme == "https" else None
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(answering_twice(authority, delay))
        hub = HubProcess(tmp_path, SETTINGS)
        await trio.to_thread.run_sync(hub.start)
        stack.callback(hub.kill)
        client = await stack.enter_async_context(hub.async_client())
        trust = {"ca": authority.pem} if authority else {}
        webhooks = []
        for number in range(WEBHOOKS):
            new = {"name": f"w{number}", "url": receiver.url, "event_type": "user.created", **trust}
            made = await client.post("/webhooks", json=new)
            webhooks.append(made.raise_for_status().json()["id"])
        for number in range(EVENTS):
            event = {"type": "user.created", "payload": {"user_id": number}}
            (await client.post("/events", json=event)).raise_for_status()
            await trio.sleep(PAUSES[number % len(PAUSES)])
        found = [item for webhook in webhooks for item in await deliveries(client, webhook)]
    wrong = [item["id"] for item in found if item["response_body"] != str(item["id"])]
    print(f"\n{scheme}: {len(wrong)} wrong of {len(found)}; {receiver.connections} connections")
    assert (len(found), wrong) == (WEBHOOKS * EVENTS, [])
