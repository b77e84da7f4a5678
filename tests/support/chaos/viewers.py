"""Clients of the live feed that drop and resume at random, and know what they should have seen."""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
import trio

from hookhub.contracts.events import Cursor
from hookhub.testing.hub_process import HubProcess
from support.chaos.calls import Body

Wants = Callable[[Mapping[str, Any]], bool]

KINDS: tuple[tuple[dict[str, str], Wants], ...] = (
    ({}, lambda event: True),
    ({"events": "user.*"}, lambda event: event["type"].startswith("user.")),
    (
        {"where": '{"user_id": {"$lt": 50}}'},
        lambda event: event["payload"]["user_id"] < 50,
    ),
    (
        {"events": "user.created", "where": '{"user_id": {"$in": [0, 1, 2, 3]}}'},
        lambda event: event["type"] == "user.created" and event["payload"]["user_id"] < 4,
    ),
)
"""What clients ask for, and what they should get then; an event of user 0 is for all."""
PONG = b"\x8a\x80\0\0\0\0"
CLOSE = 0x88
PING = 0x89
TEXT = 0x81
GOOD_ENDS = {1000, 1012}
PRODUCERS = 20
"""Requests to publish that may be under way at once."""
LATE = 60.0
"""Seconds that the last events may take to come to everybody, on a busy machine."""


class Dropped(Exception):
    """The connection ended, or never began."""


