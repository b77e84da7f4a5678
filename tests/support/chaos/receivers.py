"""Receivers of every character, that can be killed and come back at the same address."""

from __future__ import annotations

import random
import socket
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import trio

from hookhub.client import InvalidSignature, verify
from support.chaos.moments import Moments

CHARACTERS: dict[str, dict[str, int]] = {
    "healthy": {"ok": 1},
    "flaky": {"ok": 1, "error": 1},
    "hanging": {"ok": 2, "hang": 1},
    "hostile": {
        **{"ok": 6, "garbage": 1, "reset": 1, "redirect": 1, "half_head": 1, "half_body": 1},
        **{"close": 1, "busy": 1, "long_head": 1},
    },
    "moody": {"ok": 3, "error": 1},
    "slow": {"late": 1},
}
"""What a receiver does with a request, with weights."""

_RAW = {
    "error": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno",
    "busy": b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: /redirected\r\nContent-Length: 0\r\n\r\n",
    "garbage": b"\x16\x03\x01 what? \x00\xff\r\n\r\nHTTP/9.9 200 OK\r\n\r\n",
    "half_head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half_body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of it",
    "long_head": b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000,
}
_KEEP = ("error", "busy", "redirect")
_STALL = ("half_head", "half_body")
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError, ConnectionError)


@dataclass(slots=True)
class Request:
    """What the hub sent, as far as the proof needs it."""

    target: str
    event: str
    """``webhook-id``."""
    delivery: int
    attempt: int
    at: float
    """Trio's clock."""
    body: bytes = field(repr=False)
    answered_at: float = 0.0


