"""kill -9 on PostgreSQL: what the dead hub was about is attempted at once, not after its lease."""

from __future__ import annotations

from pathlib import Path

import trio

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.receiver import Hang, open_receiver
from hookhub.testing.waiting import wait_until_async

SOON = 40.0
"""Seconds, the start of a process on a busy machine included: much less than a lease."""


async def test_a_single_hub_is_killed_and_started_again(tmp_path: Path, postgres_url: str) -> None:
    """The one that comes next finds itself alone."""
    hub = HubProcess(tmp_path, {"database": {"url": postgres_url}})
    async with open_receiver(Hang(), Hang()) as receiver:
        try:
            await trio.to_thread.run_sync(hub.start)
            await _send(hub, receiver.url, 4)
            await receiver.wait_for(2)
            await trio.to_thread.run_sync(hub.kill)
            with trio.fail_after(SOON):
                await trio.to_thread.run_sync(hub.start)
                await _delivered(hub, 4)
        finally:
            await trio.to_thread.run_sync(hub.kill)
        ids = [request.header("webhook-id") for request in receiver.requests]
        assert (len(ids), len(set(ids))) == (6, 4)


async def test_one_of_two_hubs_is_killed(tmp_path: Path, postgres_url: str) -> None:
    """The other one takes over within a moment."""
    hubs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        hubs.append(HubProcess(tmp_path / name, {"database": {"url": postgres_url}}))
    async with open_receiver(Hang(), Hang()) as receiver:
        try:
            for hub in hubs:
                await trio.to_thread.run_sync(hub.start)
            await _send(hubs[0], receiver.url, 4)
            await receiver.wait_for(2)
            await trio.to_thread.run_sync(hubs[0].kill)
            with trio.fail_after(SOON):
                await _delivered(hubs[1], 4)
        finally:
            for hub in hubs:
                await trio.to_thread.run_sync(hub.kill)


async def _send(hub: HubProcess, url: str, events: int) -> None:
    async with hub.async_client() as http:
        body = {"name": "w", "url": url, "event_type": "*"}
        (await http.post("/webhooks", json=body)).raise_for_status()
        for number in range(events):
            event = {"type": "user.created", "payload": {"user_id": number}}
            (await http.post("/events", json=event)).raise_for_status()


async def _delivered(hub: HubProcess, events: int) -> None:
    async with hub.async_client() as http:

        async def done() -> bool:
            stats = (await http.get("/webhooks/stats")).json()
            return bool(stats["successful_deliveries"] == events)

        await wait_until_async(done, SOON)