class Connection:
    """A WebSocket, read by a client that is cheap: there are a thousand of them."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._data = bytearray()

    async def upgrade(self, target: str) -> None:
        """Ask for the WebSocket.

        Raises:
            Dropped: it was not granted.
        """
        request = (
            f"GET {target} HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await self._stream.send_all(request.encode())
        while (end := self._data.find(b"\r\n\r\n")) < 0:
            await self._more()
        if not self._data.startswith(b"HTTP/1.1 101"):
            raise Dropped(bytes(self._data[:30]))
        del self._data[: end + 4]

    async def _more(self) -> None:
        data = await self._stream.receive_some(65536)
        if not data:
            raise Dropped("end of stream")
        self._data += data

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its first byte and its payload."""
        while True:
            found = self._whole()
            if found is not None:
                return found
            await self._more()

    def _whole(self) -> tuple[int, bytes] | None:
        data = self._data
        if len(data) < 2:
            return None
        size, head = data[1], 2
        if size == 126:
            size, head = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, head = int.from_bytes(data[2:10], "big"), 10
        if len(data) < head + size:
            return None
        payload = bytes(data[head : head + size])
        first = data[0]
        del data[: head + size]
        return first, payload

    async def pong(self) -> None:
        """Show a sign of life."""
        await self._stream.send_all(PONG)

    async def aclose(self, *, reset: bool) -> None:
        """Go without a word; with a reset, what is on its way is lost."""
        if reset:
            self._stream.setsockopt(
                trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        await self._stream.aclose()


@dataclass
class Viewer:
    """One client.

    Args:
        ports: of the hubs that it may go to, in turn.
        kind: an index of :data:`KINDS`.
        stay: seconds that it stays connected, on average.
    """

    ports: Sequence[int]
    token: str
    kind: int
    chance: random.Random
    stay: float
    received: list[int] = field(default_factory=list)
    begin: int | None = None
    cursor: str | None = None
    faults: list[str] = field(default_factory=list)
    resumed: int = 0
    replayed: int = 0
    restarts: int = 0
    caught: int = 0
    """Events that came since the connection began."""

    async def run(self) -> None:
        """Come back again and again; to be cancelled."""
        turn = self.chance.randrange(len(self.ports))
        while True:
            pause = self.chance.uniform(0, 0.2)
            try:
                pause += await self._connected(self.ports[turn])
            except (Dropped, OSError, trio.BrokenResourceError):
                turn = (turn + 1) % len(self.ports)
            await trio.sleep(pause)

    async def _connected(self, port: int) -> float:
        """One connection, from its begin to its end. Returns seconds to wait after it."""
        query, _ = KINDS[self.kind]
        since = {} if self.cursor is None else {"since": self.cursor}
        target = "/ws?" + urlencode({"token": self.token, **query, **since})
        stay = math.inf if self.stay == math.inf else self.chance.expovariate(1 / self.stay)
        # Without the work of trio.open_tcp_stream(): there are hundreds a second.
        sock = trio.socket.socket()
        connection = Connection(trio.SocketStream(sock))
        self.caught, pause = 0, 0.0
        try:
            with trio.move_on_after(stay):
                await sock.connect(("127.0.0.1", port))
                await connection.upgrade(target)
                while True:
                    first, payload = await connection.frame()
                    if first == TEXT:
                        pause = self._take(json.loads(payload)) or pause
                    elif first == PING:
                        await connection.pong()
                    elif first == CLOSE:
                        self._ended(int.from_bytes(payload[:2], "big"), payload[2:])
                        self.restarts += 1
                        break
        finally:
            with trio.CancelScope(shield=True):
                await connection.aclose(reset=self.chance.random() < 0.5)
        return pause

    def _ended(self, code: int, reason: bytes) -> None:
        if code not in GOOD_ENDS:
            self.faults.append(f"closed with {code} {reason.decode()}")

    def _take(self, message: dict[str, Any]) -> float | None:
        kind = message["type"]
        if "." in kind:
            self._event(message)
        elif kind == "connection":
            if self.begin is None:
                self.begin = Cursor.parse(message["cursor"]).sequence
                self.cursor = message["cursor"]
            elif message["cursor"] != self.cursor:
                self.faults.append(f"goes on at {message['cursor']}, not {self.cursor}")
        elif kind == "resumed":
            self.resumed += 1
            self.replayed += message["replayed"]
            if message["replayed"] != self.caught:
                self.faults.append(f"{message['replayed']} replayed, but {self.caught} came")
        elif kind == "restarting":
            return float(message["retry_after"])
        else:
            self.faults.append(f"was told {message}")
        return None

    def _event(self, event: dict[str, Any]) -> None:
        if self.received and event["sequence"] <= self.received[-1]:
            self.faults.append(f"{event['sequence']} after {self.received[-1]}")
        self.received.append(event["sequence"])
        self.cursor = event["cursor"]
        self.caught += 1


@dataclass
class Audience:
    """Viewers, somebody who publishes, and the comparison of what was with what was seen.

    Args:
        hubs: share one database; each may be stopped as long as another one is there.
        clients: how many viewers.
        rate: events a second.
        stay: seconds that each viewer stays connected, on average.
    """

    hubs: Sequence[HubProcess]
    clients: int
    rate: float
    stay: float
    seed: int
    published: int = 0
    viewers: list[Viewer] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Every difference between what was committed and what each viewer saw."""
    cut_off: int = 0
    """Requests that were sent and not answered."""
    _clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Viewers and publisher are at work during the block; at its end all is compared."""
        ports = [int(hub.url.rpartition(":")[2]) for hub in self.hubs]
        chance = random.Random(self.seed)
        for number in range(self.clients):
            own = random.Random(f"{self.seed} {number}")
            kind = number % len(KINDS)
            self.viewers.append(Viewer(ports, self.hubs[0].token, kind, own, self.stay))
        async with trio.open_nursery() as nursery:
            for viewer in self.viewers:
                nursery.start_soon(viewer.run)
            with trio.fail_after(LATE):
                while any(viewer.begin is None for viewer in self.viewers):
                    await trio.sleep(0.05)
            async with trio.open_nursery() as publishing:
                publishing.start_soon(self._publish, chance)
                yield
                publishing.cancel_scope.cancel()
            last = await self.publish("user.created", 0)
            for viewer in self.viewers:
                viewer.stay = math.inf
            await self._wait_for(last)
            nursery.cancel_scope.cancel()
        self.wrong = await self._compare()
        for client in self._clients.values():
            await client.aclose()

    async def _wait_for(self, sequence: int) -> None:
        with trio.move_on_after(LATE):
            while any(not v.received or v.received[-1] < sequence for v in self.viewers):
                await trio.sleep(0.05)

    async def _publish(self, chance: random.Random) -> None:
        """At this rate, however long each answer takes."""
        limiter = trio.CapacityLimiter(PRODUCERS)

        async def one(name: str, user: int) -> None:
            async with limiter:
                await self.publish(name, user)

        async with trio.open_nursery() as nursery:
            while True:
                name = chance.choice(["user.created", "ticket.created"])
                nursery.start_soon(one, name, chance.randrange(100))
                await trio.sleep(chance.expovariate(self.rate))

    def _client(self, hub: HubProcess) -> httpx.AsyncClient:
        """Kept: making one takes longer than a request."""
        if hub.url not in self._clients:
            self._clients[hub.url] = hub.async_client()
        return self._clients[hub.url]

    async def publish(self, name: str, user: int) -> int:
        """Commit an event once, whichever hub takes it, and return its sequence."""
        key = f"{self.seed}-{self.published}"
        self.published += 1
        payload: dict[str, Any] = {"user_id": user}
        if name == "ticket.created":
            more = {"title": "x" * user, "status": "open", "priority": "low", "has_media": False}
            payload = {"ticket_id": self.published, **payload, **more}
        body = {"type": name, "payload": payload}
        headers = {"Idempotency-Key": key}
        with trio.CancelScope(shield=True), trio.fail_after(LATE):
            while True:
                for hub in self.hubs:
                    http = self._client(hub)
                    request = http.build_request("POST", "/events", json=body, headers=headers)
                    request.stream = Body(request.content)
                    try:
                        answer = await http.send(request)
                    except httpx.ConnectError:
                        continue
                    except httpx.TransportError:
                        self.cut_off += 1
                        continue
                    if answer.status_code == 202:
                        return int(answer.json()["sequence"])
                    assert answer.status_code >= 500, answer.text
                await trio.sleep(0.05)

    async def _compare(self) -> list[str]:
        events = await self._history()
        found = []
        for number, viewer in enumerate(self.viewers):
            _, wants = KINDS[viewer.kind]
            due = [e["sequence"] for e in events if e["sequence"] > viewer.begin and wants(e)]
            faults = list(viewer.faults)
            if viewer.received != due:
                missed = sorted(set(due) - set(viewer.received))
                extra = sorted(set(viewer.received) - set(due))
                faults.append(f"missed {missed[:5]}…, got unwanted {extra[:5]}…")
            found += [f"viewer {number}: {fault}" for fault in faults]
        return found

    async def _history(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 200}
        for hub in self.hubs:
            try:
                while True:
                    page = await self._client(hub).get("/events", params=query)
                    found = page.raise_for_status().json()
                    events += found["items"]
                    query["after"] = found["cursor"]
                    if not found["has_more"]:
                        return events
            except httpx.TransportError:
                continue
        raise AssertionError("no hub answers")

    def summary(self) -> str:
        """What happened, in a line."""
        resumed = sum(viewer.resumed for viewer in self.viewers)
        replayed = sum(viewer.replayed for viewer in self.viewers)
        seen = sum(len(viewer.received) for viewer in self.viewers)
        restarts = sum(viewer.restarts for viewer in self.viewers)
        return (
            f"{self.clients:,} clients, {self.published:,} events, {seen:,} seen, "
            f"{resumed:,} resumed with {replayed:,} replayed, {restarts:,} told of a restart"
        )
