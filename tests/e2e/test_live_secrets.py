"""The live feed of a real process: no secret in what it prints, and tokens that end elsewhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from hookhub.testing.fixtures import StartHub
from hookhub.testing.hub_process import HubProcess

SCOPES = ["events:read"]


def make_token(hub: HubProcess, name: str) -> str:
    with hub.client() as http:
        answer = http.post("/tokens", json={"name": name, "scopes": SCOPES}).raise_for_status()
    token: str = answer.json()["token"]
    return token


def make_ticket(hub: HubProcess, token: str) -> str:
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.post(f"{hub.url}/ws/ticket", headers=headers, trust_env=False)
    ticket: str = answer.raise_for_status().json()["ticket"]
    return ticket


@asynccontextmanager
async def connected(hub: HubProcess, query: str) -> AsyncIterator[WebSocketConnection]:
    # Not trio-websocket's own opening, which leaves the socket open when the hub closes first.
    async with await trio.open_tcp_stream("127.0.0.1", hub.port) as stream:
        async with trio.open_nursery() as nursery:
            yield await wrap_client_stream(nursery, stream, "hub", f"/ws?{query}")
            nursery.cancel_scope.cancel()


async def websocket(hub: HubProcess, query: str) -> tuple[str, int | None]:
    """The first message, if any, or the reason and the code that the hub closes with at once."""
    async with connected(hub, query) as ws:
        with suppress(ConnectionClosed):
            return str(await ws.get_message()), None
        closed = ws.closed
        assert closed is not None
        return closed.reason or "", closed.code


async def plain(hub: HubProcess, target: str, until: bytes, token: str = "") -> bytes:
    """What a GET gives, up to and with these bytes."""
    header = f"X-API-Key: {token}\r\n" if token else ""
    data = b""
    async with await trio.open_tcp_stream("127.0.0.1", hub.port) as stream:
        await stream.send_all(f"GET {target} HTTP/1.1\r\nHost: hub\r\n{header}\r\n".encode())
        while until not in data:
            piece = await stream.receive_some()
            assert piece, data
            data += piece
    return data


async def test_credentials_reach_no_line(start_hub: StartHub) -> None:
    """At the most talkative level: good and bad ones, in every place they may be."""
    hub = start_hub({"log": {"level": "debug"}})
    token = make_token(hub, "reader")
    secrets = {token, "hh_wrong_token_1", "wrong-ticket-2", "another-wrong-key-3"}
    first, second = make_ticket(hub, token), make_ticket(hub, token)
    secrets |= {first, second}
    with trio.fail_after(20):
        for query in (f"token={token}", f"api_key={token}", f"ticket={first}"):
            assert '"connected"' in (await websocket(hub, query))[0]
        for query in ("token=hh_wrong_token_1", "api_key=another-wrong-key-3", f"ticket={first}"):
            reason, code = await websocket(hub, query)
            assert code == 1008
            assert not any(secret in reason for secret in secrets)
        answers = [
            await plain(hub, f"/events/stream?ticket={second}", b"connected"),
            await plain(hub, f"/events/stream?ticket={second}", b"\r\n\r\n{"),
            await plain(hub, "/events/stream?ticket=wrong-ticket-2", b"\r\n\r\n{"),
            await plain(hub, f"/events/stream?token={token}", b"\r\n\r\n{", token),
            await plain(hub, f"/events?token={token}&wait=x", b"\r\n\r\n{", token),
            await plain(hub, f"/ws?token={token}", b"\r\n\r\n{"),
            await plain(hub, f"/nowhere?token={token}", b"\r\n\r\n{"),
        ]
    statuses = [int(answer.split()[1]) for answer in answers]
    assert statuses == [200, 401, 401, 422, 422, 426, 404]
    hub.terminate()
    lines = "\n".join(hub.lines)
    assert "http.request" in lines
    assert "websocket.refused" in lines
    for secret in secrets:
        assert secret not in lines
        assert not any(secret.encode() in answer for answer in answers)


async def test_a_token_that_is_revoked_elsewhere_ends_every_kind(start_hub: StartHub) -> None:
    """By ``hookhub token revoke`` in another process: within a second, with the right code."""
    hub = start_hub()
    token = make_token(hub, "gone")
    ended: dict[str, Any] = {}

    async def follow_websocket(task_status: trio.TaskStatus[None]) -> None:
        async with connected(hub, f"token={token}") as ws:
            await ws.get_message()
            task_status.started()
            try:
                await ws.get_message()
            except ConnectionClosed as closed:
                ended["ws"] = closed.reason.code if closed.reason else None

    async def follow_stream() -> None:
        data = await plain(hub, "/events/stream", b'"The token is revoked"}', token)
        ended["sse"] = json.loads(data.rsplit(b"data: ", 1)[1].splitlines()[0])["code"]

    async def wait_for_events() -> None:
        data = await plain(hub, "/events?wait=60", b"\r\n\r\n{", token)
        ended["poll"] = int(data.split()[1])

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(follow_websocket)
            nursery.start_soon(follow_stream)
            nursery.start_soon(wait_for_events)
            async with httpx.AsyncClient(trust_env=False) as http:
                admin = {"Authorization": f"Bearer {hub.token}"}
                while True:
                    answer = await http.get(f"{hub.url}/live/connections", headers=admin)
                    if answer.json()["total"] == 3:
                        break
            done = await trio.to_thread.run_sync(hub.run, "token", "revoke", "gone")
            assert done.returncode == 0, done.stderr
            nursery.cancel_scope.deadline = trio.current_time() + 1.5
        assert not nursery.cancel_scope.cancelled_caught, ended
    assert ended == {"ws": 4502, "sse": 4502, "poll": 401}
