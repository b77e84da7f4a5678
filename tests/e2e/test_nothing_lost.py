"""What was answered 202 is delivered, whatever happens to the process meanwhile."""

from __future__ import annotations

from typing import Any

import httpx
import trio

from hookhub.testing.fixtures import StartHub
from hookhub.testing.receiver import (
    Behaviour,
    Close,
    Hang,
    ReceivedRequest,
    Receiver,
    Reply,
    open_receiver,
)
from hookhub.testing.waiting import wait_until_async

EVENTS = 40


async def _post(http: httpx.AsyncClient, path: str, body: Any, **headers: str) -> dict[str, Any]:
    response = await http.post(path, json=body, headers=headers)
    assert response.is_success, response.text
    answer: dict[str, Any] = response.json()
    return answer


def _event(number: int) -> dict[str, Any]:
    return {"type": "user.created", "payload": {"user_id": number}}


def _webhook(url: str, **members: Any) -> dict[str, Any]:
    return {"name": "w", "url": url, "event_type": "*", "secret": "s" * 24, **members}


def _by_event(requests: list[ReceivedRequest]) -> dict[str, list[ReceivedRequest]]:
    found: dict[str, list[ReceivedRequest]] = {}
    for request in requests:
        found.setdefault(request.header("webhook-id") or "", []).append(request)
    return found


class Switch:
    """Answers nothing like a dead, or a hanging, receiver until it is switched on."""

    def __init__(self, receiver: Receiver, off: Behaviour) -> None:
        self.on = False
        self.answered: list[ReceivedRequest] = []
        self._off = off
        receiver.respond = self._respond

    def _respond(self, request: ReceivedRequest) -> Behaviour:
        if not self.on:
            return self._off
        self.answered.append(request)
        return Reply()


async def test_kill_9_with_a_dead_receiver(start_hub: StartHub) -> None:
    """Events accepted while their receiver is down survive a SIGKILL, and all arrive after it,
    each under the webhook-id that it had before."""
    with trio.fail_after(90):
        hub = await trio.to_thread.run_sync(
            start_hub, {"delivery": {"retry_schedule": [1.0] * 100, "jitter": 0.0}}
        )
        async with open_receiver() as receiver:
            switch = Switch(receiver, Close())
            async with hub.async_client() as http:
                await _post(http, "/webhooks", _webhook(receiver.url))
                accepted = [await _post(http, "/events", _event(n)) for n in range(EVENTS)]
                key = {"Idempotency-Key": "before-the-crash"}
                accepted.append(await _post(http, "/events", _event(EVENTS), **key))
            await receiver.wait_for(1)
            hub.kill()
            await trio.to_thread.run_sync(hub.start)
            async with hub.async_client() as http:
                # The history, the order and the keys are as they were.
                again = await _post(http, "/events", _event(EVENTS), **key)
                assert again["id"] == accepted[-1]["id"]
                accepted.append(await _post(http, "/events", _event(EVENTS + 1)))
                assert [item["sequence"] for item in accepted] == list(range(1, EVENTS + 3))
                switch.on = True
                await _all_succeed(http, EVENTS + 2)
            _assert_all(switch.answered, accepted)
            _assert_stable(receiver.requests)


async def test_kill_9_in_the_middle_of_attempts(start_hub: StartHub) -> None:
    """Attempts that a crash cut off are made again, under the same webhook-id."""
    with trio.fail_after(90):
        hub = await trio.to_thread.run_sync(start_hub)
        async with open_receiver() as receiver:
            switch = Switch(receiver, Hang())
            async with hub.async_client() as http:
                await _post(http, "/webhooks", _webhook(receiver.url))
                accepted = [await _post(http, "/events", _event(n)) for n in range(EVENTS)]
            await receiver.wait_for(1)
            hub.kill()
            switch.on = True
            await trio.to_thread.run_sync(hub.start)
            async with hub.async_client() as http:
                await _all_succeed(http, EVENTS)
            _assert_all(switch.answered, accepted)
            _assert_stable(receiver.requests)


async def test_retries_go_on_after_a_restart(start_hub: StartHub) -> None:
    """A delivery between two attempts keeps its count through an orderly restart."""
    with trio.fail_after(60):
        hub = await trio.to_thread.run_sync(
            start_hub, {"delivery": {"retry_schedule": [0.1, 1.5, 0.1], "jitter": 0.0}}
        )
        async with open_receiver(Reply(500), Reply(500)) as receiver:
            async with hub.async_client() as http:
                made = await _post(http, "/webhooks", _webhook(receiver.url))
                await _post(http, "/events", _event(1))
                await receiver.wait_for(2)
            await trio.to_thread.run_sync(hub.restart)
            requests = await receiver.wait_for(3)
            assert [request.header("x-webhook-attempt") for request in requests] == ["1", "2", "3"]
            async with hub.async_client() as http:
                await _all_succeed(http, 1)
                listed = await http.get(f"/webhooks/{made['id']}/deliveries")
            (delivery,) = listed.json()["items"]
            assert (delivery["status"], delivery["attempt_number"]) == ("success", 3)


def _assert_all(answered: list[ReceivedRequest], accepted: list[dict[str, Any]]) -> None:
    arrived = _by_event(answered)
    assert set(arrived) == {item["id"] for item in accepted}
    users = {requests[0].json()["user_id"] for requests in arrived.values()}
    assert users == set(range(len(accepted)))


def _assert_stable(requests: list[ReceivedRequest]) -> None:
    for same in _by_event(requests).values():
        assert len({request.body for request in same}) == 1


async def _all_succeed(http: httpx.AsyncClient, count: int) -> None:
    async def done() -> bool:
        stats = (await http.get("/webhooks/stats")).json()
        return bool(stats["successful_deliveries"] == count and stats["pending_deliveries"] == 0)

    await wait_until_async(done, 30)
