"""The client in each of its forms, and a bad line between it and a real hub."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import trio

from hookhub.client import AsyncClient, Client
from hookhub.testing.hub_process import HubProcess

Ask = Callable[..., Any]


def _ask_sync(call: Callable[[Any], Any], url: str, token: str, **options: Any) -> Any:
    with Client(url, token, **options) as client:
        result = call(client)
        return list(result) if isinstance(result, Iterator) else result


async def _ask_async(call: Callable[[Any], Any], url: str, token: str, options: Any) -> Any:
    async with AsyncClient(url, token, **options) as client:
        result = call(client)
        if hasattr(result, "__aiter__"):
            return [item async for item in result]
        return await result


def _ask_asyncio(call: Callable[[Any], Any], url: str, token: str, **options: Any) -> Any:
    return asyncio.run(_ask_async(call, url, token, options))


def _ask_trio(call: Callable[[Any], Any], url: str, token: str, **options: Any) -> Any:
    return trio.run(_ask_async, call, url, token, options)


@pytest.fixture(params=[_ask_sync, _ask_asyncio, _ask_trio], ids=["sync", "asyncio", "trio"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """``ask(call, url, token, **options)``: open a client, make the call, close it."""
    form: Ask = request.param
    return form


class BadLine:
    """An HTTP proxy before a hub that fails as the script says, then works."""

    def __init__(self, target: str) -> None:
        self.script: deque[str] = deque()
        """``drop``: close before the hub is asked; ``lose``: ask the hub, lose its answer;
        ``busy``: answer 503 instead of the hub; ``hang``: answer nothing until the end."""
        self.requests: list[dict[str, str]] = []
        """Headers of every request, names in lower case."""
        self.released = threading.Event()
        self._target = target
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )

    def __enter__(self) -> BadLine:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        line = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                line.serve(self)

            do_GET = do_POST

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        """Take one request as the script says."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = request.rfile.read(int(headers.get("content-length", 0)))
        self.requests.append(headers)
        todo = self.script.popleft() if self.script else "pass"
        if todo == "hang":
            self.released.wait(30)
        elif todo == "busy":
            problem = {"code": "store_unavailable", "detail": "The database is busy."}
            self._answer(request, 503, json.dumps(problem).encode())
        elif todo != "drop":
            with httpx.Client(trust_env=False) as http:
                answer = http.request(
                    request.command, self._target + request.path, content=body, headers=headers
                )
            if todo == "pass":
                self._answer(request, answer.status_code, answer.content)
        request.close_connection = True
        if todo in ("drop", "lose", "hang"):
            request.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


@pytest.fixture(scope="module")
def shared_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """One hub for all tests of a module."""
    with HubProcess(tmp_path_factory.mktemp("hub")) as process:
        yield process


@dataclass(frozen=True, slots=True)
class At:
    """Where the hub is, and where its history stands before the test."""

    url: str
    token: str
    sequence: int
    cursor: str

    @property
    def hub(self) -> tuple[str, str]:
        """Address and token."""
        return self.url, self.token


@pytest.fixture
def at(shared_hub: HubProcess) -> At:
    """The shared hub as this test finds it."""
    # An event of its own gives the cursor to start behind.
    with shared_hub.client() as http:
        event = {"type": "user.created", "payload": {"user_id": 0}}
        sent = http.post("/events", json=event).json()
        cursor = http.get(f"/events/{sent['id']}").json()["cursor"]
    return At(shared_hub.url, shared_hub.token, sent["sequence"], cursor)


@pytest.fixture
def bad_line(shared_hub: HubProcess) -> Iterator[BadLine]:
    """A bad line to the shared hub."""
    with BadLine(shared_hub.url) as line:
        yield line