@dataclass(slots=True, eq=False)
class Receiver:
    """One address; every request and every acknowledgement is kept.

    Args:
        name: the path of its URL.
        character: a key of :data:`CHARACTERS`; may be changed while it runs.
        secrets: what may sign, newest last.
    """

    name: str
    character: str
    chance: random.Random
    moments: Moments
    secrets: list[str]
    seen: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Delivery and number of the attempt to requests."""
    acknowledged: list[Request] = field(default_factory=list)
    """Answered with a 2xx whose head is complete, in that order."""
    wrong: list[str] = field(default_factory=list)
    """What should not have been sent."""
    newest: bool = False
    """Whether the last request was signed with the newest secret."""
    last_at: float = 0.0
    _bodies: dict[str, bytes] = field(default_factory=dict)
    _deliveries: dict[int, str] = field(default_factory=dict)
    _scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    _up: trio.Event = field(default_factory=trio.Event)
    _socket: socket.socket = field(default_factory=lambda: _bound(0))
    port: int = 0

    def __post_init__(self) -> None:
        self.port = self._socket.getsockname()[1]
        self._up.set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/{self.name}"

    @property
    def requests(self) -> int:
        """How many came."""
        return self.seen.total()

    # -- life and death --------------------------------------------------------------------

    async def run(self) -> None:
        """Listen; when killed, keep the port and refuse connections until it comes back."""
        try:
            while True:
                await self._up.wait()
                self._socket.listen(128)
                listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._socket))
                with trio.CancelScope() as self._scope:
                    await trio.serve_listeners(self._serve, [listener])
                self._socket = await _rebound(self.port)
        finally:
            self._socket.close()

    def kill(self) -> None:
        """Close everything, as the end of its process would."""
        if self._up.is_set():
            self._up = trio.Event()
            self._scope.cancel()

    def come_back(self) -> None:
        """Listen again."""
        self._up.set()

    # -- requests --------------------------------------------------------------------------

    async def _serve(self, stream: trio.SocketStream) -> None:
        buffer = bytearray()
        try:
            while await self._exchange(stream, buffer):
                pass
        except _GONE:
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _exchange(self, stream: trio.SocketStream, buffer: bytearray) -> bool:
        found = await _read(stream, buffer)
        if found is None:
            return False
        request = self._note(*found)
        actions = CHARACTERS[self.character]
        (action,) = self.chance.choices(list(actions), list(actions.values()))
        if action in ("ok", "late"):
            if action == "late":
                await trio.sleep(self.chance.uniform(0.02, 0.4))
            await stream.send_all(_OK)
            self._acknowledge(request)
            return True
        return await self._misbehave(stream, action, request)

    def _acknowledge(self, request: Request) -> None:
        request.answered_at = trio.current_time()
        self.acknowledged.append(request)
        self.moments.passed("answer")

    async def _misbehave(self, stream: trio.SocketStream, action: str, request: Request) -> bool:
        if action in _RAW:
            await stream.send_all(_RAW[action])
        if action == "half_body":
            # The head of a 2xx decides; the hub waits for the body a little, and takes it as it is.
            self._acknowledge(request)
        if action == "reset":
            # A linger time of 0 makes close() send RST instead of FIN.
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if action == "hang" or action in _STALL:
            while await stream.receive_some():
                pass
            request.answered_at = trio.current_time()
        return action in _KEEP

    def _note(self, target: str, headers: Mapping[str, str], body: bytes) -> Request:
        request = Request(
            target=target,
            event=headers["webhook-id"],
            delivery=int(headers["x-webhook-delivery"]),
            attempt=int(headers["x-webhook-attempt"]),
            at=trio.current_time(),
            body=body,
        )
        self.last_at = request.at
        self.seen[request.delivery, request.attempt] += 1
        self._check(request, headers)
        self.moments.passed("attempt")
        if request.attempt > 1:
            self.moments.passed("again")
        return request

    def _check(self, request: Request, headers: Mapping[str, str]) -> None:
        """One id and one body for all attempts, signed with a secret that was given."""
        if request.target != f"/{self.name}":
            self.wrong.append(f"{request.target} was asked for at {self.name}")
        if self._bodies.setdefault(request.event, request.body) != request.body:
            self.wrong.append(f"{request.event} has two bodies at {self.name}")
        if self._deliveries.setdefault(request.delivery, request.event) != request.event:
            self.wrong.append(f"delivery {request.delivery} has two webhook-ids at {self.name}")
        signed = (secret for secret in reversed(self.secrets) if _signed(request, headers, secret))
        by = next(signed, None)
        self.newest = by == self.secrets[-1]
        if by is None:
            self.wrong.append(f"{request.event} at {self.name} is signed with no known secret")


def _signed(request: Request, headers: Mapping[str, str], secret: str) -> bool:
    try:
        # The hub's clock is moved at times.
        verify(request.body, headers, secret, now=float(headers["webhook-timestamp"]))
    except InvalidSignature:
        return False
    return True


async def _read(
    stream: trio.SocketStream, buffer: bytearray
) -> tuple[str, dict[str, str], bytes] | None:
    """A request's target, headers and body; None at the end of the connection."""
    head = await _until(stream, buffer, lambda: buffer.find(b"\r\n\r\n") + 1)
    if not head:
        return None
    first, *lines = bytes(buffer[: head - 1]).decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    start, length = head + 3, int(headers["content-length"])
    if not await _until(stream, buffer, lambda: len(buffer) >= start + length):
        return None
    body = bytes(buffer[start : start + length])
    del buffer[: start + length]
    return first.split()[1], headers, body


async def _until(
    stream: trio.SocketStream, buffer: bytearray, enough: Callable[[], int | bool]
) -> int:
    while not (found := enough()):
        data = await stream.receive_some()
        if not data:
            return 0
        buffer += data
    return found


def _bound(port: int) -> socket.socket:
    """A socket that keeps the port: until it listens, connections are refused."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    return made


async def _rebound(port: int) -> socket.socket:
    while True:
        try:
            return _bound(port)
        except OSError:
            # An outgoing connection has the port for a moment.
            await trio.sleep(0.02)
