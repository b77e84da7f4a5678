"""A replay goes on after SIGKILL where it stopped: each event once more, none left out."""

from __future__ import annotations

from typing import Any

import httpx
import trio

from hookhub.testing.fixtures import StartHub
from hookhub.testing.receiver import Receiver, Reply, open_receiver
from hookhub.testing.waiting import wait_until_async

EVENTS = 1_500
KILLS = 3


async def _made(http: httpx.AsyncClient, receiver: Receiver) -> int:
    """A webhook that has received every event."""
    hook = {"name": "w", "url": receiver.url, "event_type": "*"}
    made: int = (await http.post("/webhooks", json=hook)).raise_for_status().json()["id"]
    batch = [{"type": "user.created", "payload": {"user_id": n}} for n in range(EVENTS)]
    for start in range(0, EVENTS, 500):
        (await http.post("/events/batch", json=batch[start : start + 500])).raise_for_status()
    await _settled(http, EVENTS)
    return made


async def _settled(http: httpx.AsyncClient, count: int) -> None:
    async def look() -> bool:
        stats = (await http.get("/webhooks/stats")).json()
        return bool(stats["successful_deliveries"] == count and not stats["pending_deliveries"])

    await wait_until_async(look, 60)


async def _replay(http: httpx.AsyncClient, replay_id: int) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get(f"/replays/{replay_id}")).raise_for_status().json()
    return found


async def test_kill_9_in_the_middle_of_a_replay(start_hub: StartHub) -> None:
    """Every event has two deliveries in the end, and the audit finds everything there."""
    with trio.fail_after(120):
        hub = await trio.to_thread.run_sync(start_hub)
        async with open_receiver() as receiver:
            receiver.default = Reply(200)
            async with hub.async_client() as http:
                webhook_id = await _made(http, receiver)
                answer = await http.post(f"/webhooks/{webhook_id}/replay", json={})
                replay_id = answer.raise_for_status().json()["id"]
            for number in range(1, KILLS + 1):
                seen = number * EVENTS // (KILLS + 2)
                async with hub.async_client() as http:

                    async def far_enough(http: httpx.AsyncClient = http, seen: int = seen) -> bool:
                        return bool((await _replay(http, replay_id))["done"] >= seen)

                    await wait_until_async(far_enough, 60)
                hub.kill()
                await trio.to_thread.run_sync(hub.start)
            async with hub.async_client() as http:

                async def ended(http: httpx.AsyncClient = http) -> bool:
                    return bool((await _replay(http, replay_id))["state"] != "running")

                await wait_until_async(ended, 60)
                replay = await _replay(http, replay_id)
                await _settled(http, 2 * EVENTS)
                audit = (await http.get("/audit")).raise_for_status().json()
    assert (replay["state"], replay["total"], replay["done"]) == ("done", EVENTS, EVENTS)
    assert audit["ok"], audit
    assert (audit["matched"], audit["replayed"]) == (EVENTS, EVENTS)
    assert audit["delivered"] == 2 * EVENTS
    times: dict[str, int] = {}
    for request in receiver.requests:
        event_id = request.header("webhook-id") or ""
        times[event_id] = times.get(event_id, 0) + 1
    assert len(times) == EVENTS
    assert min(times.values()) >= 2
