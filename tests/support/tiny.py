"""A tiny app under the hub's HTTP server, and a client that speaks HTTP on a bare stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import h11
import trio
from quart import Response, jsonify, request
from quart_trio import QuartTrio

from hookhub.config import ServerSettings
from hookhub.contracts.routes import UpgradeRequest
from hookhub.http.connections import serve
from hookhub.http.limits import hypercorn_config
from hookhub.http.listeners import listener_url, open_listeners

UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: hub\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HELLO = b"GET /hello HTTP/1.1\r\nHost: hub\r\n\r\n"
LARGE = b"GET /large HTTP/1.1\r\nHost: hub\r\n\r\n"

Upgrades = Mapping[str, Callable[[UpgradeRequest, trio.abc.Stream], Awaitable[None]]]


def make_app() -> QuartTrio:
    app = QuartTrio("tiny")
    app.config["events"] = []

    @app.before_serving
    async def started() -> None:
        app.config["events"].append("started")

    @app.after_serving
    async def stopped() -> None:
        app.config["events"].append("stopped")

    @app.get("/hello")
    async def hello() -> str:
        return "hello"

    @app.post("/echo")
    async def echo() -> bytes:
        return await request.get_data()

    @app.get("/slow")
    async def slow() -> str:
        app.config["events"].append("slow")
        app.config["asked"].set()
        await app.config["release"].wait()
        return "slow"

    @app.get("/begun")
    async def begun() -> AsyncIterator[bytes]:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"begun "
            app.config["asked"].set()
            await app.config["release"].wait()
            if "break" in app.config:
                raise RuntimeError("a bug")
            yield b"done"

        return pieces()

    @app.get("/large")
    async def large() -> bytes:
        return b"x" * 50_000_000

    @app.get("/broken")
    async def broken() -> str:
        raise RuntimeError("a bug")

    @app.errorhandler(404)
    async def missing(_: Exception) -> Response:
        response = jsonify(code="not_found", method=request.method, path=request.path)
        response.status_code = 404
        response.content_type = "application/problem+json"
        return response

    return app


class Server:
    def __init__(self, app: QuartTrio, urls: list[str]) -> None:
        self.app = app
        self.url = urls[0]
        self.urls = urls
        self.draining = trio.Event()
        self.stopping = trio.Event()
        self.finished = trio.Event()
        self.clients: list[trio.SocketStream] = []

    async def connect(self) -> trio.SocketStream:
        host, port = self.url.removeprefix("http://").rsplit(":", 1)
        self.clients.append(await trio.open_tcp_stream(host, int(port)))
        return self.clients[-1]


@asynccontextmanager
async def running(
    upgrades: Upgrades | None = None, *, grace: float = 5.0, **settings: Any
) -> AsyncIterator[Server]:
    app = make_app()
    app.config["asked"], app.config["release"] = trio.Event(), trio.Event()
    listeners = await open_listeners(ServerSettings(bind="127.0.0.1:0", **settings))
    server = Server(app, [listener_url(item) for item in listeners])

    async def run(task_status: trio.TaskStatus[None]) -> None:
        await serve(
            app,
            listeners,
            upgrades=upgrades or {},
            config=hypercorn_config(),
            draining=server.draining,
            stopping=server.stopping,
            grace=grace,
            task_status=task_status,
        )
        server.finished.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            try:
                yield server
            finally:
                for client in server.clients:
                    await trio.aclose_forcefully(client)
            server.stopping.set()
            await server.finished.wait()


async def read_answer(stream: trio.abc.ReceiveStream, sent: bytes) -> tuple[h11.Response, bytes]:
    """The next HTTP answer, by h11's client; what ``sent`` asked must be a whole request."""
    connection = h11.Connection(h11.CLIENT)
    method = sent.split(b" ", 1)[0]
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "hub")]))
    connection.send(h11.EndOfMessage())
    response, body = None, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some())
        elif isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert response is not None
            return response, body
        else:
            raise AssertionError(event)


async def ask(stream: trio.abc.Stream, data: bytes) -> tuple[int, bytes]:
    await stream.send_all(data)
    response, body = await read_answer(stream, data)
    return response.status_code, body


async def read_exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        assert more, data
        data += more
    return data


async def echo_upgrade(request: UpgradeRequest, stream: trio.abc.Stream) -> None:
    """A protocol of its own: a line, then whatever comes is sent back."""
    await stream.send_all(b"taken " + request.path.encode() + b"\n")
    async for data in stream:
        await stream.send_all(data)
