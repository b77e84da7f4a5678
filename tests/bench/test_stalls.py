"""How long others wait while the hub reads large bodies; 8 MiB is what it takes by default.

Prints a table. Nothing is asserted about time: a bound that is missed says so in its row.
"""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hookhub.testing.hub_process import HubProcess

SIZE = 8 * 1024 * 1024 - 1024
LARGEST = 250 * 1024
"""Bytes of an event, nearly those of ``[events] max_payload``."""
BOUND = 50.0
"""Milliseconds."""
ROUNDS = 5
LINES = "application/x-ndjson"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    """A real hub process on SQLite, as anybody runs it."""
    settings = {"log": {"level": "warning"}, "plugins": {"disabled": ["log"]}}
    with HubProcess(tmp_path, settings) as process:
        yield process


def event(extra: Any = None, **members: Any) -> dict[str, Any]:
    return {"type": "user.created", "payload": {"user_id": 1, "extra": extra}, **members}


def batch(item: Any, count: int = 10_000) -> bytes:
    """As many as there is room for."""
    text = json.dumps(item, separators=(",", ":"))
    return f"[{','.join([text] * min(count, SIZE // (len(text) + 1)))}]".encode()


def bodies() -> Iterator[tuple[str, str, bytes]]:
    """What is sent, as which Content-Type, and where to."""
    usual = event({"first_name": "Test", "last_name": "User", "referral_code": "refABC123"})
    yield "10,000 usual events", "application/json", batch(usual)
    yield "… as lines", LINES, batch(usual)[1:-1].replace(b"},{", b"}\n{")
    yield "10,000 of 800 bytes", "application/json", batch(event("x" * 740))
    yield "10,000 with an id", "application/json", batch(event(source="bench"))
    yield "250 KiB of text each", "application/json", batch(event("x" * LARGEST))
    yield "250 KiB of empty lists", "application/json", batch(event([[]] * (LARGEST // 4)))
    yield "250 KiB of numbers", "application/json", batch(event([1.25] * (LARGEST // 7)))
    yield (
        "250 KiB of members",
        "application/json",
        batch(event({f"m{number}": 0 for number in range(LARGEST // 16)})),
    )
    unknown = {f"m{number}": 0 for number in range(LARGEST // 12)}
    yield "250 KiB of unknown members", "application/json", batch(event(**unknown))
    yield "one event of 8 MiB", "application/json", batch(event([[]] * (SIZE // 3 - 100)))
    yield "8 MiB of nothing", "application/json", b"[" + b" " * SIZE + b"]"
    yield "8 MiB of empty lines", LINES, b"\n" * SIZE


def single() -> Iterator[tuple[str, str, bytes]]:
    """The same for one event."""
    for name, size in (("one event of 8 MiB", SIZE), ("one of 250 KiB", LARGEST)):
        body = json.dumps(event([[]] * (size // 4 - 50))).encode()
        yield f"{name}, POST /events", "application/json", body


class Client:
    """A kept connection."""

    def __init__(self, hub: HubProcess) -> None:
        self._token = hub.token
        self._socket = socket.create_connection(("127.0.0.1", hub.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: str, body: bytes = b"", kind: str = "application/json") -> int:
        """The status of the answer."""
        head = (
            f"{request} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._socket.recv(1 << 20)
        begin, _, rest = answer.partition(b"\r\n\r\n")
        length = int(begin.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(rest) < length:
            rest += self._socket.recv(1 << 20)
        return int(begin.split()[1])

    def close(self) -> None:
        self._socket.close()


def busy(hub: HubProcess) -> float:
    """Milliseconds of CPU that the hub's main thread has used, by the kernel's count (Linux)."""
    used = Path(f"/proc/{hub.pid}/task/{hub.pid}/schedstat").read_text().split()[0]
    return int(used) / 1e6


class Waits(NamedTuple):
    """What somebody else waited for an answer at most, milliseconds."""

    cpu: float
    """In which the main thread worked; what else the machine does makes no difference to it."""
    wall: float


def longest_wait(hub: HubProcess, request: str, body: bytes, kind: str) -> tuple[Waits, int]:
    """How long somebody else waited meanwhile, and what the body was answered."""
    probe, client = Client(hub), Client(hub)
    found: list[int] = []
    sender = threading.Thread(target=lambda: found.append(client.ask(request, body, kind)))
    cpu = wall = 0.0
    sender.start()
    while sender.is_alive():
        begin, used = time.perf_counter(), busy(hub)
        probe.ask("GET /health/live")
        cpu = max(cpu, busy(hub) - used)
        wall = max(wall, (time.perf_counter() - begin) * 1000)
        time.sleep(0.001)
    sender.join()
    for one in (probe, client):
        one.close()
    return Waits(cpu, wall), found[0]


def test_stalls(hub: HubProcess) -> None:
    """The median of some rounds for each kind of body, and the worst of them."""
    rows = [("POST /events/batch", *row) for row in bodies()]
    rows += [("POST /events", *row) for row in single()]
    print(f"\n\nlongest wait of another request, ms, {ROUNDS} rounds\n")
    for request, name, kind, body in [("GET /health/live", "nothing", LINES, b""), *rows]:
        rounds = [longest_wait(hub, request, body, kind) for _ in range(ROUNDS)]
        cpu, wall = (sorted(column) for column in zip(*(waits for waits, _ in rounds), strict=True))
        print(
            f"{name:34} {len(body) / 2**20:5.2f} MiB {rounds[0][1]}"
            f"  CPU {statistics.median(cpu):6.1f} worst {cpu[-1]:6.1f}"
            f"  wall {statistics.median(wall):6.1f} worst {wall[-1]:6.1f}"
            f"  ≤ {BOUND:g} {'ok' if cpu[-1] <= BOUND else 'ABOVE'}"
        )
